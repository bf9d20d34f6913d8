/*
 * What the encoder of a kit with a front end in C is given: hash embeddings, rows of the lexicon, and what masks empty
 * slots, all in integers. eelbert_classifier.cc calls this; there is nothing in it for a model that reads bytes itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EELBERT_INPUT_H
#define EELBERT_INPUT_H

#include <stddef.h>

#include "eelbert_model.h"

#if EELBERT_FRONT_END

#ifdef __cplusplus
extern "C" {
#endif

enum { EELBERT_MASK_INPUT = EELBERT_LEXICON_WIDTH ? 2 : 1, EELBERT_INPUTS = EELBERT_MASK_INPUT + EELBERT_MASKS };

/* Tokens of a text, [CLS] and [SEP] included, after all cuts. */
size_t eelbert_input_tokens(const void *text, size_t length);

/* Bytes of an input for each of its slots. */
size_t eelbert_input_bytes(int number);

/* Fills the inputs of a graph with at least as many `slots` as the text has tokens. */
void eelbert_input_fill(const void *text, size_t length, size_t slots, void *const inputs[EELBERT_INPUTS]);

/* Adds to logits what the words and word pairs of a text say by themselves; nothing where the model has no such head. */
void eelbert_input_add_words(const void *text, size_t length, float *logits);

#ifdef __cplusplus
}
#endif

#endif

#endif
