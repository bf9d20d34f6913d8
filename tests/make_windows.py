"""Golden vectors of windows, from the reference implementation alone.

python -m tests.make_windows    # writes tests/golden/windows.json anew
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from eelbert_tf.text.reference import window_places
from tests.make_golden import NORMALIZED_TEXTS, TEXTS, as_text

GOLDEN = Path(__file__).parent / "golden" / "windows.json"

ABOUT = [
    "The windows in which long texts are read. docs/hash.md is the specification; tests/make_windows.py writes this"
    " file. `data` is the text in hexadecimal digits. `windows`: first byte, the one behind the last, and tokens of"
    " each.",
]

# data, max_tokens, max_bytes, overlap, normalization
CASES: list[tuple[bytes, int, int, int, int]] = [
    (b"", 8, 32, 0, 0),
    (b" \t\xe2\x80\x83 ", 8, 32, 0, 0),
    (b"  one two  three. ", 4, 32, 0, 0),
    (b"one two three four five six seven", 5, 64, 0, 0),
    (b"one two three four five six seven", 6, 64, 2, 0),
    (b"one two three four five six seven", 16, 12, 0, 0),
    (b"one two three four five six seven", 16, 12, 3, 0),
    (b"one twothreefourfive six", 16, 8, 0, 0),
    (b"a b cdefgh i j", 8, 7, 2, 0),
    (b"nul\x00and\x1fseparator are\x0cspace", 4, 32, 1, 0),
    ("Dr. Müller\u2019s 我爱BERT 👍🏽 straße".encode(), 5, 24, 1, 0),
    (b"\xe4\xb8 \xe2\x80 \xf0\x9f\x98 \xc2 \xe3\x80\x41 \xff\xfe\x80\xbf", 4, 6, 0, 0),
    ("E\u0301TAT \u00adun\u00adder\u200b \u200bＦＵＬＬ，ｗｉｄｔｈ ภาษาไทย ßé\u0301".encode(), 5, 24, 1, 1),
    ("\u00ad \u200b".encode(), 5, 24, 0, 1),
    ("a\u0301 b\u0301\u0301 c\u0301 d".encode(), 16, 9, 0, 1),
]
MADE_UP = 24


def cases() -> list[tuple[bytes, int, int, int, int]]:
    """The cases above, and some of joined texts."""
    found, rng = list(CASES), random.Random(0)
    pools = [[data for data, *_ in texts if data] for texts in (TEXTS, TEXTS + NORMALIZED_TEXTS)]
    for number in range(MADE_UP):
        normalization = number % 2
        data = b" ".join(rng.choice(pools[normalization]) for _ in range(rng.randint(1, 4)))
        max_tokens = rng.randint(4, 24)
        overlap = rng.choice([0, (max_tokens - 2) // 2])
        found.append((data, max_tokens, rng.randint(4, 80), overlap, normalization))
    return found


def golden() -> dict[str, list[Any]]:
    """All vectors, as the JSON file holds them."""
    names = ("max_tokens", "max_bytes", "overlap", "normalization")
    records = []
    for data, *limits in cases():
        fields = dict(zip(names, limits, strict=True))
        records.append({"data": data.hex(), **fields, "windows": [list(w) for w in window_places(data, *limits)]})
    return {"about": ABOUT, "windows": records}


def main() -> None:
    """Writes the file."""
    GOLDEN.write_text(as_text(golden()), encoding="ascii")


if __name__ == "__main__":
    main()
