/*
 * From the bytes of a text to its class, in TFLite Micro: a few functions for firmware in C or C++.
 *
 * This file and eelbert_classifier.cc are the same for every model; `eelbert convert --target micro --kit` writes them
 * with eelbert_model.h, eelbert_model.c and eelbert_model_ops.inc, which are one model's. There is no lock: call from one
 * thread at a time. A program with several models has a kit of another prefix for each (--kit-prefix).
 *
 * SPDX-License-Identifier: Apache-2.0
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
    EELBERT_BAD_SCHEMA = -1,  /* TFLite Micro reads files of another version than this one */
    EELBERT_NO_MEMORY = -2,   /* the arena is too small: eelbert_arena_missing() */
    EELBERT_BAD_BUILD = -3,   /* TFLite Micro and the kit disagree about tensors: TF_LITE_STATIC_MEMORY for both, or none */
    EELBERT_NOT_READY = -4,   /* eelbert_init has not succeeded yet */
    EELBERT_FAILED = -5,      /* an operator failed, or refuses the model: TFLite Micro logs which */
    EELBERT_NONE = -6,        /* no failure: the text has none of the classes */
    EELBERT_NO_OPERATOR = -7, /* eelbert_model_ops.inc lacks an operator of the model */
    EELBERT_NOT_ALIGNED = -8  /* the arena does not begin at a multiple of EELBERT_ALIGNMENT bytes */
};

#define EELBERT_ALIGNMENT 16

/* Declares an arena that suffices: `static EELBERT_ARENA(arena);`, with an attribute of a section behind it or none. */
#define EELBERT_ARENA(name) unsigned char name[EELBERT_ARENA_BYTES] __attribute__((aligned(EELBERT_ALIGNMENT)))

/*
 * Makes the model ready in `size` bytes of memory, which must stay as they are until eelbert_deinit. Where it is ready
 * already, nothing happens. Returns 0, or one of the numbers above.
 */
int eelbert_init(void *arena, size_t size);

/* Leaves the arena to its owner, for another model for example. */
void eelbert_deinit(void);

/* Bytes of the arena that are in use, once eelbert_init has succeeded; planning took a little more. 0 before. */
size_t eelbert_arena_used(void);

/* After EELBERT_NO_MEMORY, by how many bytes the first request failed; what would have come after it is not known. */
size_t eelbert_arena_missing(void);

/*
 * Has a function called as each operator begins (1) and ends (0), to read a clock there; NULL for none. Set it before
 * eelbert_init. TFLite Micro calls it unless TF_LITE_STRIP_ERROR_STRINGS is defined.
 */
typedef void (*eelbert_profiler)(const char *name, int begins);
void eelbert_set_profiler(eelbert_profiler profiler);

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
