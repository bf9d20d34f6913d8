"""Texts that are hard for a tokenizer. Every converted file is checked on them, and parity is measured on them."""

from __future__ import annotations

import random

from eelbert_tf.text.strings import TextOrPair

_VOCABULARY = (
    "the a of and to in is it that film movie light lights kitchen turn on off not never good bad great terrible "
    "what's don't naïve café Straße ΑΒΓ привет भाषा ไทย שלום سلام 東京 한국어 İstanbul co-operate state-of-the-art "
    "e.g. U.S.A. 3.14 1,000 #tag @user http://example.org/a?b=c&d=e user@example.org C++ $5 50% <b> &amp; [CLS] [SEP]"
)
_WORDS = _VOCABULARY.split()

# What texts are made of: every class of the byte tables and its neighbours, and broken pieces of UTF-8.
PIECES = [
    *(bytes([c]) for c in (0, 1, 9, 10, 13, 30, 31, 32, 33, 39, 46, 47, 48, 57, 58, 64, 65, 90, 91, 96, 97, 122)),
    *(bytes([c]) for c in (123, 126, 127, 0x80, 0x81, 0x8F, 0x90, 0x99, 0x9E, 0x9F, 0xA0, 0xAF, 0xB0, 0xBF, 0xC0)),
    *(bytes([c]) for c in (0xC2, 0xE2, 0xE3, 0xE4, 0xE9, 0xEA, 0xEF, 0xF0, 0xF4, 0xFF)),
    *(b"a", b"B", b"z9", b"  ", b"hello", b" the ", b"WORLD", b"[CLS]"),
    *(b"\xe2\x80", b"\xf0\x9f\x98", b"\xe4\xb8", b"\xef\xa4", b"\xef\xab", b"\xef\xac", b"\xed\xa0\x80", b"\xc0\xaf"),
    *(c.encode() for c in "éßД\u00a0\u0301\u2000\u2003\u200d\u200f\u2010\u2019\u201c\u201d\u2026\u2028"),
    *(c.encode() for c in "\u2040\u2069\u206f\u2070\u20ac\u3000\u3001。かカ\u30a2\u3100\u33ff\u3400\u4dff中"),
    *(c.encode() for c in "\u9fff\ua000\uf8ff\uf900\ufaff\ufb00，！한"),
    *(c.encode() for c in "\U0001efff\U0001f000😀\U0001f3fd\U00020000\U0003ffff"),
    # and of those of `normalization=1`
    *(c.encode() for c in "ÉıİẞŉȺǅſÅΆΰςᾳἈЁйҊԱևأَשׂ\u0300\u036f\u0345\u0370\u06ff\u0700\u1dff\u1e00\u1eff\u1fff"),
    *(c.encode() for c in "\x85\x9f\u00a1\u00ad\u00d7؟،؛\u200b\u200c\u202a\u202f\u205f\u2060\ufe00\ufe0f\ufeff।॥"),
    *(
        c.encode()
        for c in "Ａｚ０｡€❤\u2bff\u2c00\u2e00\u1680\u1360\ufe10\ufe6f\U000dffff\U000e0000\U000e01ff\U000e0200"
    ),
    *(c.encode() for c in "กิเๆ๚ກິໄကိ၊ကិក។"),
    *(b"\xc0\xa0", b"\xe0\x80\xa0", b"\xe0\x84\xad", b"\xf0\x80\x80\xa0", b"\xf3\xa0\x84"),
]

# Words around 64 bytes, the block that the hash works in.
_LONG_WORDS = ["a" * n + tail for n in (62, 63, 64, 65, 130) for tail in ("", " b", "\x1fb c")]

_FIXED: list[str | bytes] = [
    "",
    "\0",
    "\x1f",
    "\x1f\x1f",
    "a",
    "a" * 300,
    "a\x1fb",
    "ab " * 80,
    "x\x1f" * 40,
    b"\xff" * 70,
    *_LONG_WORDS,
    " ",
    "\n\t\r ",
    "A",
    ".",
    "\0" * 50,
    "before\0after",
    "\x1fa\x1f\x1fb\x1f",
    "a" * 10_000,
    "word " * 2_000,
    " " * 10_000,
    " " * 9_990 + "at the end",
    "." * 10_000,
    "中" * 3_334,
    "😀" * 2_500,
    "é" * 5_000,
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 🇩🇪 👍🏽",
    "“Curly” ‘quotes’ – dashes — and … dots",
    "我喜欢这部电影，真的。",
    "これはペンです。「はい」",
    "한국어 문장입니다.",
    "\u00a0no\u00a0break\u3000ideographic\u2003em",
    "\u202eright to left\u202c",
    "Zalgo h̷̢̛e̴̡͝ ̵c̶o̴m̷e̸s",
    "\ufeffbyte order mark",
    "\ud83d lone surrogate",
    "İıſßŒ ﬁ ﬂ",
    "ÉTAT état e\u0301tat Straße STRASSE ẞ TIẾNG tiếng ΚΑΛΆ καλά ПРИВЕТ мой ԲԱՐԵՎ բարեւ",
    "ＡＢＣ ａｂｃ１２３！？ won\u00adder\u200bful co\u200dop a\u2060b\ufe0f",
    "أَهْلًا، كيف؟ שָׁלוֹם נמשך ״כן״ नमस्ते। ¿Qué? «voilà» 20\u202f€",
    "ภาษาไทยไม่มี ພາສາລາວ မြန်မာစာ။ ភាសាខ្មែរ។ ሰላም፡ዓለም።",
    "\u00ad\u200b",
    "é" * 40 + "\u00ad" * 400,
    b"\xff\xfe\xfd",
    b"\xc3",
    b"caf\xc3",
    b"\xe2\x80",
    b"\xf0\x9f\x98",
    bytes(range(256)),
    b"\x80" * 300,
    b"\xf0\x9f" * 200,
]


def _sentence(rng: random.Random) -> str:
    words = [rng.choice(_WORDS) for _ in range(rng.randint(1, 40))]
    words = [rng.choice((word, word, word.upper(), word.title())) for word in words]
    return rng.choice((" ", " ", "  ", ", ")).join(words) + rng.choice(("", ".", "!", "?!", "…", "”"))


def _pieces(rng: random.Random) -> bytes:
    return b"".join(rng.choice(PIECES) for _ in range(rng.randint(0, 120)))


def _damaged(rng: random.Random) -> bytes:
    data = bytearray(_sentence(rng).encode())
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randint(0, len(data))])


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(0, 300))


def hard_texts(count: int = 600, seed: int = 0) -> list[str | bytes]:
    """Texts, the fixed ones first: empty, 10,000 characters, emoji, CJK, curly quotes, invalid UTF-8, NUL, noise.

    Args:
        count: how many; the fixed ones are there in any case.
        seed: fixes the others.
    """
    rng = random.Random(seed)
    kinds = (_sentence, _pieces, _damaged, _noise)
    return [*_FIXED, *(kinds[i % len(kinds)](rng) for i in range(count - len(_FIXED)))]


def hard_inputs(pair: bool, count: int = 600, seed: int = 0) -> list[TextOrPair]:
    """`hard_texts`, or pairs of them where `pair` is set."""
    texts: list[str | bytes] = hard_texts(count, seed)
    if not pair:
        return list(texts)
    others = list(texts)
    random.Random(seed + 1).shuffle(others)
    return list(zip(texts, others, strict=True))
