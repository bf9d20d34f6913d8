/*
 * From the bytes of a text to hashed token embeddings: what stands in front of an EELBERT encoder, for firmware.
 *
 * C99, no heap, no library, one table of 1.4 kB: docs/hash.md is the specification, and every float below is the one that
 * training saw, bit for bit. Any bytes are a text; nothing here can fail. All state is the caller's, so the functions
 * may be used from several threads or interrupts at once.
 */
#ifndef EELBERT_FRONT_END_H
#define EELBERT_FRONT_END_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Joins the two texts of a pair in one byte string: the ASCII unit separator. */
#define EELBERT_SEPARATOR 0x1F

/* The longest n-grams a hash may have. */
#define EELBERT_MAX_ORDERS 8

enum { EELBERT_MEAN, EELBERT_SQRTN };

/* The fields of the model's configuration that matter before its encoder. Best kept `static const`, in flash. */
typedef struct {
    uint64_t seed;                       /* all that is stored of the hash: its multipliers are drawn from it */
    uint16_t widths[EELBERT_MAX_ORDERS]; /* floats from the 1-grams, 2-grams, ...; a zero ends the list */
    uint16_t word_width;                 /* floats from the signature of the whole token, or 0 */
    uint8_t boundaries;                  /* 1 where the ends of a token are told from its inside */
    uint8_t pooling;                     /* EELBERT_MEAN or EELBERT_SQRTN */
    uint8_t pair;                        /* 1 where a separator byte divides two texts; else it is white space */
    uint32_t max_tokens;                 /* slots of the encoder's input, [CLS] and [SEP] included; at least 4 */
    uint32_t max_bytes;                  /* bytes read of a text; at least 4 */
    uint32_t lexicon_size;               /* rows of the model's lexicon, a power of two, or 0; squared for 2 lookups */
    uint8_t normalization;               /* 0: capitals of ASCII become small; 1: see docs/hash.md, "Normalization" */
} eelbert_config;

/* One token. Its bytes lie in the text as they came: letters are folded as they are hashed. */
typedef struct {
    const uint8_t *bytes; /* no terminator */
    size_t length;        /* in the text */
    uint8_t segment; /* 0, or 1 in the second text of a pair */
    uint8_t special; /* 1 for [CLS] and [SEP], which are hashed in capitals and have no row in the lexicon */
} eelbert_token;

/* A walk over the tokens of one text; the fields are private. */
typedef struct {
    const eelbert_config *config;
    const uint8_t *text;
    size_t position; /* first byte not looked at yet */
    size_t end;      /* of the text being read: the first of a pair, then the second */
    size_t length;   /* of everything */
    size_t cut;      /* bytes read at most */
    size_t slots;    /* left for words of the text being read */
    size_t reserved; /* slots that the second text of a pair is sure of */
    uint8_t segment;
    uint8_t started;  /* [CLS] is out */
    uint8_t finished; /* the last [SEP] is out */
    uint8_t found;    /* some word is out */
} eelbert_tokens;

/* Starts a walk. `text` is any `length` bytes; they and `config` must stay in place until the walk is over. */
void eelbert_tokens_begin(eelbert_tokens *tokens, const eelbert_config *config, const void *text, size_t length);

/*
 * The next token, from [CLS] to the last [SEP], after all cuts: exactly the filled slots of the encoder's input, at
 * most `max_tokens`. Returns 0 where there is none.
 */
int eelbert_tokens_next(eelbert_tokens *tokens, eelbert_token *token);

/*
 * The bytes of a token as they are hashed, in `out`, where not NULL, up to `room` of them. Returns their number, at most
 * the token's length.
 */
size_t eelbert_token_bytes(const eelbert_config *config, const eelbert_token *token, uint8_t *out, size_t room);

/* The width of an embedding: all blocks of the hash together. */
size_t eelbert_embedding_size(const eelbert_config *config);

/* The embedding of one token, in `out[eelbert_embedding_size(config)]`. */
void eelbert_embed_token(const eelbert_config *config, const eelbert_token *token, float *out);

/*
 * The same in integers alone: in steps of 1/128, rounded, for an encoder with 8-bit inputs. `pooling` must be
 * EELBERT_MEAN, whose numbers are from -1 to 1.
 */
void eelbert_hash_token(const eelbert_config *config, const eelbert_token *token, int8_t *out);

/* The code of one token: its top bits are its row in a lexicon, and a lexical head knows words by it. */
uint32_t eelbert_word_code(const eelbert_config *config, const eelbert_token *token);

/*
 * The row of one token in the model's lexicon, below `lexicon_size`. With two lookups that is the first row times the
 * number of rows, plus the second.
 */
uint32_t eelbert_lexicon_row(const eelbert_config *config, const eelbert_token *token);

/*
 * The whole input of an encoder: `embeddings[max_tokens][eelbert_embedding_size(config)]`, zero in empty slots, and,
 * where not NULL, `padding_mask[max_tokens]`, 1 on filled slots, and `segment_ids[max_tokens]`.
 * Returns the number of filled slots.
 */
size_t eelbert_embed_text(const eelbert_config *config, const void *text, size_t length, float *embeddings,
                          int32_t *padding_mask, int32_t *segment_ids);

/*
 * Joins two texts by a separator in `out[max_bytes]`; where they do not fit, the first is cut, at a space if it has
 * one, to what the second leaves but never below half. Returns the number of bytes written.
 */
size_t eelbert_join_pair(const eelbert_config *config, const void *first, size_t first_length, const void *second,
                         size_t second_length, uint8_t *out);

#ifdef __cplusplus
}
#endif

#endif
