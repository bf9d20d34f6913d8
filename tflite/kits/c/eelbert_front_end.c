#include "eelbert_front_end.h"

#ifdef __FAST_MATH__
#error "-ffast-math changes the last bits of the embeddings: compile this file with -fno-fast-math"
#endif

/* A polynomial over 32-bit integers with the constants of Fowler, Noll and Vo. */
#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u

#define FIRST_BYTE_FLAG 256u
#define LAST_BYTE_FLAG 512u
#define MAX_WORD_BYTES 64u

/* Dimensions computed side by side, to share the signatures of the n-grams: 12 bytes of stack each. */
#define LANES 16u

static int between(uint32_t x, uint32_t low, uint32_t high)
{
    return x - low <= high - low;
}

/* ---- Characters ---- */

enum { SPACE, WORD, FIRST, SYMBOL, DROPPED }; /* FIRST: of a word, and begins a new one */

typedef struct {
    uint8_t kind;     /* not DROPPED, which is a WORD of no bytes */
    uint8_t length;   /* bytes in the text */
    uint8_t count;    /* bytes that it becomes */
    uint8_t bytes[4];
} character;

/*
 * What begins at `p`, where `left` bytes are there to read: white space of n bytes (-n), a character of n bytes that
 * is a token by itself (n), or a byte of a word (0).
 */
static int classify(const uint8_t *p, size_t left)
{
    /* A byte that is missing reads as zero, which ends no character either. */
    uint32_t a = p[0], b = left > 1 ? p[1] : 0, c = left > 2 ? p[2] : 0, d = left > 3 ? p[3] : 0;

    if (a <= 0x20)
        return -1;
    if (a < 0x80)
        return !between(a, '0', '9') && !between(a | 0x20, 'a', 'z');
    if (a == 0xC2 && b == 0xA0) /* no-break space */
        return -2;
    if (!between(b, 0x80, 0xBF) || !between(c, 0x80, 0xBF))
        return 0;
    if (a == 0xF0) /* emoji and rare ideographs, from U+1F000 */
        return b >= 0x9F && between(d, 0x80, 0xBF) ? 4 : 0;
    if (between(a, 0xE0, 0xEF)) {
        uint32_t u = (a & 0x0F) << 12 | (b & 0x3F) << 6 | (c & 0x3F);

        if (between(u, 0x2000, 0x200F) || u == 0x3000) /* typographic spaces */
            return -3;
        if (between(u, 0x2000, 0x206F) || between(u, 0x3000, 0x303F) || /* punctuation, western and eastern */
            between(u, 0x3400, 0x9FFF) || between(u, 0xF900, 0xFAFF))   /* ideographs */
            return 3;
    }
    return 0;
}

/*
 * What becomes of letters, from U+0080 to U+06FF and from U+1E00 to U+1FFF: runs of characters with one rule. From the
 * highest bit on: 12 bits, place of the first among those covered; 7 bits, how many follow; 2 bits, kind; 11 bits,
 * value. Kinds: 0, all become the letter `value`; 1, they become `value`, `value` + 1 and so on; 2, the first, third
 * and so on become the next character; 3, by value: 0 dropped, 1 a token by itself, 2 the letters ss.
 */
