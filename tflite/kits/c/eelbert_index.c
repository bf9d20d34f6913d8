/* The functions of eelbert_index.h. */
#include "eelbert_index.h"

#include <math.h>
#include <string.h>

enum { HEADER = 32, VERSION = 1, UNIT = 127 };

static uint32_t number(const unsigned char *place)
{
    return place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16 | (uint32_t)place[3] << 24;
}

/* The CRC-32 of a file with zeros where its own stands. */
static uint32_t checksum(const unsigned char *data, size_t length)
{
    uint32_t crc = 0xFFFFFFFFu;
    size_t i;
    int bit;

    for (i = 0; i < length; i++) {
        crc ^= i >= 16 && i < 20 ? 0u : data[i];
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
    }
    return ~crc;
}

int eelbert_index_open(eelbert_index *index, const void *data, size_t length, uint32_t model_crc32)
{
    const unsigned char *bytes = (const unsigned char *)data;

    if (length < HEADER || memcmp(bytes, "eelindex", 8) != 0 || number(bytes + 8) != VERSION)
        return EELBERT_INDEX_FOREIGN;
    if (number(bytes + 12) != length || number(bytes + 16) != checksum(bytes, length))
        return EELBERT_INDEX_DAMAGED;
    index->data = bytes;
    index->count = number(bytes + 24);
    index->width = number(bytes + 28);
    if (index->width > EELBERT_INDEX_WIDEST)
        return EELBERT_INDEX_FOREIGN;
    return number(bytes + 20) == model_crc32 ? 0 : EELBERT_INDEX_OTHER_MODEL;
}

/* The first numbers of an embedding, at length 1, as bytes. */
static void quantize(const float *embedding, size_t width, size_t kept, int8_t *bytes)
{
    double sum = 0, length = 1;
    size_t i;

    for (i = 0; i < kept; i++)
        sum += (double)embedding[i] * embedding[i];
    if (kept < width && sum > 0)
        length = sqrt(sum);
    for (i = 0; i < kept; i++)
        bytes[i] = (int8_t)floor(UNIT * (embedding[i] / length) + 0.5);
}

static const unsigned char *rows(const eelbert_index *index)
{
    return index->data + HEADER + 4 * (2 * index->count + 1);
}

size_t eelbert_index_search(const eelbert_index *index, const float *embedding, size_t width, eelbert_match *matches,
                            size_t top)
{
    int8_t wanted[EELBERT_INDEX_WIDEST];
    size_t found = 0, id, i;

    if (width < index->width)
        return 0;
    quantize(embedding, width, index->width, wanted);
    for (id = 0; id < index->count; id++) {
        const int8_t *row = (const int8_t *)(rows(index) + id * index->width);
        int32_t product = 0;
        float score;

        for (i = 0; i < index->width; i++)
            product += row[i] * wanted[i];
        score = (float)product / (UNIT * UNIT); /* sums are small and whole: only equal ones are equal */
        if (found == top && (top == 0 || score <= matches[top - 1].score))
            continue;
        for (i = found < top ? found++ : top - 1; i > 0 && matches[i - 1].score < score; i--)
            matches[i] = matches[i - 1];
        matches[i].id = id;
        matches[i].score = score;
    }
    return found;
}

static const char *string(const eelbert_index *index, size_t which, size_t *length)
{
    const unsigned char *ends = index->data + HEADER + 4 * which;

    *length = number(ends + 4) - number(ends);
    return (const char *)rows(index) + index->count * index->width + number(ends);
}

const char *eelbert_index_text(const eelbert_index *index, size_t id, size_t *length)
{
    return string(index, 2 * id, length);
}

const char *eelbert_index_label(const eelbert_index *index, size_t id, size_t *length)
{
    return string(index, 2 * id + 1, length);
}
