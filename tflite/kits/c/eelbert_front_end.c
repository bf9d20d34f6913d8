#include "eelbert_front_end.h"

#ifdef __FAST_MATH__
#error "-ffast-math changes the last bits of the embeddings: compile this file with -fno-fast-math"
#endif

/* A polynomial over 32-bit integers with the constants of Fowler, Noll and Vo. */
#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u

#define FIRST_BYTE_FLAG 256u
#define LAST_BYTE_FLAG 512u
#define MAX_WORD_BYTES 64u

/* Dimensions computed side by side, to share the signatures of the n-grams: 12 bytes of stack each. */
#define LANES 16u

static int between(uint32_t x, uint32_t low, uint32_t high)
{
    return x - low <= high - low;
}

/* ---- Text to tokens ---- */

/*
 * What begins at `p`, where `left` bytes are there to read: white space of n bytes (-n), a character of n bytes that
 * is a token by itself (n), or a byte of a word (0).
 */
static int classify(const uint8_t *p, size_t left)
{
    /* A byte that is missing reads as zero, which ends no character either. */
    uint32_t a = p[0], b = left > 1 ? p[1] : 0, c = left > 2 ? p[2] : 0, d = left > 3 ? p[3] : 0;

    if (a <= 0x20)
        return -1;
    if (a < 0x80)
        return !between(a, '0', '9') && !between(a | 0x20, 'a', 'z');
    if (a == 0xC2 && b == 0xA0) /* no-break space */
        return -2;
    if (!between(b, 0x80, 0xBF) || !between(c, 0x80, 0xBF))
        return 0;
    if (a == 0xF0) /* emoji and rare ideographs, from U+1F000 */
        return b >= 0x9F && between(d, 0x80, 0xBF) ? 4 : 0;
    if (between(a, 0xE0, 0xEF)) {
        uint32_t u = (a & 0x0F) << 12 | (b & 0x3F) << 6 | (c & 0x3F);

        if (between(u, 0x2000, 0x200F) || u == 0x3000) /* typographic spaces */
            return -3;
        if (between(u, 0x2000, 0x206F) || between(u, 0x3000, 0x303F) || /* punctuation, western and eastern */
            between(u, 0x3400, 0x9FFF) || between(u, 0xF900, 0xFAFF))   /* ideographs */
            return 3;
    }
    return 0;
}

/* The next word or symbol of the text being read; 0 at its end. */
static int next_word(eelbert_tokens *tokens, eelbert_token *token)
{
    const uint8_t *text = tokens->text;
    size_t p = tokens->position, end = tokens->end, begin;
    int kind = 0;

    while (p < end && (kind = classify(text + p, end - p)) < 0)
        p += (size_t)-kind;
    begin = p;
    if (p < end && kind > 0)
        p += (size_t)kind;
    else
        while (p < end && classify(text + p, end - p) == 0)
            p++;
    tokens->position = p;

    /* A token that touches the last byte read may be cut: it is dropped, unless nothing else would be left. */
    if (p == begin || (p == tokens->cut && tokens->found))
        return 0;
    tokens->found = 1;
    token->bytes = text + begin;
    token->length = p - begin;
    token->special = 0;
    return 1;
}

void eelbert_tokens_begin(eelbert_tokens *tokens, const eelbert_config *config, const void *text, size_t length)
{
    const uint8_t *bytes = text;
    size_t end = 0;

    if (length > config->max_bytes)
        length = config->max_bytes;
    while (end < length && !(config->pair && bytes[end] == EELBERT_SEPARATOR))
        end++;
    tokens->text = bytes;
    tokens->position = 0;
    tokens->end = end;
    tokens->length = length;
    tokens->cut = config->max_bytes;
    tokens->slots = config->max_tokens - 2u; /* all but [CLS] and [SEP] */
    tokens->reserved = 0;
    tokens->segment = tokens->started = tokens->found = 0;
    tokens->finished = config->max_tokens < 4; /* no valid configuration: better no token than one too many */

    if (end < length) {
        /* Look ahead: the second text is sure of as many slots as it has words, up to half of them. */
        eelbert_tokens second = *tokens;
        eelbert_token token;

        second.position = end + 1;
        second.end = length;
        second.found = 1; /* in the first text; where that has no word, nothing need be reserved */
        tokens->slots--;  /* the other [SEP] */
        while (tokens->reserved < tokens->slots / 2 && next_word(&second, &token))
            tokens->reserved++;
        tokens->slots -= tokens->reserved;
    }
}

