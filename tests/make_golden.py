"""Golden vectors of the hash, from the reference implementation alone.

python -m tests.make_golden    # writes tests/golden/hash.json anew
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import HashConfig
from eelbert_tf.text.reference import (
    candidate_rows,
    embed_token,
    lexicon_index,
    multipliers,
    ngram_keys,
    quantized_rows,
    signature,
    token_units,
    tokenize,
    word_signature,
)
from eelbert_tf.text.strings import join_pair

GOLDEN = Path(__file__).parent / "golden" / "hash.json"

ABOUT = [
    "Vectors of the n-gram pooling hash. docs/hash.md is the specification; tests/make_golden.py writes this file.",
    "Every value is an integer, a boolean, a string of hexadecimal digits (bytes), a name, null, or a list of these.",
    "multipliers: the first values for a seed, as uint32.",
    "hashes: the configurations, named by `tokens`. widths[i - 1] numbers of an embedding come from the i-grams, then"
    " word_width from the whole token.",
    "tokens: `signatures_i` is uint32, one for each i-gram from the first byte on. `word_signature` is uint32, and"
    " `lexicon_64` and `lexicon_2048` are rows of tables of those sizes; all null for the empty token.",
    "tokens: `embedding` holds float32 numbers as the uint32 with the same bits, so that they can be compared exactly.",
    "texts: `data` is what the model reads; `tokens` are all filled slots in order, [CLS] and [SEP] included;"
    " `segments` are their segment numbers.",
    "normalized_texts: the same for hashes with `normalization` 1; in `texts` it is 0.",
    "quantized_rows: tokens of the hash `boundaries`, their row in a lexicon of 64 rows of 6 numbers in 3 codes, and"
    " its numbers. Code i of row r is (37 r + 101 i) mod 256; number j of entry c of book i is 1024 i + 4 c + j.",
    "ngrams: `keys` of a lexical head, uint32: words and pairs of neighbours of the first text, of the second, and"
    " words that both have. `rows_and_tag` for a table of 4096 rows. 32 slots and 64 bytes.",
    "pairs: `joined` is the byte string of `first` and `second` for that many bytes, before it is padded with zeros.",
]

SEEDS = (0, 1, 20231, 2**32 + 7, 2**53 - 1)
LEXICON_SIZES = (64, 2048)
HASHES = {
    "default": HashConfig(),
    "small": HashConfig(widths=(5, 4, 3), seed=1),
    "boundaries": HashConfig(widths=(5, 4, 3), seed=1, boundaries=True),
    "all": HashConfig(widths=(4, 3, 2, 1), seed=2**32 + 7, boundaries=True, word_width=3, pooling="sqrtn"),
}

LONG = bytes(97 + i * 7 % 26 for i in range(200))
TOKENS = [
    b"",
    b"a",
    b"1",
    b"ab",
    b"cat",
    b"aaaa",
    b"lights",
    b"antidisestablishmentarianism",
    b"[CLS]",
    b"[SEP]",
    b"[MASK]",
    b"?",
    "é".encode(),
    "naïve".encode(),
    "中".encode(),
    "😀".encode(),
    "\u2019".encode(),
    b"\xff",
    b"\xc3(\x80\xff",
    b"a\x00b",
    LONG[:63],
    LONG[:64],
    LONG[:65],
    LONG,
]

# data, max_tokens, max_bytes, pair
TEXTS: list[tuple[bytes, int, int, bool]] = [
    (b"", 8, 32, False),
    (b"   \t\r\n\x00 ", 8, 32, False),
    (b"Turn ON the lights, please!", 16, 64, False),
    (b"don't stop-me U.S.A. $5.00 a_b [CLS] [sep] \x7f", 48, 64, False),
    ("\u201cSmart\u201d \u2014 it\u2019s\u2026 x\u200by\u2028z\u2060w\u2070".encode(), 24, 64, False),
    ("a\u00a0b\u3000c\u2009d\u200fe".encode(), 16, 64, False),
    ("ÉCOLE Straße Ελλάδα нет".encode(), 16, 64, False),
    ("我爱BERT，東京。かなカナ한국어".encode(), 32, 128, False),
    ("豈\ufaff\u3400\u4dbf\u4e00\u9fff\U00020000ok👍🏽👨\u200d👩".encode(), 32, 128, False),
    (b"\xe4\xb8 \xe2\x80 \xf0\x9f\x98 \xc2 \xe3\x80\x41 \xff\xfe\x80\xbf", 16, 64, False),
    (b"\xe2\x80\x99\x99 \xe9\xbf\xbf\xbf \xf0\x9f\x98\x80\x80 \xf0\x9e\x98\x80", 16, 64, False),
    (b"zero\x00inside\x01and\x1fseparator", 16, 64, False),
    (b"one two three four five six seven", 6, 64, False),
    (b"one two three", 16, 13, False),
    (b"one two three", 16, 12, False),
    (b"one two ", 16, 7, False),
    (b"abcdefghijklmnop", 16, 8, False),
    ("ab 中".encode(), 16, 5, False),
    ("ab 中".encode(), 16, 6, False),
    ("ab 中 ".encode(), 16, 7, False),
    (LONG + b" x", 8, 256, False),
    (b"A man eats.\x1fNobody eats!", 16, 64, True),
    (b"\x1f", 8, 32, True),
    (b"\x1fonly second", 8, 32, True),
    (b"only first\x1f", 8, 32, True),
    (b"no separator", 8, 32, True),
    (b"no separator but a long single text", 5, 64, True),
    (b"a\x1fb\x1fc", 8, 32, True),
    (b"a b c d e f\x1fg h i j k l", 10, 32, True),
    (b"a b c d e f\x1fg h", 8, 32, True),
    (b"a b\x1fg h i j k l", 8, 32, True),
    (b"a b c\x1fd e f", 4, 32, True),
    (b"a b c\x1fdef", 8, 9, True),
    (b"abcdef\x1f", 8, 7, True),
    (b"abcdef\x1fg", 8, 7, True),
]

# The same for `normalization=1`.
NORMALIZED_TEXTS: list[tuple[bytes, int, int, bool]] = [
    (b"", 8, 32, False),
    (b"Turn ON the lights, please! [CLS]", 16, 64, False),
    ("ÉTAT État é e\u0301tat Straße STRASSE ẞ ŁÓDŹ İstanbul ılık".encode(), 32, 128, False),
    ("Tiếng Việt TIẾNG VIỆT tie\u0302\u0301ng vie\u0302\u0323t".encode(), 32, 128, False),
    ("ΚΑΛΆ καλά καλα\u0301 ΣΟΦΌΣ σοφός ᾈδης ΐ".encode(), 32, 128, False),
    ("ПРИВЕТ Привет Ёлка мой мои\u0306 Ґанок Їжак ҚАЗАҚ".encode(), 32, 128, False),
    ("ԲԱՐԵՎ բարեւ բարև։ ինչո՞ւ".encode(), 16, 128, False),
    ("ＡＢＣ ａｂｃ１２３！？（ｘ） ｶﾅ｡「日本」".encode(), 32, 128, False),
    ("won\u00adder\u200bful co\u200cop\u200d \ufeffa\u2060b\ufe0f c\u061cd\u200ee".encode(), 16, 128, False),
    ("أَهْلًا وسهلا، كيف؟ نعم؛ آه٪".encode(), 24, 128, False),
    ("שָׁלוֹם ״עולם״ בית־ספר".encode(), 24, 128, False),
    ("नमस्ते दुनिया। कैसे॥ हो".encode(), 24, 128, False),
    ("বাংলা। தமிழ் తెలుగు ಕನ್ನಡ മലയാളം ਪੰਜਾਬੀ".encode(), 24, 160, False),
    ("ภาษาไทยไม่มี abcดี".encode(), 40, 128, False),
    ("ພາສາລາວ မြန်မာစာ။ ភាសាខ្មែរ។".encode(), 48, 160, False),
    ("ሰላም፡ዓለም። བོད་ཡིག ქართული ᲥᲐᲠᲗᲣᲚᲘ".encode(), 24, 160, False),
    ("我爱ＢＥＲＴ，東京。かなカナ한국어 ﾊﾝｶｸ".encode(), 32, 128, False),
    ("\u00bfQué? \u00a1Ya! \u00abvoilà\u00bb 20\u00a0€ 3×4 5°C m² №1 a\u00b7b".encode(), 40, 128, False),
    ("❤\ufe0f☀✓ 👩\u200d👩\u200d👧 👍🏽 🏴\U000e0067\U000e007f 1\ufe0f\u20e3".encode(), 32, 128, False),
    ("a\u2028b\u2029c\u202fd\u205fe\u1680f\u3000g\u0085h\u009fi".encode(), 24, 64, False),
    (b"\xc0\xa0 \xe0\x84\xad \xe2\xc2\xad\x80\x80 \xf0\x80\x80\xa0 \xed\xa0\x80 \xcc \xff\xc3", 16, 64, False),
    ("one two\u00ad".encode(), 16, 9, False),
    ("one two \u00ad".encode(), 16, 10, False),
    ("one, \u00ad".encode(), 16, 7, False),
    ("one,\u00ad".encode(), 16, 6, False),
    ("\u00ad\u200b".encode(), 16, 5, False),
    ("ab é".encode(), 16, 4, False),
    ("A man É\u00ad.\x1fNobody ＥＡＴＳ!".encode(), 16, 64, True),
    ("\u00ad\x1f\u00ad".encode(), 8, 32, True),
    ("a b c d e f\u200b\x1fé\u0301 h i j k l".encode(), 10, 64, True),
    ("no separator \u009f but ẞ".encode(), 8, 64, True),
]

# hash, data, pair
NGRAMS: list[tuple[str, bytes, bool]] = [
    ("default", b"", False),
    ("default", b"Turn ON the lights, on!", False),
    ("all", "é 中 a a a".encode() + LONG[:66], False),
    ("default", b"a b a\x1fb c b", True),
    ("all", b"\x1fonly second", True),
    ("all", b"no separator", True),
]

# first, second, max_bytes
PAIRS: list[tuple[bytes, bytes, int]] = [
    (b"", b"", 8),
    (b"a", b"b", 8),
    (b"abc", b"", 4),
    (b"abcd", b"", 4),
    (b"one two three four", b"five", 16),
    (b"one two three four", b"five six seven eight", 16),
    (b"onetwothreefour", b"five six seven eight", 16),
    (b"one", b"two three four five six", 16),
    (b" leading space only", b"x", 8),
    (b"abcdefg h", b"1234567", 16),
    (b"abcdefgh i", b"1234567", 16),
    (b"a\x1fb", b"c\x1fd", 16),
    (b"a\x1fbcdefghijk", b"lmnopqrstuv", 16),
    (b"\x00\xff\x1f", b"\x00", 16),
    ("中文中文中文".encode(), "日本日本".encode(), 20),
]


def _hash_fields(config: HashConfig) -> dict[str, Any]:
    """The fields that matter to tokens; the normalization matters to texts alone."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name != "normalization"}


