/*
 * Runs the C front end on random configurations and texts: fuzz [SEED [COUNT]], by default 1 and 1000.
 *
 * The texts are made of what the tokenizer decides on: whole, broken and forbidden UTF-8, edges of its ranges, spaces,
 * separators, NUL, long words. Build it with sanitizers to find what must not happen. Each text gives one line:
 *
 *   SEED BOUNDARIES POOLING WORD_WIDTH PAIR MAX_TOKENS MAX_BYTES LEXICON_SIZE NORMALIZATION WIDTH,... FIRST SECOND TEXT
 *   SLOTS A B
 *
 * TEXT joins FIRST and SECOND where these are not "-". A is the Adler-32 checksum of the tokens (segment, length modulo
 * 256, bytes as they are hashed), B that of their lexicon rows and of all embeddings, as little-endian words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eelbert_front_end.h"

enum { BYTES = 512, SLOTS = 64, SIZE = 128 };

static uint64_t state; /* of xorshift64* */

static uint32_t below(uint32_t limit)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * UINT64_C(0x2545F4914F6CDD1D) >> 33) % limit;
}

static void random_config(eelbert_config *config)
{
    uint32_t orders = 1 + below(4), i;

    memset(config, 0, sizeof *config);
    config->seed = (uint64_t)below(0x7FFFFFFF) << 33 | below(0x7FFFFFFF);
    for (i = 0; i < orders; i++)
        config->widths[i] = (uint16_t)(1 + below(i ? 8 : 40)); /* now and then more than the lanes of a block */
    config->word_width = (uint16_t)(below(2) * below(20));
    config->boundaries = (uint8_t)below(2);
    config->pooling = below(2) ? EELBERT_SQRTN : EELBERT_MEAN;
    config->pair = (uint8_t)below(2);
    config->max_tokens = 4 + below(below(2) ? 8 : SLOTS - 3);
    config->max_bytes = 4 + below(below(2) ? 60 : BYTES - 3);
    config->lexicon_size = 2u << below(16);
    config->normalization = (uint8_t)below(2);
}

/* At most `room` bytes of a random text. */
static size_t random_text(uint8_t *text, size_t room)
{
    static const uint8_t edges[] = {0x00, 0x1F, 0x20, 0x21, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9E, 0x9F, 0xA0,
                                    0xA3, 0xA4, 0xAB, 0xAC, 0xAF, 0xB0, 0xBF, 0xC0, 0xE2, 0xF0, 0xFF};
    static const uint8_t leads[] = {0xC2, 0xC3, 0xE0, 0xE1, 0xE2, 0xE2, 0xE3, 0xE3, 0xE4, 0xE9, 0xEA, 0xEF, 0xF0, 0xF4};
    static const char *const known[] = {
        "\xC2\xA0", "\xE2\x80\x83", "\xE2\x80\x8F", "\xE2\x80\x90", "\xE2\x80\x99", "\xE2\x81\xAF", "\xE2\x81\xB0",
        "\xE3\x80\x80", "\xE3\x80\x82", "\xE3\x81\x82", "\xE3\x90\x80", "\xE4\xB8\xAD", "\xE9\xBF\xBF", "\xEA\x80\x80",
        "\xEF\xA4\x80", "\xEF\xAC\x80", "\xEF\xBC\x81", "\xF0\x9F\x98\x80", "\xF0\xA0\x80\x80", "\xF0\x9E\xA4\x80",
        "\xC3\xA9", "\xC3\x9F", "\xC4\xB0", "\xC5\x81", "\xC8\xBA", "\xCE\x86", "\xCF\x82", "\xD0\x99", "\xD0\xB9",
        "\xD2\x90", "\xD4\xB1", "\xD6\x87", "\xD8\xA3", "\xD8\x9F", "\xD7\xB4", "\xDB\xBF", "\xDC\x80", "\xC2\xBF",
        "\xCC\x81", "\xCD\x85", "\xCD\xAF", "\xC2\x85", "\xC2\x9F", "\xC2\xAD", "\xE2\x80\x8B", "\xE2\x80\x8D",
        "\xE2\x80\xA8", "\xE2\x80\xAF", "\xE2\x81\xA0", "\xEF\xBB\xBF", "\xEF\xB8\x8F", "\xF3\xA0\x81\xA7",
        "\xE1\xB8\x80", "\xE1\xBA\xBF", "\xE1\xBA\x9E", "\xE1\xBA\x9A", "\xE1\xBB\xBE", "\xE1\xBC\x88", "\xE1\xBE\xB3",
        "\xE1\xBF\xBF", "\xE0\xA5\xA4", "\xE0\xB8\x81", "\xE0\xB8\xB4", "\xE0\xB9\x84", "\xE1\x80\x80", "\xE1\x80\xAD",
        "\xE1\x9E\x80", "\xE1\x9F\x92", "\xEF\xBC\xA1", "\xEF\xBD\x81", "\xEF\xBC\x9F", "\xEF\xBD\xA1", "\xE2\x9D\xA4",
        "\xE2\x82\xAC", "\xE0\x84\xAD", "\xF0\x80\x80\xA0", "\xF4\x8F\xBF\xBF", "\x1F", "\x1F",
        "[CLS]", "don't", "Turn", " ", ", ", "\t\r\n"};
    size_t n = 0, target = below(8) ? below(120) : below(BYTES);

    if (target > room)
        target = room;
    while (n < target) {
        uint8_t piece[80];
        size_t length = 0, i;

        switch (below(8)) {
        case 0: /* any byte */
            piece[length++] = (uint8_t)below(256);
            break;
        case 1: /* a lead byte and what may or may not follow it */
            piece[length++] = leads[below(sizeof leads)];
            for (i = below(4); i > 0; i--)
                piece[length++] = edges[below(sizeof edges)];
            break;
        case 2: /* a space, or visible ASCII */
        case 3:
            piece[length++] = (uint8_t)(below(2) ? 0x20 : 0x21 + below(0x5E));
            break;
        case 4: /* a known character, perhaps not all of it */
        case 5: {
            const char *whole = known[below(sizeof known / sizeof *known)];

            length = strlen(whole);
            memcpy(piece, whole, length);
            if (!below(6))
                length = 1 + below((uint32_t)length);
            break;
        }
        default: /* a word; some are about as long as what a signature covers */
            for (i = below(24) ? 1 + below(9) : 60 + below(10); i > 0; i--)
                piece[length++] = (uint8_t)((below(5) ? 'a' : 'A') + below(26));
        }
        for (i = 0; i < length && n < target; i++)
            text[n++] = piece[i];
    }
    return n;
}

