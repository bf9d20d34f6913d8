/*
 * From what a tagger gives for the tokens of a text to spans of its bytes, in C99 and C++: eelbert_tf/text/spans.py.
 *
 * With n names of spans a tag is 0 for none, 1 to n for the first token of a span of that name, n + 1 to 2 n for its
 * others.
 */
#ifndef EELBERT_SPANS_H
#define EELBERT_SPANS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A part of a text that has a name. */
typedef struct {
    int name;     /* its number, from 0 */
    size_t start; /* the first byte */
    size_t end;   /* the byte behind the last */
    float score;  /* the least probability among the tags of its tokens */
} eelbert_span;

/* Bytes of work space that eelbert_decode_spans needs, aligned for a float. */
#define EELBERT_SPANS_WORK(slots, names) \
    ((2 * (names) + 1) * sizeof(float) + (slots) * (2 * sizeof(uint16_t) + (((names) + 7) / 8)))

/*
 * The spans of a text, at most one for each slot.
 *
 * logits: `slots` rows of 2 * names + 1 numbers: O, B of each name, I of each name.
 * positions: `slots` times the first byte and the byte behind the last of a token; equal where there is none.
 * text: the `length` bytes that the model has read.
 * work: EELBERT_SPANS_WORK(slots, names) bytes.
 * Returns the number of spans.
 */
int eelbert_decode_spans(const float *logits, const int32_t *positions, int slots, int names, const void *text,
                         size_t length, void *work, eelbert_span *spans);

#ifdef __cplusplus
}
#endif

#endif
