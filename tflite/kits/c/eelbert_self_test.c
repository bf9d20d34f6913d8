#include "eelbert_self_test.h"

#include "eelbert_classifier.h"

enum { COMPARED = EELBERT_WIDTH ? EELBERT_WIDTH : EELBERT_CLASSES, VALUES = COMPARED ? COMPARED : 1 };

typedef struct {
    int name;
    size_t start, end;
} test_span;

typedef struct {
    const char *text;
    size_t length;
    float values[VALUES];
    int spans;
    test_span span[EELBERT_TEST_SPANS];
} test;

static const test tests[EELBERT_TESTS] = {
#include "eelbert_model_tests.inc"
};

/* Runs the model on one text; returns the number of its spans, 0 for other models, or an error. */
static int answer(const test *t, float *values, eelbert_span *spans)
{
#if EELBERT_WIDTH
    (void)spans;
    return eelbert_embed(t->text, t->length, values);
#elif EELBERT_SPAN_NAMES
    return eelbert_tag(t->text, t->length, spans, values);
#else
    const int best = eelbert_classify(t->text, t->length, values);
    (void)spans;
    return best < 0 && best != EELBERT_NONE ? best : 0;
#endif
}

/* Whether all of it is as expected. Not a number is never. */
static int agrees(const test *t, const float *values, int count, const eelbert_span *spans)
{
    int i;

    for (i = 0; i < COMPARED; i++) {
        const float size = t->values[i] < 0 ? -t->values[i] : t->values[i];
        const float allowed = EELBERT_TEST_TOLERANCE * (size > 1 ? size : 1);
        const float error = values[i] - t->values[i];

        if (!(error <= allowed && -error <= allowed))
            return 0;
    }
    if (count != t->spans)
        return 0;
    for (i = 0; i < count; i++)
        if (spans[i].name != t->span[i].name || spans[i].start != t->span[i].start || spans[i].end != t->span[i].end)
            return 0;
    return 1;
}

int eelbert_self_test(void)
{
    float values[VALUES];
    eelbert_span spans[EELBERT_MAX_TOKENS];
    int i, failed = 0;

    for (i = 0; i < EELBERT_TESTS; i++) {
        const int count = answer(&tests[i], values, spans);

        if (count < 0)
            return count;
        failed += !agrees(&tests[i], values, count, spans);
    }
    return failed;
}