def _token_record(name: str, token: bytes) -> dict[str, Any]:
    config = HASHES[name]
    units = token_units(token, config.boundaries)
    record: dict[str, Any] = {"hash": name, "token": token.hex()}
    for order in range(1, len(config.widths) + 1):
        grams = [units[p : p + order] for p in range(len(units) - order + 1)]
        record[f"signatures_{order}"] = [signature(gram) for gram in grams]
    record["word_signature"] = word_signature(token, config.boundaries) if token else None
    for size in LEXICON_SIZES:
        record[f"lexicon_{size}"] = lexicon_index(token, config, size) if token else None
    record["embedding"] = embed_token(token, config).view(np.uint32).tolist()
    return record


def _text_record(data: bytes, max_tokens: int, max_bytes: int, pair: bool, normalization: int = 0) -> dict[str, Any]:
    tokens, segments = tokenize(data, max_tokens, max_bytes, pair, normalization).with_specials()
    settings = {"data": data.hex(), "max_tokens": max_tokens, "max_bytes": max_bytes, "pair": pair}
    return {**settings, "tokens": [token.hex() for token in tokens], "segments": segments}


def _ngram_record(name: str, data: bytes, pair: bool) -> dict[str, Any]:
    config = HASHES[name]
    keys = ngram_keys(tokenize(data, 32, 64, pair), config)
    rows = [list(candidate_rows(key, 4096, config)) for key in keys]
    return {"hash": name, "data": data.hex(), "pair": pair, "keys": keys, "rows_and_tag": rows}


