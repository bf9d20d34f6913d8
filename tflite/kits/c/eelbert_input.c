#include "eelbert_input.h"

#if EELBERT_FRONT_END

#include <math.h>
#include <string.h>

#include "eelbert_front_end.h"

enum { EMBEDDING_INPUT, LEXICON_INPUT };

static const eelbert_config config = {
    .seed = EELBERT_HASH_SEED,
    .widths = EELBERT_HASH_WIDTHS,
    .word_width = EELBERT_HASH_WORD_WIDTH,
    .boundaries = EELBERT_HASH_BOUNDARIES,
    .pooling = EELBERT_MEAN,
    .max_tokens = EELBERT_MAX_TOKENS,
    .max_bytes = EELBERT_MAX_BYTES,
    .lexicon_size = EELBERT_LEXICON_SIZE, /* of all rows of a token together */
    .normalization = EELBERT_NORMALIZATION,
};

size_t eelbert_input_tokens(const void *text, size_t length)
{
    eelbert_tokens tokens;
    eelbert_token token;
    size_t count = 0;

    eelbert_tokens_begin(&tokens, &config, text, length);
    while (eelbert_tokens_next(&tokens, &token))
        count++;
    return count;
}

size_t eelbert_input_bytes(int number)
{
    if (number >= EELBERT_MASK_INPUT)
        return eelbert_model_mask_bytes[number - EELBERT_MASK_INPUT];
    return number == EMBEDDING_INPUT ? EELBERT_HASH_WIDTH : EELBERT_LEXICON_WIDTH;
}

#if EELBERT_LEXICON_WIDTH
/* One row of the lexicon, or the entries that its codes name. */
static int8_t *copy_row(uint32_t row, int8_t *out)
{
#if EELBERT_LEXICON_BOOKS
    size_t i;

    for (i = 0; i < EELBERT_LEXICON_BOOKS; i++, out += EELBERT_LEXICON_ENTRY)
        memcpy(out, eelbert_model_lexicon[i * 256 + eelbert_model_codes[row * EELBERT_LEXICON_BOOKS + i]],
               EELBERT_LEXICON_ENTRY);
    return out;
#else
    memcpy(out, eelbert_model_lexicon[row], EELBERT_LEXICON_ENTRY);
    return out + EELBERT_LEXICON_ENTRY;
#endif
}

static void copy_rows(const eelbert_token *token, int8_t *out)
{
    uint32_t code = eelbert_lexicon_row(&config, token);

    if (EELBERT_LEXICON_LOOKUPS == 2)
        out = copy_row(code / EELBERT_LEXICON_ROWS, out);
    copy_row(code % EELBERT_LEXICON_ROWS, out);
}
#endif

void eelbert_input_fill(const void *text, size_t length, size_t slots, void *const inputs[EELBERT_INPUTS])
{
    eelbert_tokens tokens;
    eelbert_token token;
    size_t filled = 0, slot;
    int i;

    for (i = 0; i < EELBERT_MASK_INPUT; i++)
        memset(inputs[i], 0, slots * eelbert_input_bytes(i));
    eelbert_tokens_begin(&tokens, &config, text, length);
    for (; filled < slots && eelbert_tokens_next(&tokens, &token); filled++) {
        eelbert_hash_token(&config, &token, (int8_t *)inputs[EMBEDDING_INPUT] + filled * EELBERT_HASH_WIDTH);
#if EELBERT_LEXICON_WIDTH
        if (!token.special)
            copy_rows(&token, (int8_t *)inputs[LEXICON_INPUT] + filled * EELBERT_LEXICON_WIDTH);
#endif
    }
    for (i = EELBERT_MASK_INPUT; i < EELBERT_INPUTS; i++) {
        size_t size = eelbert_input_bytes(i);

        for (slot = 0; slot < slots; slot++)
            memcpy((unsigned char *)inputs[i] + slot * size,
                   eelbert_model_masks[i - EELBERT_MASK_INPUT][filled][slot >= filled], size);
    }
}

#if EELBERT_LEXICAL_ROWS

/* Sums of a text: one for each class where codes name entries of a book, else of so many numbers of each row. */
enum { SUMS = EELBERT_LEXICAL_CODED ? EELBERT_OUTPUTS : EELBERT_LEXICAL_RANK };

static void add_row(uint32_t row, int32_t *total)
{
    size_t i, j;

    for (i = 0; i < EELBERT_LEXICAL_RANK; i++) {
        const int32_t value = eelbert_model_words[row][i];

#if EELBERT_LEXICAL_CODED
        for (j = 0; j < SUMS; j++)
            total[j] += value * eelbert_model_book[eelbert_model_word_codes[row][i]][j];
#else
        j = i;
        total[j] += value;
#endif
    }
}

/* Adds the weights of an n-gram, where one of the two rows in which it may lie has its tag. */
static void add_ngram(uint32_t key, int32_t *total)
{
    const uint32_t tag = key * EELBERT_LEXICAL_TAG >> 16;
    const uint32_t places[2] = {key * EELBERT_LEXICAL_FIRST, key * EELBERT_LEXICAL_SECOND};
    size_t i;

    for (i = 0; i < 2; i++) {
        const uint32_t row = (uint32_t)((uint64_t)places[i] * EELBERT_LEXICAL_ROWS >> 32);

        if (eelbert_model_tags[row] == tag)
            add_row(row, total);
    }
}

/* docs/hash.md, "Lexical head". The edges of a text are words with the code 0. */
void eelbert_input_add_words(const void *text, size_t length, float *logits)
{
    int32_t total[SUMS] = {0};
    uint32_t before = 0, code;
    eelbert_tokens tokens;
    eelbert_token token;
    float filled = 1.0f, root;
    size_t i, j;

    eelbert_tokens_begin(&tokens, &config, text, length);
    eelbert_tokens_next(&tokens, &token); /* [CLS] */
    for (; eelbert_tokens_next(&tokens, &token); before = code) {
        code = token.special ? 0 : eelbert_word_code(&config, &token);
        if (!token.special)
            add_ngram(code, total);
        add_ngram(before * EELBERT_LEXICAL_NEIGHBOUR + code + EELBERT_LEXICAL_KIND, total);
        filled += 1.0f;
    }
    root = sqrtf(filled);
    for (j = 0; j < EELBERT_OUTPUTS; j++) {
        float logit = 0.0f;

        for (i = 0; i < SUMS; i++)
            if (!EELBERT_LEXICAL_CODED || i == j)
                logit += (float)total[i] * eelbert_model_kernel[EELBERT_LEXICAL_CODED ? 0 : i][j];
        logits[j] += logit / root;
    }
}
#else
void eelbert_input_add_words(const void *text, size_t length, float *logits)
{
    (void)text;
    (void)length;
    (void)logits;
}
#endif

#else
typedef int eelbert_input_is_not_needed; /* C99 has no empty files */
#endif