static const uint32_t letter_runs[] = { /* written by tests/make_letters.py */
    0x02111801, 0x02B03801, 0x02D01800, 0x02E07801, 0x03401801, 0x03500BBC, 0x03605801, 0x03B01801, 0x03F01801,
    0x0400A061, 0x046008E6, 0x04700863, 0x04806065, 0x04C06069, 0x050008F0, 0x0510286E, 0x0530606F, 0x05701801,
    0x058008F8, 0x05906075, 0x05D00879, 0x05E008FE, 0x05F01802, 0x0600A061, 0x06700863, 0x06806065, 0x06C06069,
    0x0710286E, 0x0730606F, 0x07701801, 0x07906075, 0x07D00879, 0x07F00879, 0x0800A061, 0x0860E063, 0x08E02064,
    0x09003111, 0x09212065, 0x09C0E067, 0x0A402068, 0x0A603127, 0x0A810069, 0x0B203133, 0x0B40206A, 0x0B60206B,
    0x0B90A06C, 0x0BF07140, 0x0C30A06E, 0x0CA0314B, 0x0CC0A06F, 0x0D203153, 0x0D40A072, 0x0DA0E073, 0x0E206074,
    0x0E603167, 0x0E816075, 0x0F402077, 0x0F604079, 0x0F90A07A, 0x0FF00873, 0x10100A53, 0x10207183, 0x10600A54,
    0x10703188, 0x10902A56, 0x10B0318C, 0x10E009DD, 0x10F00A59, 0x11000A5B, 0x11103192, 0x11300A60, 0x11400A63,
    0x11600A69, 0x11700A68, 0x11803199, 0x11C00A6F, 0x11D00A72, 0x11F00A75, 0x1200206F, 0x122071A3, 0x12600A80,
    0x127031A8, 0x12900A83, 0x12C031AD, 0x12E00A88, 0x12F02075, 0x13102A8A, 0x133071B4, 0x13700A92, 0x138031B9,
    0x13C031BD, 0x144021C6, 0x147021C9, 0x14A021CC, 0x14D02061, 0x14F02069, 0x1510206F, 0x15312075, 0x15E06061,
    0x162020E6, 0x164031E5, 0x16602067, 0x1680206B, 0x16A0606F, 0x16E02292, 0x1700086A, 0x171021F3, 0x17402067,
    0x17600995, 0x177009BF, 0x1780206E, 0x17A02061, 0x17C020E6, 0x17E020F8, 0x18006061, 0x18406065, 0x18806069,
    0x18C0606F, 0x19006072, 0x19406075, 0x19802073, 0x19A02074, 0x19C0321D, 0x19E02068, 0x1A00099E, 0x1A207223,
    0x1A602061, 0x1A802065, 0x1AA0E06F, 0x1B202079, 0x1BB0323C, 0x1BD0099A, 0x1C103242, 0x1C300980, 0x1C400A89,
    0x1C500A8C, 0x1C613247, 0x24207801, 0x2521B801, 0x2650D801, 0x26D01801, 0x26F21801, 0x280DF800, 0x2F007371,
    0x2F400AB9, 0x2F501801, 0x2F603377, 0x2FE01801, 0x2FF00BF3, 0x30403801, 0x30600BB1, 0x30701801, 0x30800BB5,
    0x30900BB7, 0x30A00BB9, 0x30C00BBF, 0x30E00BC5, 0x30F00BC9, 0x31000BB9, 0x31120BB1, 0x3230CBC3, 0x32A00BB9,
    0x32B00BC5, 0x32C00BB1, 0x32D00BB5, 0x32E00BB7, 0x32F00BB9, 0x33000BC5, 0x342033C3, 0x34A00BB9, 0x34B00BC5,
    0x34C00BBF, 0x34D00BC5, 0x34E00BC9, 0x34F00BD7, 0x35000BB2, 0x35100BB8, 0x353023D2, 0x35500BC6, 0x35600BC0,
    0x3582F3D9, 0x37000BBA, 0x37100BC1, 0x37400BB8, 0x37500BB5, 0x37601801, 0x377033F8, 0x37900BF2, 0x37A033FB,
    0x37D04B7B, 0x38002435, 0x38200C52, 0x38300C33, 0x38404C54, 0x38700C56, 0x38806C58, 0x38C00C3A, 0x38D00C38,
    0x38E00C43, 0x38F00C5F, 0x39010C30, 0x39900C38, 0x39A2AC3A, 0x3B900C38, 0x3D002435, 0x3D300C33, 0x3D700C56,
    0x3DC00C3A, 0x3DD00C38, 0x3DE00C43, 0x3E02B461, 0x3F602475, 0x3F813479, 0x40201801, 0x40309800, 0x40A6B48B,
    0x44000CCF, 0x44102436, 0x443174C4, 0x45006430, 0x454034D5, 0x45602435, 0x458034D9, 0x45A024D9, 0x45C02436,
    0x45E02437, 0x460034E1, 0x46206438, 0x4660243E, 0x468034E9, 0x46A024E9, 0x46C0244D, 0x46E0A443, 0x47402447,
    0x476034F7, 0x4780244B, 0x47A6B4FB, 0x4B14AD61, 0x4DA0B801, 0x50903801, 0x50D05801, 0x51159800, 0x53E01801,
    0x53F01800, 0x54001801, 0x54103800, 0x54301801, 0x54403800, 0x54601801, 0x54701800, 0x57303801, 0x5800B800,
    0x58613801, 0x59015800, 0x59B01801, 0x59C01800, 0x59D05801, 0x5A202627, 0x5A400E48, 0x5A500E27, 0x5A600E4A,
    0x5CB29800, 0x5EA07801, 0x5F001800, 0x64000ED5, 0x64200EC1, 0x65300ED2, 0x65401801, 0x6560F800, 0x65E01801,
    0x65F0B800, 0x66703800, 0x66901801, 0x66A07800, 0x67D03801, 0x68002061, 0x6820A062, 0x68802063, 0x68A12064,
    0x69412065, 0x69E02066, 0x6A002067, 0x6A212068, 0x6AC06069, 0x6B00A06B, 0x6B60E06C, 0x6BE0A06D, 0x6C40E06E,
    0x6CC0E06F, 0x6D406070, 0x6D80E072, 0x6E012073, 0x6EA0E074, 0x6F212075, 0x6FC06076, 0x70012077, 0x70A06078,
    0x70E02079, 0x7100A07A, 0x71600868, 0x71700874, 0x71800877, 0x71900879, 0x71B00873, 0x71E01802, 0x7202E061,
    0x7381E065, 0x74806069, 0x74C2E06F, 0x7641A075, 0x7720E079, 0x7801E3B1, 0x7900A3B5, 0x7980A3B5, 0x7A01E3B7,
    0x7B01E3B9, 0x7C00A3BF, 0x7C80A3BF, 0x7D00E3C5, 0x7D900BC5, 0x7DB00BC5, 0x7DD00BC5, 0x7DF00BC5, 0x7E01E3C9,
    0x7F0023B1, 0x7F2023B5, 0x7F4023B7, 0x7F6023B9, 0x7F8023BF, 0x7FA023C5, 0x7FC023C9, 0x8001E3B1, 0x8101E3B7,
    0x8201E3C9, 0x830083B1, 0x8360C3B1, 0x83E00BB9, 0x842043B7, 0x846023B7, 0x848023B5, 0x84A043B7, 0x850063B9,
    0x8560A3B9, 0x860063C5, 0x864023C1, 0x8660A3C5, 0x86C00BC1, 0x872043C9, 0x876023C9, 0x878023BF, 0x87A043C9,
};

