#include "eelbert_truncation.h"

#include "eelbert_model.h"
#include "eelbert_windows.h"

#if EELBERT_MAX_WINDOWS > 1

int eelbert_is_truncated(const void *text, size_t length)
{
    eelbert_windows windows;
    eelbert_window window;
    int count;

    eelbert_windows_begin(&windows, EELBERT_MAX_TOKENS, EELBERT_MAX_BYTES, EELBERT_WINDOW_OVERLAP,
                          EELBERT_NORMALIZATION, text, length);
    for (count = 0; eelbert_windows_next(&windows, &window); count++)
        if (count == EELBERT_MAX_WINDOWS || window.end - window.start > EELBERT_MAX_BYTES)
            return 1;
    return 0;
}

#else

/* Two walks over the text, with the model's limits and without: they part where something is left out. */
int eelbert_is_truncated(const void *text, size_t length)
{
    static const eelbert_config limited = {
        .pair = EELBERT_PAIR,
        .max_tokens = EELBERT_MAX_TOKENS,
        .max_bytes = EELBERT_MAX_BYTES,
        .normalization = EELBERT_NORMALIZATION,
    };
    static const eelbert_config whole = {
        .pair = EELBERT_PAIR,
        .max_tokens = UINT32_MAX,
        .max_bytes = UINT32_MAX,
        .normalization = EELBERT_NORMALIZATION,
    };
    eelbert_tokens read, all;
    eelbert_token kept, token;

    eelbert_tokens_begin(&read, &limited, text, length);
    eelbert_tokens_begin(&all, &whole, text, length);
    while (eelbert_tokens_next(&all, &token)) {
        if (!eelbert_tokens_next(&read, &kept) || kept.special != token.special)
            return 1;
        if (eelbert_token_bytes(&limited, &kept, NULL, 0) != eelbert_token_bytes(&whole, &token, NULL, 0))
            return 1;
    }
    return 0;
}

#endif
