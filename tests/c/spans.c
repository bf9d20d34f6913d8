/* Reads cases, as tests/test_spans.py writes them, and writes their spans. */
#include <stdio.h>

#include "eelbert_spans.h"

#define SLOTS 16
#define NAMES 4

int main(void)
{
    static float work[EELBERT_SPANS_WORK(SLOTS, NAMES) / sizeof(float) + 1];
    int slots, names, length;

    while (scanf("%d %d %d", &slots, &names, &length) == 3) {
        float logits[SLOTS * (2 * NAMES + 1)];
        int32_t positions[2 * SLOTS];
        unsigned char text[256];
        eelbert_span spans[SLOTS];
        int i, number, count;

        for (i = 0; i < slots * (2 * names + 1); i++) {
            if (scanf("%d", &number) != 1)
                return 1;
            logits[i] = (float)number / 8;
        }
        for (i = 0; i < 2 * slots; i++) {
            if (scanf("%d", &number) != 1)
                return 1;
            positions[i] = number;
        }
        for (i = 0; i < length; i++) {
            if (scanf("%d", &number) != 1)
                return 1;
            text[i] = (unsigned char)number;
        }
        count = eelbert_decode_spans(logits, positions, slots, names, text, (size_t)length, work, spans);
        for (i = 0; i < count; i++)
            printf("%d %d %d %.6f ", spans[i].name, (int)spans[i].start, (int)spans[i].end, (double)spans[i].score);
        printf("\n");
    }
    return 0;
}