/* Other characters below U+10000. */
static const struct {
    uint16_t first, last;
    uint8_t kind;
} ranges[] = {
    {0x0080, 0x0084, DROPPED}, {0x0085, 0x0085, SPACE}, {0x0086, 0x009F, DROPPED}, {0x00A0, 0x00A0, SPACE},
    {0x0964, 0x0965, SYMBOL}, {0x0970, 0x0970, SYMBOL}, {0x0E00, 0x0E2F, FIRST}, {0x0E3E, 0x0E44, FIRST},
    {0x0E46, 0x0E46, FIRST}, {0x0E4F, 0x0E7F, FIRST}, {0x0E80, 0x0EAF, FIRST}, {0x0EBE, 0x0EC4, FIRST},
    {0x0EC6, 0x0EC6, FIRST}, {0x0ECF, 0x0EFF, FIRST}, {0x0F0B, 0x0F14, SYMBOL}, {0x1000, 0x102A, FIRST},
    {0x103F, 0x1055, FIRST}, {0x1360, 0x1368, SYMBOL}, {0x1680, 0x1680, SPACE}, {0x1780, 0x17B3, FIRST},
    {0x17D4, 0x17FF, FIRST}, {0x2000, 0x200A, SPACE}, {0x200B, 0x200F, DROPPED}, {0x2010, 0x2027, SYMBOL},
    {0x2028, 0x2029, SPACE}, {0x202A, 0x202E, DROPPED}, {0x202F, 0x202F, SPACE}, {0x2030, 0x205E, SYMBOL},
    {0x205F, 0x205F, SPACE}, {0x2060, 0x206F, DROPPED}, {0x20A0, 0x2BFF, SYMBOL}, {0x2E00, 0x2FFF, SYMBOL},
    {0x3000, 0x3000, SPACE}, {0x3001, 0x303F, SYMBOL}, {0x3400, 0x9FFF, SYMBOL}, {0xF900, 0xFAFF, SYMBOL},
    {0xFE00, 0xFE0F, DROPPED}, {0xFE10, 0xFE6F, SYMBOL}, {0xFEFF, 0xFEFF, DROPPED}, {0xFF61, 0xFF65, SYMBOL},
};

