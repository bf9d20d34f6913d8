/* Written by `eelbert convert`: tests the model on the board, then reads a text. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "eelbert_classifier.h"
#include "eelbert_self_test.h"

static EELBERT_ARENA(arena);

static void read_text(const char *text)
{
#if EELBERT_SPAN_NAMES
    eelbert_span spans[EELBERT_MAX_TOKENS];
    const int count = eelbert_tag(text, strlen(text), spans, NULL);
    int i;

    for (i = 0; i < count; i++)
        printf("%s: %.*s\n", eelbert_span_names()[spans[i].name], (int)(spans[i].end - spans[i].start),
               text + spans[i].start);
#elif EELBERT_WIDTH
    static float embedding[EELBERT_WIDTH];

    if (eelbert_embed(text, strlen(text), embedding) == 0)
        printf("%f %f ...\n", (double)embedding[0], (double)embedding[1]);
#else
    float scores[EELBERT_CLASSES];
    const int best = eelbert_classify(text, strlen(text), scores);

    if (best >= 0)
        printf("%s %.2f\n", eelbert_labels()[best], (double)scores[best]);
#endif
}

static int run(void)
{
    const int error = eelbert_init(arena, sizeof(arena));
    int failed;

    if (error) {
        printf("eelbert_init: error %d, %u bytes missing\n", error, (unsigned)eelbert_arena_missing());
        return error;
    }
    printf("arena: %u of %u bytes\n", (unsigned)eelbert_arena_used(), (unsigned)sizeof(arena));
    failed = eelbert_self_test();
    printf("self test: %d of %d texts differ\n", failed, EELBERT_TESTS);
    read_text("Turn on the lights, please!");
    return failed;
}

#ifdef ESP_PLATFORM
void app_main(void)
{
    run();
}
#else
int main(void)
{
    return run();
}
#endif