def _pair_record(first: bytes, second: bytes, max_bytes: int) -> dict[str, Any]:
    joined = join_pair(first, second, max_bytes)[:max_bytes]
    return {"first": first.hex(), "second": second.hex(), "max_bytes": max_bytes, "joined": joined.hex()}


def example_codes() -> tuple[np.ndarray, np.ndarray]:
    """Codes uint8 `[64, 3]` and books float32 `[3, 256, 2]` of a lexicon to look rows up in."""
    row, book, entry, number = np.arange(64), np.arange(3), np.arange(256), np.arange(2)
    codes = (37 * row[:, None] + 101 * book) % 256
    books = 1024 * book[:, None, None] + 4 * entry[:, None] + number
    return codes.astype(np.uint8), books.astype(np.float32)


def _row_records() -> list[dict[str, Any]]:
    tokens = [token for token in TOKENS if token]
    rows = [lexicon_index(token, HASHES["boundaries"], 64) for token in tokens]
    codes, books = example_codes()
    numbers = quantized_rows(codes[rows], books).astype(int).tolist()
    return [
        {"token": token.hex(), "row": row, "numbers": values}
        for token, row, values in zip(tokens, rows, numbers, strict=True)
    ]


def golden() -> dict[str, list[Any]]:
    """All vectors, as the JSON file holds them."""
    return {
        "about": ABOUT,
        "multipliers": [{"seed": seed, "values": multipliers(seed, 8).view(np.uint32).tolist()} for seed in SEEDS],
        "hashes": [{"name": name, **_hash_fields(config)} for name, config in HASHES.items()],
        "tokens": [_token_record(name, token) for name in HASHES for token in TOKENS],
        "quantized_rows": _row_records(),
        "texts": [_text_record(*text) for text in TEXTS],
        "normalized_texts": [_text_record(*text, normalization=1) for text in NORMALIZED_TEXTS],
        "ngrams": [_ngram_record(*record) for record in NGRAMS],
        "pairs": [_pair_record(*pair) for pair in PAIRS],
    }