int eelbert_tokens_next(eelbert_tokens *tokens, eelbert_token *token)
{
    token->segment = tokens->segment;
    if (tokens->finished)
        return 0;
    if (tokens->started && tokens->slots && next_word(tokens, token)) {
        tokens->slots--;
        return 1;
    }
    token->bytes = (const uint8_t *)(tokens->started ? "[SEP]" : "[CLS]");
    token->length = 5;
    token->special = 1;
    if (!tokens->started) {
        tokens->started = 1;
    } else if (tokens->end < tokens->length) { /* at the separator: on to the second text */
        tokens->position = tokens->end + 1;
        tokens->end = tokens->length;
        tokens->slots += tokens->reserved;
        tokens->segment = 1;
    } else {
        tokens->finished = 1;
    }
    return 1;
}

size_t eelbert_join_pair(const eelbert_config *config, const void *first, size_t first_length, const void *second,
                         size_t second_length, uint8_t *out)
{
    const uint8_t *a = first, *b = second;
    size_t size = config->max_bytes, room = (size - 1) / 2, n = 0, i;

    if (size - 1 > room + second_length)
        room = size - 1 - second_length;
    if (first_length > room) {
        size_t space = room;

        while (space > 0 && a[space] != ' ' && a[space] != EELBERT_SEPARATOR)
            space--;
        first_length = space ? space : room;
    }
    /* A separator inside a text is white space: only the one between them may divide. */
    for (i = 0; i < first_length; i++)
        out[n++] = a[i] == EELBERT_SEPARATOR ? ' ' : a[i];
    out[n++] = EELBERT_SEPARATOR;
    for (i = 0; i < second_length && n < size; i++)
        out[n++] = b[i] == EELBERT_SEPARATOR ? ' ' : b[i];
    return n;
}

/* ---- Tokens to embeddings ---- */

/*
 * Number `index` of the odd multipliers that SplitMix64 (Steele et al. 2014) draws from the seed. Its state is a mere
 * counter, so any of them can be had alone: computing one takes some thirty instructions, and no table fills the flash.
 */
static uint32_t multiplier(uint64_t seed, size_t index)
{
    uint64_t z = seed + (index + 1u) * UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ z >> 31) >> 32) | 1u;
}

/* The square root, rounded to nearest as IEEE 754 has it, without a maths library. `n` is at least 1. */
static float square_root(uint32_t n)
{
    float scale = 0x1p-16f;
    uint32_t root = 0, bit;
    uint64_t square;

    for (; n < 0x40000000u; n <<= 2)
        scale *= 0.5f;
    square = (uint64_t)n << 32;
    for (bit = 0x80000000u; bit; bit >>= 1)
        if ((uint64_t)(root | bit) * (root | bit) <= square)
            root |= bit;
    if ((uint64_t)root * root != square)
        root |= 1u; /* what is lost below 32 bits must not look like a tie to the rounding to 24 */
    return (float)root * scale;
}