/* The run of the place, or 0. */
static uint32_t find_run(uint32_t place)
{
    size_t low = 0, high = sizeof letter_runs / sizeof *letter_runs;

    while (low < high) { /* the first run behind the place */
        size_t middle = (low + high) / 2;

        if (letter_runs[middle] >> 20 <= place)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || place - (letter_runs[low - 1] >> 20) > (letter_runs[low - 1] >> 13 & 0x7F))
        return 0;
    return letter_runs[low - 1];
}

/* Makes the character the letter with this code, below U+0800. */
static void put_letter(character *c, uint32_t code)
{
    c->kind = WORD;
    c->count = code < 0x80 ? 1 : 2;
    c->bytes[0] = (uint8_t)(code < 0x80 ? code : 0xC0 | code >> 6);
    c->bytes[1] = (uint8_t)(0x80 | (code & 0x3F));
}

static void put_ascii(character *c, uint32_t a)
{
    int letter = between(a | 0x20, 'a', 'z');

    c->kind = a <= 0x20 ? SPACE : letter || between(a, '0', '9') ? WORD : SYMBOL;
    c->count = 1;
    c->bytes[0] = (uint8_t)(letter ? a | 0x20 : a);
}

static void drop(character *c)
{
    c->kind = WORD;
    c->count = 0;
}

/* The character at `p` by the rules of normalization 1: `c` holds its first byte, as a word's. */
static void normalize(const uint8_t *p, size_t left, character *c)
{
    uint32_t a = p[0], code, run, place;
    uint8_t length = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    size_t i;

    if (a < 0x80)
        put_ascii(c, a);
    if (!between(a, 0xC2, 0xF4) || left < length)
        return;
    code = a & (0xFFu >> (length + 1));
    for (i = 1; i < length; i++) {
        if (!between(p[i], 0x80, 0xBF))
            return;
        code = code << 6 | (p[i] & 0x3F);
    }
    if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000)) /* not its shortest form */
        return;

    if (between(code, 0xFF01, 0xFF5E)) { /* full width */
        c->length = length;
        put_ascii(c, code - 0xFEE0);
        return;
    }
    if (between(code, 0x80, 0x6FF) || between(code, 0x1E00, 0x1FFF)) {
        place = code < 0x1E00 ? code - 0x80 : code - 0x1E00 + 0x680;
        run = find_run(place);
        if (run) {
            uint32_t kind = run >> 11 & 3, value = run & 0x7FF, offset = place - (run >> 20);

            if (kind == 2 && offset & 1)
                return; /* small already */
            c->length = length;
            if (kind < 3) {
                put_letter(c, kind ? value + offset : value);
            } else if (value == 0) {
                drop(c);
            } else if (value == 1) {
                c->kind = SYMBOL;
                c->count = length;
            } else {
                c->count = 2;
                c->bytes[0] = c->bytes[1] = 's';
            }
            return;
        }
    }
    for (i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (between(code, ranges[i].first, ranges[i].last))
            break;
    if (i < sizeof ranges / sizeof *ranges)
        c->kind = ranges[i].kind;
    else if (between(code, 0x1F000, 0x3FFFF)) /* emoji and rare ideographs */
        c->kind = SYMBOL;
    else if (between(code, 0xE0000, 0xE01FF)) /* tags and variation selectors */
        c->kind = DROPPED;
    else
        return;
    c->length = c->count = length;
    if (c->kind == DROPPED)
        drop(c);
}

/* The character at `p`, where `left` bytes are there to read; a byte that begins none is one of a word. */
static void read_character(const eelbert_config *config, const uint8_t *p, size_t left, character *c)
{
    size_t i;
    int n;

    for (i = 0; i < sizeof c->bytes; i++)
        c->bytes[i] = i < left ? p[i] : 0;
    c->kind = WORD;
    c->length = c->count = 1;
    if (config->normalization) {
        normalize(p, left, c);
        return;
    }
    n = classify(p, left);
    if (n) {
        c->kind = n < 0 ? SPACE : SYMBOL;
        c->length = c->count = (uint8_t)(n < 0 ? -n : n);
    }
    if (between(p[0], 'A', 'Z'))
        c->bytes[0] = (uint8_t)(p[0] | 0x20);
}

/* ---- Text to tokens ---- */

