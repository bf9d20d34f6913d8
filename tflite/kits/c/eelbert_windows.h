/*
 * A text that is longer than a model's input, read in windows of whole tokens: docs/hash.md, "Windows".
 *
 * C99, no heap, no library but eelbert_front_end.c. All state is the caller's.
 */
#ifndef EELBERT_WINDOWS_H
#define EELBERT_WINDOWS_H

#include "eelbert_front_end.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    size_t start;  /* first byte */
    size_t end;    /* the one behind the last */
    size_t tokens; /* [CLS] and [SEP] left out */
} eelbert_window;

/* A walk over the windows of one text; the fields are private. */
typedef struct {
    eelbert_config config; /* without limits */
    const uint8_t *text;
    size_t length;
    size_t position;   /* where the next window begins at the earliest */
    size_t max_tokens; /* words of a window */
    size_t room;       /* bytes of a window */
    size_t overlap;
} eelbert_windows;

/*
 * Starts a walk over `length` bytes of a text of its own. `max_tokens`, `max_bytes` and `normalization` are the model's,
 * as in eelbert_config; neighbouring windows have `overlap` tokens in common where they fit.
 */
void eelbert_windows_begin(eelbert_windows *windows, size_t max_tokens, size_t max_bytes, size_t overlap,
                           uint8_t normalization, const void *text, size_t length);

/* The next window. Returns 0 where there is none, as in a text without tokens. */
int eelbert_windows_next(eelbert_windows *windows, eelbert_window *window);

#ifdef __cplusplus
}
#endif

#endif