def as_text(vectors: dict[str, list[Any]]) -> str:
    """JSON with one record per line, so that a change shows which one."""
    lists = []
    for key, records in vectors.items():
        lines = ",\n  ".join(json.dumps(record) for record in records)
        lists.append(f' "{key}": [\n  {lines}\n ]')
    return "{\n" + ",\n".join(lists) + "\n}\n"


def example() -> str:
    """The worked example of docs/hash.md."""
    token, config = b"cat", HashConfig(widths=(2, 2, 1))
    h = multipliers(config.seed, config.size).view(np.uint32)
    lines = [f"token 63 61 74 ({token.decode()}), widths {config.widths}, seed {config.seed}", f"h = {h.tolist()}"]
    begin = 0
    for order, width in enumerate(config.widths, 1):
        grams = [signature(list(token[p : p + order])) for p in range(len(token) - order + 1)]
        block = h[begin : begin + width]
        begin += width
        rows = (np.array(grams, np.uint32)[:, None] * block[None]).view(np.int32)
        total = rows.astype(np.int64).sum(axis=0)
        lines += [f"s_{order} = {grams}", f"  int32(s * h) = {rows.tolist()}", f"  sum = {total.tolist()}"]
    e = embed_token(token, config)
    lines += [
        f"e = [{', '.join(f'{x:.8f}' for x in e)}]",
        f"  as uint32 bits = [{', '.join(f'{x:08x}' for x in e.view(np.uint32))}]",
        f"word signature = {word_signature(token, False)}",
        f"lexicon row of 2048 = {lexicon_index(token, config, 2048)}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Writes the file."""
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(as_text(golden()), encoding="ascii")


if __name__ == "__main__":
    main()