/* The next word or symbol of the text being read; 0 at its end. */
static int next_word(eelbert_tokens *tokens, eelbert_token *token)
{
    const uint8_t *text = tokens->text;
    size_t p = tokens->position, end = tokens->end, begin = end, last = end;
    uint8_t first = SPACE; /* kind of the character that begins the token */
    character c;

    for (; p < end; p += c.length) {
        read_character(tokens->config, text + p, end - p, &c);
        if (first == SPACE) {
            if (c.kind == SPACE || !c.count)
                continue;
            first = c.kind;
            begin = p;
        } else if (c.kind != WORD || (first == SYMBOL && c.count)) {
            break;
        }
        if (c.count)
            last = p + c.length; /* dropped bytes behind it do not belong to the token */
    }
    tokens->position = p;

    /* A token that touches the last byte read may be cut: it is dropped, unless nothing else would be left. */
    if (first == SPACE || (p == tokens->cut && tokens->found))
        return 0;
    tokens->found = 1;
    token->bytes = text + begin;
    token->length = last - begin;
    token->special = 0;
    return 1;
}

void eelbert_tokens_begin(eelbert_tokens *tokens, const eelbert_config *config, const void *text, size_t length)
{
    const uint8_t *bytes = text;
    size_t end = 0;

    if (length > config->max_bytes)
        length = config->max_bytes;
    while (end < length && !(config->pair && bytes[end] == EELBERT_SEPARATOR))
        end++;
    tokens->config = config;
    tokens->text = bytes;
    tokens->position = 0;
    tokens->end = end;
    tokens->length = length;
    tokens->cut = config->max_bytes;
    tokens->slots = config->max_tokens - 2u; /* all but [CLS] and [SEP] */
    tokens->reserved = 0;
    tokens->segment = tokens->started = tokens->found = 0;
    tokens->finished = config->max_tokens < 4; /* no valid configuration: better no token than one too many */

    if (end < length) {
        /* Look ahead: the second text is sure of as many slots as it has words, up to half of them. */
        eelbert_tokens second = *tokens;
        eelbert_token token;

        second.position = end + 1;
        second.end = length;
        second.found = 1; /* in the first text; where that has no word, nothing need be reserved */
        tokens->slots--;  /* the other [SEP] */
        while (tokens->reserved < tokens->slots / 2 && next_word(&second, &token))
            tokens->reserved++;
        tokens->slots -= tokens->reserved;
    }
}

int eelbert_tokens_next(eelbert_tokens *tokens, eelbert_token *token)
{
    token->segment = tokens->segment;
    if (tokens->finished)
        return 0;
    if (tokens->started && tokens->slots && next_word(tokens, token)) {
        tokens->slots--;
        return 1;
    }
    token->bytes = (const uint8_t *)(tokens->started ? "[SEP]" : "[CLS]");
    token->length = 5;
    token->special = 1;
    if (!tokens->started) {
        tokens->started = 1;
    } else if (tokens->end < tokens->length) { /* at the separator: on to the second text */
        tokens->position = tokens->end + 1;
        tokens->end = tokens->length;
        tokens->slots += tokens->reserved;
        tokens->segment = 1;
    } else {
        tokens->finished = 1;
    }
    return 1;
}

size_t eelbert_join_pair(const eelbert_config *config, const void *first, size_t first_length, const void *second,
                         size_t second_length, uint8_t *out)
{
    const uint8_t *a = first, *b = second;
    size_t size = config->max_bytes, room = (size - 1) / 2, n = 0, i;

    if (size - 1 > room + second_length)
        room = size - 1 - second_length;
    if (first_length > room) {
        size_t space = room;

        while (space > 0 && a[space] != ' ' && a[space] != EELBERT_SEPARATOR)
            space--;
        first_length = space ? space : room;
    }
    /* A separator inside a text is white space: only the one between them may divide. */
    for (i = 0; i < first_length; i++)
        out[n++] = a[i] == EELBERT_SEPARATOR ? ' ' : a[i];
    out[n++] = EELBERT_SEPARATOR;
    for (i = 0; i < second_length && n < size; i++)
        out[n++] = b[i] == EELBERT_SEPARATOR ? ' ' : b[i];
    return n;
}

/* ---- Tokens to embeddings ---- */

/*
 * Number `index` of the odd multipliers that SplitMix64 (Steele et al. 2014) draws from the seed. Its state is a mere
 * counter, so any of them can be had alone: computing one takes some thirty instructions, and no table fills the flash.
 */