typedef struct {
    uint32_t a, b;
} adler32;

static void add_byte(adler32 *sum, uint32_t byte)
{
    sum->a = (sum->a + (byte & 0xFF)) % 65521u;
    sum->b = (sum->b + sum->a) % 65521u;
}

static void add_word(adler32 *sum, uint32_t word)
{
    add_byte(sum, word);
    add_byte(sum, word >> 8);
    add_byte(sum, word >> 16);
    add_byte(sum, word >> 24);
}

static void print_bytes(const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    static char hex[2 * BYTES + 2];
    size_t i;

    for (i = 0; i < length; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * length] = 0;
    printf(" %s", length ? hex : "-");
}

static void print_config(const eelbert_config *config)
{
    size_t i;

    printf("%08lx%08lx %d %s %d %d %lu %lu %lu %d ", (unsigned long)(config->seed >> 32),
           (unsigned long)(config->seed & 0xFFFFFFFFu), config->boundaries,
           config->pooling == EELBERT_SQRTN ? "sqrtn" : "mean", config->word_width, config->pair,
           (unsigned long)config->max_tokens, (unsigned long)config->max_bytes, (unsigned long)config->lexicon_size,
           config->normalization);
    for (i = 0; i < EELBERT_MAX_ORDERS && config->widths[i]; i++)
        printf(i ? ",%d" : "%d", config->widths[i]);
}

/* All buffers are used up to their ends, where a sanitizer watches. */
static int run_one(void)
{
    static uint8_t first[BYTES], second[BYTES], joined[BYTES];
    static float embeddings[SLOTS * SIZE];
    static int32_t padding_mask[SLOTS], segment_ids[SLOTS];
    adler32 tokens_sum = {1, 0}, floats_sum = {1, 0};
    eelbert_config config;
    eelbert_tokens tokens;
    eelbert_token token;
    size_t a_length, b_length = 0, length, size, slots, slot, i, used;
    const uint8_t *a, *b, *text;
    float *out;
    int32_t *mask, *segments;

    random_config(&config);
    a_length = random_text(first, BYTES);
    memmove(first + BYTES - a_length, first, a_length);
    text = a = first + BYTES - a_length;
    b = second + BYTES;
    length = a_length;
    if (config.pair && below(2)) {
        b_length = random_text(second, BYTES);
        memmove(second + BYTES - b_length, second, b_length);
        b = second + BYTES - b_length;
        text = joined + BYTES - config.max_bytes;
        length = eelbert_join_pair(&config, a, a_length, b, b_length, joined + BYTES - config.max_bytes);
        memmove(joined + BYTES - length, text, length);
        text = joined + BYTES - length;
    } else {
        a_length = 0;
    }

    size = eelbert_embedding_size(&config);
    out = embeddings + SLOTS * SIZE - config.max_tokens * size;
    mask = padding_mask + SLOTS - config.max_tokens;
    segments = segment_ids + SLOTS - config.max_tokens;
    slots = eelbert_embed_text(&config, text, length, out, mask, segments);

    eelbert_tokens_begin(&tokens, &config, text, length);
    for (slot = 0; eelbert_tokens_next(&tokens, &token); slot++) {
        static uint8_t bytes[BYTES];
        size_t count = eelbert_token_bytes(&config, &token, bytes, BYTES);

        if (slot >= slots || !mask[slot] || segments[slot] != token.segment || !count || count > token.length)
            return 0;
        add_byte(&tokens_sum, token.segment);
        add_byte(&tokens_sum, (uint32_t)count);
        for (i = 0; i < count; i++)
            add_byte(&tokens_sum, bytes[i]);
        add_word(&floats_sum, eelbert_lexicon_row(&config, &token));
    }
    used = slot;
    for (; slot < config.max_tokens; slot++)
        if (mask[slot] || segments[slot])
            return 0;
    for (i = 0; i < config.max_tokens * size; i++) {
        uint32_t bits;

        memcpy(&bits, &out[i], sizeof bits);
        add_word(&floats_sum, bits);
    }

    print_config(&config);
    print_bytes(a, a_length);
    print_bytes(b, b_length);
    print_bytes(text, length);
    printf(" %lu %08lx %08lx\n", (unsigned long)slots, (unsigned long)(tokens_sum.b << 16 | tokens_sum.a),
           (unsigned long)(floats_sum.b << 16 | floats_sum.a));
    return used == slots;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;

    state = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    for (; count > 0; count--)
        if (!run_one()) {
            printf("the walk over the tokens and eelbert_embed_text disagree\n");
            return 1;
        }
    return 0;
}
