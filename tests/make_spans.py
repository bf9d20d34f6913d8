"""Writes tests/golden/spans.json: what every language's decoder of tags is tested with.

Run: python -m tests.make_spans
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.scores import softmax

GOLDEN = Path(__file__).parent / "golden" / "spans.json"
ABOUT = [
    "Spans of texts by the tags of their tokens; eelbert_tf/text/spans.py is the specification.",
    "names: n names of spans. logits: 8 times the logits of each token slot, integers [T][2 n + 1]: O, B of each name,"
    " I of each name. positions: first byte and byte behind the last of each slot's token; equal where there is none.",
    "data: the bytes of the text, hexadecimal. spans: for each the number of its name, first byte, byte behind the"
    " last, first and last character as code points and as units of UTF-16, and its score to 6 digits.",
]
TEXTS = ("wake me at nine", "Zoë naïve, 東京 😀 ok", "", "a", "don't fly U.S.A.", "e\u0301tat 😀😀 x")


def by_enumeration(logits: np.ndarray, n: int) -> list[int]:
    """The best tags by trying all: the first of the best ones does not matter, for there is one alone."""

    def allowed(tags: tuple[int, ...]) -> bool:
        return all(tag <= n or (i > 0 and tags[i - 1] in {tag, tag - n}) for i, tag in enumerate(tags))

    rows = np.arange(len(logits))
    tags = (t for t in itertools.product(range(2 * n + 1), repeat=len(logits)) if allowed(t))
    return list(max(tags, key=lambda t: float(logits[rows, list(t)].sum()), default=()))


def tokens(data: bytes, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Some tokens of a text, which may begin and end within characters, as those of a model may."""
    cuts = sorted(rng.choice(len(data) + 1, min(len(data) + 1, 10), replace=False).tolist())
    return [(a, b) for a, b in itertools.pairwise(cuts) if rng.random() < 0.8][:5]


def case(text: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """One text with random logits."""
    data = text.encode()
    found = tokens(data, rng)
    positions = [(0, 0), *found, (0, 0), (0, 0)]
    logits = rng.choice(np.arange(-40, 41), (len(positions), 2 * n + 1))
    rows = logits[1 : 1 + len(found)] / 8
    spans: list[list[Any]] = []
    before = 0
    for row, tag, (start, end) in zip(rows, by_enumeration(rows, n), found, strict=True):
        score = float(softmax(row)[tag])
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        while start > before and data[start] & 0xC0 == 0x80:
            start -= 1
        if tag > n:
            spans[-1][2], spans[-1][3] = end, min(spans[-1][3], score)
        elif tag:
            spans.append([tag - 1, max(start, before), end, score])
        before = end
    return {
        "names": [f"name {i}" for i in range(n)],
        "logits": logits.tolist(),
        "positions": positions,
        "data": data.hex(),
        "spans": [[k, a, b, *_offsets(data, a, b), round(score, 6)] for k, a, b, score in spans],
    }


def _offsets(data: bytes, start: int, end: int) -> list[int]:
    before, until = (data[:p].decode() for p in (start, end))
    return [len(before), len(until), len(before.encode("utf-16-le")) // 2, len(until.encode("utf-16-le")) // 2]


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(0)
    cases = [case(text, n, rng) for text in TEXTS for n in (1, 2, 3) for _ in range(2)]
    lines = ",\n".join(json.dumps(one) for one in cases)
    GOLDEN.write_text(f'{{"about": {json.dumps(ABOUT)},\n"cases": [\n{lines}\n]}}\n', "utf-8")


if __name__ == "__main__":
    main()
