/* Whether a model reads all of a text. */
#ifndef EELBERT_TRUNCATION_H
#define EELBERT_TRUNCATION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * 1 where tokens of a text do not fit the model's input, or all its windows together, and are left out; 0 where the
 * model reads all of it. The `length` bytes are those that eelbert_classify takes; the model is not run.
 */
int eelbert_is_truncated(const void *text, size_t length);

#ifdef __cplusplus
}
#endif

#endif
