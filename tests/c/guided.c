/*
 * The C front end under libFuzzer: inputs grow towards code that no input has reached yet.
 *
 *   clang -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I tflite/kits/c tests/c/guided.c \
 *       tflite/kits/c/eelbert_front_end.c tflite/kits/c/eelbert_windows.c -o guided && ./guided -runs=1000000
 *
 * An input is a configuration of HEAD bytes, then a text, or two. What fuzz.c prints is not computed here: the sanitizers
 * watch, and the walk over the tokens is held to eelbert_embed_text.
 */
#include <stdlib.h>
#include <string.h>

#include "eelbert_front_end.h"
#include "eelbert_windows.h"

enum { HEAD = 18, BYTES = 256, SLOTS = 16, SIZE = 72 };

#define CHECK(holds) ((holds) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void config_of(const uint8_t *head, eelbert_config *config)
{
    size_t i;

    memset(config, 0, sizeof *config);
    config->seed = UINT64_C(0x9E3779B97F4A7C15) * (1u + head[0]);
    for (i = 0; i < 1u + head[1] % EELBERT_MAX_ORDERS; i++)
        config->widths[i] = (uint16_t)(1 + head[2 + i] % (i ? 5 : 20)); /* now and then more than the lanes of a block */
    config->word_width = head[10] % 16;
    config->boundaries = head[11] & 1;
    config->pooling = head[11] & 2 ? EELBERT_SQRTN : EELBERT_MEAN;
    config->pair = head[11] >> 2 & 1;
    config->normalization = head[11] >> 3 & 1;
    config->max_tokens = 4u + head[12] % (SLOTS - 3u);
    config->max_bytes = 4u + head[13] % (BYTES - 3u);
    config->lexicon_size = 2u << head[14] % 16;
}

/* Walks over the tokens, and holds them to the encoder's input, whose buffers end where a sanitizer watches. */
static void check_embedding(const eelbert_config *config, int alone, const uint8_t *text, size_t length)
{
    static float embeddings[SLOTS * SIZE];
    static int32_t padding_mask[SLOTS], segment_ids[SLOTS];
    float *out = embeddings + SLOTS * SIZE - config->max_tokens * eelbert_embedding_size(config);
    int32_t *mask = padding_mask + SLOTS - config->max_tokens, *segments = segment_ids + SLOTS - config->max_tokens;
    size_t slots = eelbert_embed_text(config, text, length, out, alone ? NULL : mask, alone ? NULL : segments), slot;
    eelbert_tokens tokens;
    eelbert_token token;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (slot = 0; eelbert_tokens_next(&tokens, &token); slot++)
        CHECK(slot < slots && (alone || (mask[slot] && segments[slot] == token.segment)));
    CHECK(slot == slots);
    for (; slot < config->max_tokens; slot++)
        CHECK(alone || (!mask[slot] && !segments[slot]));
}

/* Tokens are no longer than their text, and their rows are in the lexicon. */
static void check_tokens(const eelbert_config *config, size_t room, const uint8_t *text, size_t length)
{
    static uint8_t bytes[BYTES];
    eelbert_tokens tokens;
    eelbert_token token;
    size_t slots = 0, count;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (; eelbert_tokens_next(&tokens, &token); slots++) {
        count = eelbert_token_bytes(config, &token, bytes + BYTES - room, room);
        CHECK(count && count <= token.length);
        CHECK(eelbert_lexicon_row(config, &token) < config->lexicon_size);
    }
    CHECK(slots >= 2 && slots <= config->max_tokens);
}

/* Windows lie in the text, in order, and hold what they say. */
static void check_windows(const eelbert_config *config, size_t overlap, const uint8_t *text, size_t length)
{
    size_t last = 0, count = 0;
    eelbert_windows windows;
    eelbert_window window;

    eelbert_windows_begin(&windows, config->max_tokens, config->max_bytes, overlap, config->normalization, text, length);
    for (; eelbert_windows_next(&windows, &window); count++) {
        CHECK(window.start < window.end && window.end <= length && (!count || window.start > last));
        CHECK(window.tokens && window.tokens <= config->max_tokens - 2);
        last = window.start;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t joined[BYTES];
    eelbert_config config;
    const uint8_t *text = data + HEAD;
    size_t length, first;

    if (size < HEAD)
        return 0;
    config_of(data, &config);
    length = size - HEAD;
    if (config.pair && data[11] & 16) {
        uint8_t *out = joined + BYTES - config.max_bytes;

        first = data[15] % (length + 1);
        length = eelbert_join_pair(&config, text, first, text + first, length - first, out);
        CHECK(length <= config.max_bytes);
        memmove(joined + BYTES - length, out, length);
        text = joined + BYTES - length;
    }
    check_tokens(&config, data[17], text, length);
    if (data[16] % 8 == 0) /* these two take most of the time, and have few branches of their own */
        check_embedding(&config, data[17] & 1, text, length);
    else if (data[16] % 8 == 1)
        check_windows(&config, data[17] % (config.max_tokens - 2u), text, length);
    return 0;
}