/* The polynomial over the bytes from `begin` to `end` of a token, as they are hashed, going on from `s`. */
static uint32_t signature(const eelbert_config *config, const eelbert_token *token, size_t begin, size_t end,
                          uint32_t s)
{
    for (; begin < end; begin++) {
        uint32_t byte = token->bytes[begin];

        if (between(byte, 'A', 'Z') && !token->special)
            byte += 'a' - 'A';
        if (config->boundaries) {
            if (begin == 0)
                byte += FIRST_BYTE_FLAG;
            if (begin + 1 == token->length)
                byte += LAST_BYTE_FLAG;
        }
        s = s * FNV_PRIME + byte;
    }
    return s;
}

/* Only the last 64 bytes count, and in a longer token they start from zero: so the training graph can double. */
static uint32_t word_signature(const eelbert_config *config, const eelbert_token *token)
{
    size_t n = token->length;

    return n > MAX_WORD_BYTES ? signature(config, token, n - MAX_WORD_BYTES, n, 0)
                              : signature(config, token, 0, n, FNV_OFFSET);
}

/* Dimensions `first` to `last` of an embedding, from the n-grams of one order; order 0 is the whole token. */
static void embed_block(const eelbert_config *config, const eelbert_token *token, size_t order, size_t first,
                        size_t last, float *out)
{
    size_t span = order ? order : token->length, grams = 0, lanes, p, j;
    float divisor = 1.0f;

    if (span && span <= token->length)
        grams = token->length - span + 1;
    if (grams > 1)
        divisor = config->pooling == EELBERT_SQRTN ? square_root((uint32_t)grams) : (float)grams;
    for (; first < last; first += lanes) {
        uint32_t h[LANES];
        int64_t sum[LANES];

        lanes = last - first < LANES ? last - first : LANES;
        for (j = 0; j < lanes; j++) {
            h[j] = multiplier(config->seed, first + j);
            sum[j] = 0;
        }
        for (p = 0; p < grams; p++) {
            uint32_t s = order ? signature(config, token, p, p + span, FNV_OFFSET) : word_signature(config, token);

            for (j = 0; j < lanes; j++)
                sum[j] += (int32_t)(s * h[j]); /* "modulo B, centred", for B = 2 to the 32 */
        }
        for (j = 0; j < lanes; j++)
            out[first + j] = (float)sum[j] / divisor * 0x1p-31f;
    }
}

size_t eelbert_embedding_size(const eelbert_config *config)
{
    size_t size = config->word_width, i;

    for (i = 0; i < EELBERT_MAX_ORDERS && config->widths[i]; i++)
        size += config->widths[i];
    return size;
}

void eelbert_embed_token(const eelbert_config *config, const eelbert_token *token, float *out)
{
    size_t first = 0, order;

    for (order = 1; order <= EELBERT_MAX_ORDERS && config->widths[order - 1]; order++) {
        embed_block(config, token, order, first, first + config->widths[order - 1], out);
        first += config->widths[order - 1];
    }
    embed_block(config, token, 0, first, first + config->word_width, out);
}

uint32_t eelbert_lexicon_row(const eelbert_config *config, const eelbert_token *token)
{
    uint32_t h = multiplier(config->seed, eelbert_embedding_size(config));
    uint32_t product = word_signature(config, token) * h;

    return (uint32_t)((uint64_t)product * config->lexicon_size >> 32); /* its top bits */
}

size_t eelbert_embed_text(const eelbert_config *config, const void *text, size_t length, float *embeddings,
                          int32_t *padding_mask, int32_t *segment_ids)
{
    size_t size = eelbert_embedding_size(config), filled = 0, slot, j;
    eelbert_tokens tokens;
    eelbert_token token;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (slot = 0; slot < config->max_tokens; slot++, embeddings += size) {
        int there = eelbert_tokens_next(&tokens, &token);

        if (there) {
            filled++;
            eelbert_embed_token(config, &token, embeddings);
        } else {
            for (j = 0; j < size; j++)
                embeddings[j] = 0.0f;
        }
        if (padding_mask)
            padding_mask[slot] = there;
        if (segment_ids)
            segment_ids[slot] = there ? token.segment : 0;
    }
    return filled;
}
