/*
 * Searches an index that `eelbert index` wrote, in C99 and C++: docs/embeddings.md is the specification.
 *
 *     eelbert_index index;
 *     eelbert_match best;
 *     if (eelbert_index_open(&index, data, length, EELBERT_MODEL_CRC32) == 0 &&
 *         eelbert_embed(text, strlen(text), embedding) == 0 &&
 *         eelbert_index_search(&index, embedding, EELBERT_WIDTH, &best, 1))
 *         answer = eelbert_index_label(&index, best.id, &answer_length);
 *
 * No heap and no copy: the index stays where it is, in flash for example, at any alignment.
 */
#ifndef EELBERT_INDEX_H
#define EELBERT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What eelbert_index_open returns where it fails. */
enum {
    EELBERT_INDEX_FOREIGN = -1,    /* this is no index, or one of another version, or wider than may be */
    EELBERT_INDEX_DAMAGED = -2,    /* its size or checksum differs */
    EELBERT_INDEX_OTHER_MODEL = -3 /* it was made with another model */
};

/* The widest embedding of an index. */
#define EELBERT_INDEX_WIDEST 1024

typedef struct {
    const unsigned char *data; /* of the file */
    size_t count;              /* texts */
    size_t width;              /* numbers of an embedding that are kept */
} eelbert_index;

/* A text that was found. */
typedef struct {
    size_t id;   /* its place among the texts, from 0 */
    float score; /* the cosine with what was searched for, within 0.02 */
} eelbert_match;

/*
 * Reads the header and checks all `length` bytes of a file, which must stay there. model_crc32 is EELBERT_MODEL_CRC32.
 * Returns 0, or one of the numbers above.
 */
int eelbert_index_open(eelbert_index *index, const void *data, size_t length, uint32_t model_crc32);

/*
 * Finds the nearest texts. embedding: `width` numbers from eelbert_embed, as many as the index has or more.
 * matches: room for `top` of them; the nearest first, of equally near ones the first of the index.
 * Returns how many there are: `top`, or all texts; 0 where the embedding is narrower than the index. Takes
 * EELBERT_INDEX_WIDEST bytes of stack.
 */
size_t eelbert_index_search(const eelbert_index *index, const float *embedding, size_t width, eelbert_match *matches,
                            size_t top);

/* The UTF-8 of a text, `*length` bytes without a terminator; and of what belongs to it, which may be empty. */
const char *eelbert_index_text(const eelbert_index *index, size_t id, size_t *length);
const char *eelbert_index_label(const eelbert_index *index, size_t id, size_t *length);

#ifdef __cplusplus
}
#endif

#endif
