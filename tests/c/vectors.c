/*
 * Holds the C front end to vectors: vectors [FILE], by default vectors.txt. Bytes stand in hexadecimal, "-" for none.
 *
 *   config SEED BOUNDARIES POOLING WORD_WIDTH PAIR MAX_TOKENS MAX_BYTES LEXICON_SIZE NORMALIZATION WIDTH...
 *                                      for the lines below
 *   token BYTES ROW BITS...            a token as it is hashed, its row in the lexicon, its embedding's float32 bits
 *   text BYTES SLOTS SEGMENT:TOKEN...  a text, and what fills the slots of the encoder's input
 *   join FIRST SECOND BYTES            a pair of texts, joined
 *   windows BYTES OVERLAP COUNT START END TOKENS...
 *                                      the windows of a text
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eelbert_windows.h"

enum { BYTES = 2048, SIZE = 768, SLOTS = 128 };

static eelbert_config config;
static char line[32768];
static float embedding[SIZE], wanted[SIZE], embeddings[16 * 1024];
static int32_t padding_mask[SLOTS], segment_ids[SLOTS];
static const char *const blank = " \r\n";

/* Bytes end where their buffer ends, so that a sanitizer sees whoever reads past them. */
static const uint8_t *parse_bytes(const char *hex, uint8_t buffer[BYTES], size_t *length)
{
    size_t i;
    uint8_t *bytes;

    *length = *hex == '-' ? 0 : strlen(hex) / 2;
    bytes = buffer + BYTES - *length;
    for (i = 0; i < *length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};

        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static const uint8_t *next_bytes(uint8_t buffer[BYTES], size_t *length)
{
    return parse_bytes(strtok(NULL, blank), buffer, length);
}

static unsigned long next_number(void)
{
    return strtoul(strtok(NULL, blank), NULL, 10);
}

static void read_config(void)
{
    char *width;
    size_t order = 0;

    memset(&config, 0, sizeof config);
    config.seed = strtoull(strtok(NULL, blank), NULL, 10);
    config.boundaries = (uint8_t)next_number();
    config.pooling = strcmp(strtok(NULL, blank), "sqrtn") ? EELBERT_MEAN : EELBERT_SQRTN;
    config.word_width = (uint16_t)next_number();
    config.pair = (uint8_t)next_number();
    config.max_tokens = (uint32_t)next_number();
    config.max_bytes = (uint32_t)next_number();
    config.lexicon_size = (uint32_t)next_number();
    config.normalization = (uint8_t)next_number();
    while ((width = strtok(NULL, blank)) != NULL)
        config.widths[order++] = (uint16_t)atoi(width);
}

static int check_token(void)
{
    static uint8_t buffer[BYTES];
    size_t i, size = eelbert_embedding_size(&config);
    eelbert_token token = {0};

    token.special = 1; /* hashed as it is */
    token.bytes = next_bytes(buffer, &token.length);
    if (next_number() != eelbert_lexicon_row(&config, &token))
        return 0;
    for (i = 0; i < size; i++) {
        uint32_t bits = (uint32_t)strtoul(strtok(NULL, blank), NULL, 16);

        memcpy(&wanted[i], &bits, sizeof bits);
    }
    eelbert_embed_token(&config, &token, embedding);
    return !memcmp(embedding, wanted, size * sizeof *embedding);
}

static int check_text(void)
{
    static uint8_t buffer[BYTES], token_buffer[BYTES];
    size_t length, slot, i, size = eelbert_embedding_size(&config);
    const uint8_t *text = next_bytes(buffer, &length);
    size_t filled = next_number();

    if (eelbert_embed_text(&config, text, length, embeddings, padding_mask, segment_ids) != filled)
        return 0;
    for (slot = 0; slot < config.max_tokens; slot++) {
        int32_t segment = 0;

        memset(wanted, 0, sizeof wanted);
        if (slot < filled) {
            char *item = strtok(NULL, blank);
            eelbert_token token = {0};

            segment = *item - '0';
            token.special = 1;
            token.bytes = parse_bytes(item + 2, token_buffer, &token.length);
            eelbert_embed_token(&config, &token, wanted);
        }
        if (padding_mask[slot] != (slot < filled) || segment_ids[slot] != segment)
            return 0;
        for (i = 0; i < size; i++)
            if (embeddings[slot * size + i] != wanted[i])
                return 0;
    }
    return 1;
}

static int check_join(void)
{
    static uint8_t first[BYTES], second[BYTES], joined[BYTES], out[BYTES];
    size_t first_length, second_length, length;
    const uint8_t *a = next_bytes(first, &first_length);
    const uint8_t *b = next_bytes(second, &second_length);
    const uint8_t *want = next_bytes(joined, &length);
    uint8_t *got = out + BYTES - config.max_bytes;

    return eelbert_join_pair(&config, a, first_length, b, second_length, got) == length && !memcmp(got, want, length);
}

static int check_windows(void)
{
    static uint8_t buffer[BYTES];
    size_t length;
    const uint8_t *text = next_bytes(buffer, &length);
    unsigned long overlap = next_number(), count = next_number();
    eelbert_windows windows;
    eelbert_window window;

    eelbert_windows_begin(&windows, config.max_tokens, config.max_bytes, overlap, config.normalization, text, length);
    for (; count; count--) {
        if (!eelbert_windows_next(&windows, &window))
            return 0;
        if (window.start != next_number() || window.end != next_number() || window.tokens != next_number())
            return 0;
    }
    return !eelbert_windows_next(&windows, &window);
}

int main(int argc, char **argv)
{
    FILE *file = fopen(argc > 1 ? argv[1] : "vectors.txt", "r");
    unsigned number = 0, checked = 0, failed = 0;

    if (!file) {
        printf("no vectors\n");
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        const char *kind = strtok(line, blank);
        int good = 1;

        number++;
        if (!strcmp(kind, "config")) {
            read_config();
            continue;
        }
        if (!strcmp(kind, "token"))
            good = check_token();
        else if (!strcmp(kind, "text"))
            good = check_text();
        else if (!strcmp(kind, "join"))
            good = check_join();
        else if (!strcmp(kind, "windows"))
            good = check_windows();
        else
            good = 0;
        checked++;
        if (!good) {
            failed++;
            printf("line %u differs\n", number);
        }
    }
    fclose(file);
    printf("%u vectors, %u failed\n", checked, failed);
    return failed || !checked;
}
