/* See eelbert_spans.h. */
#include "eelbert_spans.h"

#include <math.h>
#include <string.h>

static int first_of_greatest(const float *numbers, int count)
{
    int i, best = 0;

    for (i = 1; i < count; i++)
        best = numbers[i] > numbers[best] ? i : best;
    return best;
}

static float probability(const float *row, int count, int tag)
{
    float greatest = row[first_of_greatest(row, count)], sum = 0.0f;
    int i;

    for (i = 0; i < count; i++)
        sum += expf(row[i] - greatest);
    return expf(row[tag] - greatest) / sum;
}

static int is_tail(const unsigned char *text, size_t length, size_t position)
{
    return position < length && (text[position] & 0xC0) == 0x80;
}

/*
 * The tags with the greatest sum of logits of which none is I without a B or an I of its name before. Only tokens
 * count: their number is returned, and `tags` has one number for each.
 */
static int best_tags(const float *logits, const int32_t *positions, int slots, int names, float *scores, uint16_t *tags,
                     uint16_t *best, unsigned char *continues)
{
    const int count = 2 * names + 1, stride = (names + 7) / 8;
    int slot, i, tokens = 0;

    memset(continues, 0, (size_t)slots * (size_t)stride);
    for (slot = 0; slot < slots; slot++) {
        const float *row = logits + (size_t)slot * (size_t)count;
        unsigned char *bits = continues + (size_t)tokens * (size_t)stride;
        float before;

        if (positions[2 * slot + 1] <= positions[2 * slot])
            continue;
        if (tokens == 0) { /* no text begins within a span */
            for (i = 0; i < count; i++)
                scores[i] = i > names ? -HUGE_VALF : row[i];
        } else {
            best[tokens] = (uint16_t)first_of_greatest(scores, count);
            before = scores[best[tokens]];
            for (i = 0; i < names; i++) {
                float begun = scores[1 + i], inside = scores[1 + names + i];

                if (inside > begun)
                    bits[i / 8] |= (unsigned char)(1u << (i % 8));
                scores[1 + names + i] = (inside > begun ? inside : begun) + row[1 + names + i];
            }
            for (i = 0; i <= names; i++)
                scores[i] = before + row[i];
        }
        tokens++;
    }
    if (tokens == 0)
        return 0;
    tags[tokens - 1] = (uint16_t)first_of_greatest(scores, count);
    for (i = tokens - 1; i > 0; i--) {
        const int tag = tags[i], name = tag - 1 - names;

        if (tag <= names)
            tags[i - 1] = best[i];
        else if (continues[(size_t)i * (size_t)stride + (size_t)(name / 8)] >> (name % 8) & 1)
            tags[i - 1] = (uint16_t)tag;
        else
            tags[i - 1] = (uint16_t)(tag - names);
    }
    return tokens;
}

int eelbert_decode_spans(const float *logits, const int32_t *positions, int slots, int names, const void *text,
                         size_t length, void *work, eelbert_span *spans)
{
    const unsigned char *bytes = (const unsigned char *)text;
    const int count = 2 * names + 1;
    float *scores = (float *)work;
    uint16_t *tags = (uint16_t *)(scores + count), *best = tags + slots;
    int slot, token = 0, found = 0;
    size_t before = 0;

    best_tags(logits, positions, slots, names, scores, tags, best, (unsigned char *)(best + slots));
    for (slot = 0; slot < slots; slot++) {
        size_t start = (size_t)positions[2 * slot], end = (size_t)positions[2 * slot + 1];
        float score;
        int tag;

        if (end <= start)
            continue;
        tag = tags[token++];
        score = probability(logits + (size_t)slot * (size_t)count, count, tag);
        while (start > before && is_tail(bytes, length, start))
            start--; /* a span begins and ends where characters do */
        start = start < before ? before : start;
        while (is_tail(bytes, length, end))
            end++;
        before = end;
        if (tag > names) {
            spans[found - 1].end = end;
            spans[found - 1].score = score < spans[found - 1].score ? score : spans[found - 1].score;
        } else if (tag > 0) {
            spans[found].name = tag - 1;
            spans[found].start = start;
            spans[found].end = end;
            spans[found].score = score;
            found++;
        }
    }
    return found;
}
