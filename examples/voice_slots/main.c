/*
 * Fills the slots of voice commands: one transcript a line on stdin, one line of JSON each on stdout.
 *
 * C99, no heap. Build it with the kit that `eelbert convert --target micro --kit` writes (README.md).
 */
#include <stdio.h>
#include <string.h>

#include "eelbert_classifier.h"

enum { LINE = 512 };

static EELBERT_ARENA(arena);

/* A string as JSON. */
static void print_string(const char *text, size_t length)
{
    size_t i;

    putchar('"');
    for (i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

/* {"intent": "light", "slots": [{"name": "room", "value": "kitchen"}]}; returns 0, or what failed. */
static int answer(const char *text, size_t length)
{
    static eelbert_span spans[EELBERT_MAX_TOKENS];
    static float scores[EELBERT_CLASSES];
    int count = eelbert_tag(text, length, spans, scores), best = 0, i;

    if (count < 0)
        return count;
    for (i = 1; i < EELBERT_CLASSES; i++)
        best = scores[i] > scores[best] ? i : best;
    printf("{\"intent\": ");
    print_string(eelbert_labels()[best], strlen(eelbert_labels()[best]));
    printf(", \"slots\": [");
    for (i = 0; i < count; i++) {
        const char *name = eelbert_span_names()[spans[i].name];

        printf("%s{\"name\": ", i ? ", " : "");
        print_string(name, strlen(name));
        printf(", \"value\": ");
        print_string(text + spans[i].start, spans[i].end - spans[i].start);
        putchar('}');
    }
    printf("]}\n");
    return 0;
}

int main(void)
{
    static char line[LINE];
    int failed = eelbert_init(arena, sizeof(arena));

    while (!failed && fgets(line, sizeof(line), stdin)) {
        failed = answer(line, strcspn(line, "\n"));
        fflush(stdout);
    }
    if (failed)
        fprintf(stderr, "eelbert: error %d\n", failed);
    return failed != 0;
}