static uint32_t multiplier(uint64_t seed, size_t index)
{
    uint64_t z = seed + (index + 1u) * UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ z >> 31) >> 32) | 1u;
}

/* The square root, rounded to nearest as IEEE 754 has it, without a maths library. `n` is at least 1. */
static float square_root(uint32_t n)
{
    float scale = 0x1p-16f;
    uint32_t root = 0, bit;
    uint64_t square;

    for (; n < 0x40000000u; n <<= 2)
        scale *= 0.5f;
    square = (uint64_t)n << 32;
    for (bit = 0x80000000u; bit; bit >>= 1)
        if ((uint64_t)(root | bit) * (root | bit) <= square)
            root |= bit;
    if ((uint64_t)root * root != square)
        root |= 1u; /* what is lost below 32 bits must not look like a tie to the rounding to 24 */
    return (float)root * scale;
}

/* A walk over the bytes of a token as they are hashed. */
typedef struct {
    const eelbert_config *config;
    const uint8_t *position, *end;
    uint8_t folds;      /* capitals of ASCII */
    uint8_t normalizes; /* all characters */
    uint8_t used;       /* bytes of the character that are out */
    character c;
} walk;

static void walk_begin(walk *w, const eelbert_config *config, const eelbert_token *token)
{
    w->config = config;
    w->position = token->bytes;
    w->end = token->bytes + token->length;
    w->folds = !token->special;
    w->normalizes = config->normalization && w->folds;
    w->used = w->c.count = 0;
}

/* The next byte, or -1 at the end. */
static int walk_next(walk *w)
{
    while (w->used == w->c.count) {
        int byte;

        if (w->position == w->end)
            return -1;
        if (!w->normalizes) {
            byte = *w->position++;
            return between((uint32_t)byte, 'A', 'Z') && w->folds ? byte | 0x20 : byte;
        }
        read_character(w->config, w->position, (size_t)(w->end - w->position), &w->c);
        w->used = 0;
        w->position += w->c.length;
    }
    return w->c.bytes[w->used++];
}

size_t eelbert_token_bytes(const eelbert_config *config, const eelbert_token *token, uint8_t *out, size_t room)
{
    size_t count = 0;
    walk w;
    int byte;

    walk_begin(&w, config, token);
    for (; (byte = walk_next(&w)) >= 0; count++)
        if (out && count < room)
            out[count] = (uint8_t)byte;
    return count;
}

/* Byte number `p` of a token's `count`, as it is hashed. */
static uint32_t unit(const eelbert_config *config, int byte, size_t p, size_t count)
{
    uint32_t u = (uint32_t)byte;

    if (config->boundaries) {
        if (p == 0)
            u += FIRST_BYTE_FLAG;
        if (p + 1 == count)
            u += LAST_BYTE_FLAG;
    }
    return u;
}

/* Only the last 64 bytes count, and in a longer token they start from zero: so the training graph can double. */
static uint32_t word_signature(const eelbert_config *config, const eelbert_token *token, size_t count)
{
    size_t skipped = count > MAX_WORD_BYTES ? count - MAX_WORD_BYTES : 0, p;
    uint32_t s = skipped ? 0 : FNV_OFFSET;
    walk w;

    walk_begin(&w, config, token);
    for (p = 0; p < count; p++) {
        int byte = walk_next(&w);

        if (p >= skipped)
            s = s * FNV_PRIME + unit(config, byte, p, count);
    }
    return s;
}

/* What one order of n-grams gives to an embedding; order 0 is the whole token. */
typedef struct {
    const eelbert_config *config;
    const eelbert_token *token;
    size_t count; /* bytes of the token */
    size_t order, grams;
    uint32_t whole; /* signature of the token */
} block;

static void block_begin(block *b, size_t order)
{
    size_t span = order ? order : b->count;

    b->order = order;
    b->whole = order ? 0 : word_signature(b->config, b->token, b->count);
    b->grams = span && span <= b->count ? b->count - span + 1 : 0;
}

