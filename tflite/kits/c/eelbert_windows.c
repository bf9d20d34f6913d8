#include "eelbert_windows.h"

/* Starts a walk over the tokens from `position` on. */
static void walk_from(const eelbert_windows *windows, size_t position, eelbert_tokens *tokens)
{
    eelbert_token classify;

    eelbert_tokens_begin(tokens, &windows->config, windows->text + position, windows->length - position);
    eelbert_tokens_next(tokens, &classify);
}

/* The next word: 0 at the end of the text. */
static int next_word(const eelbert_windows *windows, eelbert_tokens *tokens, size_t *start, size_t *end)
{
    eelbert_token token;

    if (!eelbert_tokens_next(tokens, &token) || token.special)
        return 0;
    *start = (size_t)(token.bytes - windows->text);
    *end = *start + token.length;
    return 1;
}

/* Where the window behind `window` begins; the token that did not fit lies from `start` to `end`. */
static size_t next_position(const eelbert_windows *windows, const eelbert_window *window, size_t start, size_t end)
{
    size_t number, first, last;
    eelbert_tokens tokens;

    if (!windows->overlap)
        return start;
    walk_from(windows, window->start, &tokens);
    for (number = 0; number < window->tokens && next_word(windows, &tokens, &first, &last); number++)
        if (number && number + windows->overlap >= window->tokens && end - first <= windows->room)
            return first;
    return start;
}

void eelbert_windows_begin(eelbert_windows *windows, size_t max_tokens, size_t max_bytes, size_t overlap,
                           uint8_t normalization, const void *text, size_t length)
{
    eelbert_windows empty = {0};

    *windows = empty;
    windows->config.max_tokens = windows->config.max_bytes = UINT32_MAX;
    windows->config.normalization = normalization;
    windows->text = text;
    windows->length = length;
    windows->max_tokens = max_tokens - 2;
    windows->room = max_bytes - 1; /* a token that touches the last byte would be dropped */
    windows->overlap = overlap;
}

int eelbert_windows_next(eelbert_windows *windows, eelbert_window *window)
{
    size_t start, end;
    eelbert_tokens tokens;

    window->tokens = 0;
    walk_from(windows, windows->position, &tokens);
    while (next_word(windows, &tokens, &start, &end)) {
        if (!window->tokens) {
            window->start = start;
        } else if (window->tokens == windows->max_tokens || end - window->start > windows->room) {
            windows->position = next_position(windows, window, start, end);
            return 1;
        }
        window->end = end;
        window->tokens++;
    }
    windows->position = windows->length;
    return window->tokens > 0;
}
