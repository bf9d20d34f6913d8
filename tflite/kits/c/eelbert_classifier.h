/*
 * From the bytes of a text to its class, in TFLite Micro: a few functions for firmware in C or C++.
 *
 * This file and eelbert_classifier.cc are the same for every model; `eelbert convert --target micro --kit` writes them
 * with eelbert_model.h, eelbert_model.c and eelbert_model_ops.inc, which are one model's. There is one model and one
 * arena in a program, and no lock: call from one thread at a time.
 */
#ifndef EELBERT_CLASSIFIER_H
#define EELBERT_CLASSIFIER_H

#include <stddef.h>

#include "eelbert_model.h"
#include "eelbert_spans.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions return where they fail. */
enum {
    EELBERT_BAD_SCHEMA = -1, /* TFLite Micro is of another version than the file */
    EELBERT_NO_MEMORY = -2,  /* the arena is too small, or an operator is missing: TFLite Micro logs which */
    EELBERT_BAD_MODEL = -3,  /* the model's input or output is not what eelbert_model.h says */
    EELBERT_NOT_READY = -4,  /* eelbert_init has not succeeded yet */
    EELBERT_FAILED = -5,     /* an operator failed */
    EELBERT_NONE = -6        /* no failure: the text has none of the classes */
};

/* Makes the model ready, once. Returns 0, or one of the numbers above. */
int eelbert_init(void);

#if EELBERT_CLASSES
/*
 * Classifies `length` bytes of UTF-8, or of anything, as they are: no terminator, no preparation. A text that is longer
 * than the model's input is read in up to EELBERT_MAX_WINDOWS windows, one after the other, and their logits are
 * averaged; what is left is left out, at the end of a token. The two texts of a pair have the byte 0x1F between them.
 *
 * `scores`, where not NULL, gets the probability of each class; of a regression (EELBERT_REGRESSION), its numbers.
 * Returns the number of the text's class, of the likeliest where it has several (EELBERT_MULTILABEL), EELBERT_NONE where
 * it has none, 0 for a regression, or another one of the numbers above.
 */
int eelbert_classify(const void *text, size_t length, float scores[EELBERT_CLASSES]);

/* Whether scores from eelbert_classify give a class to their text: there may be several, or none. */
int eelbert_has(const float scores[EELBERT_CLASSES], int number);

/*
 * Names of the EELBERT_CLASSES classes, or of a regression's numbers, in UTF-8, in the order of the scores; NULL is the
 * name of "none of these".
 */
const char *const *eelbert_labels(void);
#endif

#if EELBERT_WIDTH
/*
 * The embedding of a text, a vector of length 1: `length` bytes as eelbert_classify takes them. eelbert_index.h searches
 * with it. Returns 0, or one of the numbers above.
 */
int eelbert_embed(const void *text, size_t length, float embedding[EELBERT_WIDTH]);
#endif

#if EELBERT_SPAN_NAMES
/*
 * Finds the parts of a text that have names: `length` bytes as eelbert_classify takes them.
 *
 * `spans` gets them, at most one for each token, by bytes of the text; their names are numbers in eelbert_span_names().
 * `scores`, where not NULL, gets the probability of each class of the text as a whole, where the model has classes.
 * Returns the number of spans, or one of the numbers above.
 */
int eelbert_tag(const void *text, size_t length, eelbert_span spans[EELBERT_MAX_TOKENS], float *scores);

/* The EELBERT_SPAN_NAMES names, in UTF-8. */
const char *const *eelbert_span_names(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
