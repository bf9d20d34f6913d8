"""What `normalization=1` does with each character (docs/hash.md, "Normalization"): data, and its reading.

The letters' table was made from Unicode once and is frozen like every constant of the hash: it does not follow the
`unicodedata` of the Python that runs.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

SPACE, WORD, FIRST, SYMBOL = range(4)  # kinds of characters; FIRST is part of a word and begins a new one

# The covered code points: 1,664 from U+0080 on, 512 from U+1E00 on.
TWO_BYTES = range(0x80, 0x700)
THREE_BYTES = range(0x1E00, 0x2000)

# Runs of characters with one rule. From the highest bit on: 12 bits, place of the first character among those
# covered; 7 bits, how many follow; 2 bits, kind; 11 bits, value. Kinds: 0, all become the letter `value`; 1, they
# become `value`, `value` + 1 and so on; 2, the first, third and so on become the next character; 3, by value: 0
# dropped, 1 a token by itself, 2 the letters ss.
# fmt: off
_RUNS = (  # written by tests/make_letters.py
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
)
# fmt: on

# Other characters: ranges of code points, the first and the last of each.
Ranges = tuple[tuple[int, int], ...]
SPACES: Ranges = (
    *((0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F)),
    *((0x205F, 0x205F), (0x3000, 0x3000)),
)
# Control characters, formats, variation selectors.
DROPPED: Ranges = ((0x80, 0x84), (0x86, 0x9F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F))
DROPPED += ((0xFEFF, 0xFEFF), (0xE0000, 0xE01FF))
SYMBOLS: Ranges = (
    *((0x964, 0x965), (0x970, 0x970), (0xF0B, 0xF14), (0x1360, 0x1368)),  # of Indian scripts, Tibetan, Ethiopic
    *((0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x2BFF), (0x2E00, 0x2FFF)),  # punctuation, currencies, signs
    *((0x3001, 0x303F), (0x3400, 0x9FFF), (0xF900, 0xFAFF)),  # ideographs and their punctuation
    *((0xFE10, 0xFE6F), (0xFF61, 0xFF65)),  # their narrow and upright forms
    (0x1F000, 0x3FFFF),  # emoji, rare ideographs
)
# Letters and digits of scripts without spaces between words: not the signs that stand on, under or behind them.
FIRSTS: Ranges = (
    *((0xE00, 0xE2F), (0xE3E, 0xE44), (0xE46, 0xE46), (0xE4F, 0xE7F)),  # Thai
    *((0xE80, 0xEAF), (0xEBE, 0xEC4), (0xEC6, 0xEC6), (0xECF, 0xEFF)),  # Lao
    *((0x1000, 0x102A), (0x103F, 0x1055)),  # Burmese
    *((0x1780, 0x17B3), (0x17D4, 0x17FF)),  # Khmer
)
FULL_WIDTH = (0xFF01, 0xFF5E)  # those of ASCII from 0x21 on, which they become


class Character(NamedTuple):
    """A character as it is read."""

    kind: int  # SPACE, WORD, FIRST or SYMBOL
    data: bytes  # what it becomes; of a dropped one nothing, of white space nothing that counts


@functools.cache
def characters() -> dict[int, Character]:
    """All characters from U+0080 on that are not simply part of a word as they are, up to U+FFFF."""
    found: dict[int, Character] = {}
    for kind, ranges in ((SPACE, SPACES), (FIRST, FIRSTS), (SYMBOL, SYMBOLS)):
        for first, last in ranges:
            for code in range(first, min(last, 0xFFFF) + 1):
                found[code] = Character(kind, chr(code).encode())
    for first, last in DROPPED:
        found.update(dict.fromkeys(range(first, min(last, 0xFFFF) + 1), Character(WORD, b"")))
    for code in range(FULL_WIDTH[0], FULL_WIDTH[1] + 1):
        found[code] = ascii_character(code - FULL_WIDTH[0] + 0x21)
    covered = (*TWO_BYTES, *THREE_BYTES)
    for run in _RUNS:
        place, more, kind, value = run >> 20, run >> 13 & 0x7F, run >> 11 & 3, run & 0x7FF
        for i in range(0, more + 1, 2 if kind == 2 else 1):
            code = covered[place + i]
            if kind == 3:
                special = (Character(WORD, b""), Character(SYMBOL, chr(code).encode()), Character(WORD, b"ss"))
                found[code] = special[value]
            else:
                found[code] = Character(WORD, chr(value if kind == 0 else value + i).encode())
    return found


def ascii_character(code: int) -> Character:
    """A byte below 0x80 as it is read."""
    if code <= 0x20:
        return Character(SPACE, bytes([code]))
    letter = bytes([code]).lower()
    return Character(WORD if letter.isalnum() else SYMBOL, letter)


def read_character(data: bytes, p: int) -> tuple[Character, int]:
    """The character at `p` and the number of its bytes; a byte that begins no whole character is part of a word."""
    lead = data[p]
    if lead < 0x80:
        return ascii_character(lead), 1
    length = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 1
    tail = data[p + 1 : p + length]
    if length > 1 and len(tail) == length - 1 and all(0x80 <= c <= 0xBF for c in tail):
        code = lead & 0xFF >> length + 1
        for c in tail:
            code = code << 6 | c & 0x3F
        if code >= (0x80, 0x800, 0x10000)[length - 2]:  # in its shortest form
            found = characters().get(code)
            if code > 0xFFFF:
                if SYMBOLS[-1][0] <= code <= SYMBOLS[-1][1]:
                    found = Character(SYMBOL, data[p : p + length])
                elif DROPPED[-1][0] <= code <= DROPPED[-1][1]:
                    found = Character(WORD, b"")
            if found is not None:
                return found, length
    return Character(WORD, data[p : p + 1]), 1
