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

enum { HEAD = 16, BYTES = 256, SLOTS = 16, SIZE = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(holds) ((holds) ? (void)0 : abort())

static void config_of(const uint8_t *head, eelbert_config *config)
{
    size_t i;

    memset(config, 0, sizeof *config);
    config->seed = UINT64_C(0x9E3779B97F4A7C15) * (1u + head[0]);
    for (i = 0; i < 1u + head[1] % 4u; i++)
        config->widths[i] = (uint16_t)(1 + head[2 + i] % (i ? 5 : 20)); /* now and then more than the lanes of a block */
    config->word_width = head[6] % 16;
    config->boundaries = head[7] & 1;
    config->pooling = head[7] & 2 ? EELBERT_SQRTN : EELBERT_MEAN;
    config->pair = head[7] >> 2 & 1;
    config->normalization = head[7] >> 3 & 1;
    config->max_tokens = 4u + head[8] % (SLOTS - 3u);
    config->max_bytes = 4u + head[9] % (BYTES - 3u);
    config->lexicon_size = 2u << head[10] % 16;
}

/* Walks over the tokens, and holds them to the encoder's input, whose buffers end where a sanitizer watches. */
static void check_embedding(const eelbert_config *config, const uint8_t *text, size_t length)
{
    static float embeddings[SLOTS * SIZE];
    static int32_t padding_mask[SLOTS], segment_ids[SLOTS];
    float *out = embeddings + SLOTS * SIZE - config->max_tokens * eelbert_embedding_size(config);
    int32_t *mask = padding_mask + SLOTS - config->max_tokens, *segments = segment_ids + SLOTS - config->max_tokens;
    size_t slots = eelbert_embed_text(config, text, length, out, mask, segments), slot;
    eelbert_tokens tokens;
    eelbert_token token;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (slot = 0; eelbert_tokens_next(&tokens, &token); slot++)
        CHECK(slot < slots && mask[slot] && segments[slot] == token.segment);
    CHECK(slot == slots);
    for (; slot < config->max_tokens; slot++)
        CHECK(!mask[slot] && !segments[slot]);
}

/* Tokens are no longer than their text, and their rows are in the lexicon. */
static void check_tokens(const eelbert_config *config, const uint8_t *text, size_t length)
{
    static uint8_t bytes[BYTES];
    eelbert_tokens tokens;
    eelbert_token token;
    size_t slots = 0, count;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (; eelbert_tokens_next(&tokens, &token); slots++) {
        count = eelbert_token_bytes(config, &token, bytes, BYTES);
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
    if (config.pair && data[11] & 1) {
        uint8_t *out = joined + BYTES - config.max_bytes;

        first = length ? data[12] % (length + 1) : 0;
        length = eelbert_join_pair(&config, text, first, text + first, length - first, out);
        CHECK(length <= config.max_bytes);
        memmove(joined + BYTES - length, out, length);
        text = joined + BYTES - length;
    }
    check_tokens(&config, text, length);
    if (data[13] % 8 == 0) /* these two take most of the time, and have few branches of their own */
        check_embedding(&config, text, length);
    else if (data[13] % 8 == 1)
        check_windows(&config, data[14] % (config.max_tokens - 2u), text, length);
    return 0;
}