/* Adds up dimensions `first` to `first + lanes`, at most LANES. */
static void block_sum(const block *b, size_t first, size_t lanes, int64_t *sum)
{
    uint32_t h[LANES], units[EELBERT_MAX_ORDERS] = {0}; /* the latest ones */
    size_t p, i, j;
    walk w;

    for (j = 0; j < lanes; j++) {
        h[j] = multiplier(b->config->seed, first + j);
        sum[j] = 0;
    }
    walk_begin(&w, b->config, b->token);
    for (p = 0; p < (b->order ? b->count : b->grams); p++) {
        uint32_t s = b->order ? FNV_OFFSET : b->whole;

        if (b->order) {
            for (i = 1; i < b->order; i++) {
                units[i - 1] = units[i];
                s = s * FNV_PRIME + units[i];
            }
            units[i - 1] = unit(b->config, walk_next(&w), p, b->count);
            s = s * FNV_PRIME + units[i - 1];
            if (p + 1 < b->order)
                continue;
        }
        for (j = 0; j < lanes; j++)
            sum[j] += (int32_t)(s * h[j]); /* "modulo B, centred", for B = 2 to the 32 */
    }
}

size_t eelbert_embedding_size(const eelbert_config *config)
{
    size_t size = config->word_width, i;

    for (i = 0; i < EELBERT_MAX_ORDERS && config->widths[i]; i++)
        size += config->widths[i];
    return size;
}

/* Dimensions of an embedding up to `last`, in float32 or, where `out` is NULL, in steps of 1/128. */
static size_t embed_block(const block *b, size_t first, size_t last, float *out, int8_t *small)
{
    size_t lanes, j;
    int64_t sum[LANES];
    float divisor = 1.0f;
    int32_t share = b->grams ? (int32_t)(0x1000000 / b->grams) : 0;

    if (out && b->grams > 1)
        divisor = b->config->pooling == EELBERT_SQRTN ? square_root((uint32_t)b->grams) : (float)b->grams;
    for (; first < last; first += lanes) {
        lanes = last - first < LANES ? last - first : LANES;
        block_sum(b, first, lanes, sum);
        for (j = 0; j < lanes; j++) {
            if (out) {
                out[first + j] = (float)sum[j] / divisor * 0x1p-31f;
            } else {
                int64_t steps = ((sum[j] >> 16) * share + 0x80000000) >> 32;

                small[first + j] = (int8_t)(steps > 127 ? 127 : steps);
            }
        }
    }
    return last;
}

static void embed(const eelbert_config *config, const eelbert_token *token, float *out, int8_t *small)
{
    block b = {config, token, eelbert_token_bytes(config, token, NULL, 0), 0, 0, 0};
    size_t first = 0, order;

    for (order = 1; order <= EELBERT_MAX_ORDERS && config->widths[order - 1]; order++) {
        block_begin(&b, order);
        first = embed_block(&b, first, first + config->widths[order - 1], out, small);
    }
    block_begin(&b, 0);
    embed_block(&b, first, first + config->word_width, out, small);
}

void eelbert_embed_token(const eelbert_config *config, const eelbert_token *token, float *out)
{
    embed(config, token, out, NULL);
}

void eelbert_hash_token(const eelbert_config *config, const eelbert_token *token, int8_t *out)
{
    embed(config, token, NULL, out);
}

uint32_t eelbert_word_code(const eelbert_config *config, const eelbert_token *token)
{
    uint32_t h = multiplier(config->seed, eelbert_embedding_size(config));

    return word_signature(config, token, eelbert_token_bytes(config, token, NULL, 0)) * h;
}

uint32_t eelbert_lexicon_row(const eelbert_config *config, const eelbert_token *token)
{
    return (uint32_t)((uint64_t)eelbert_word_code(config, token) * config->lexicon_size >> 32); /* its top bits */
}

size_t eelbert_embed_text(const eelbert_config *config, const void *text, size_t length, float *embeddings,
                          int32_t *padding_mask, int32_t *segment_ids)
{
    size_t size = eelbert_embedding_size(config), filled = 0, slot, j;
    eelbert_tokens tokens;
    eelbert_token token;

    eelbert_tokens_begin(&tokens, config, text, length);
    for (slot = 0; slot < config->max_tokens; slot++, embeddings += size) {
        int there = eelbert_tokens_next(&tokens, &token);

        if (there) {
            filled++;
            eelbert_embed_token(config, &token, embeddings);
        } else {
            for (j = 0; j < size; j++)
                embeddings[j] = 0.0f;
        }
        if (padding_mask)
            padding_mask[slot] = there;
        if (segment_ids)
            segment_ids[slot] = there ? token.segment : 0;
    }
    return filled;
}
