"""Writes tests/golden/index.json: what every language's search is tested with.

Run: python -m tests.make_index
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "index.json"
ABOUT = [
    "Indexes and searches in them; docs/embeddings.md is the specification.",
    "index: the file, hexadecimal. model_crc32: the model that it belongs to. queries: for each an embedding, float32"
    " as decimal numbers, which may be wider than the index, and its matches: id, sum of products, text and label.",
]
TEXTS = [("how do I pay?", "By card."), ("größer 😀", ""), ("", "no text"), ("a", "b"), ("how do I pay?", "In cash.")]


def as_bytes(numbers: list[float], width: int) -> list[int]:
    """The bytes of an embedding, without NumPy's help."""
    kept = numbers[:width]
    if width < len(numbers):
        length = math.sqrt(math.fsum(x * x for x in kept))
        kept = [float(np.float32(x / length)) for x in kept]
    return [math.floor(127 * x + 0.5) for x in kept]


def embedding(rng: np.random.Generator, size: int) -> list[float]:
    """Random numbers of length 1, as float32 has them."""
    numbers = rng.normal(size=size) * np.linspace(2, 0.2, size)
    return [float(x) for x in (numbers / np.linalg.norm(numbers)).astype(np.float32)]


def case(texts: list[tuple[str, str]], size: int, width: int, rng: np.random.Generator) -> dict[str, Any]:
    """An index and four searches."""
    rows = [as_bytes(embedding(rng, size), width) for _ in texts]
    if len(rows) > 4:
        rows[4] = rows[0]  # equal ones
    strings = [part.encode() for pair in texts for part in pair]
    ends = [sum(map(len, strings[:i])) for i in range(len(strings) + 1)]
    crc = int(rng.integers(2**32))
    body = struct.pack(f"<{len(ends)}I", *ends) + b"".join(struct.pack(f"{width}b", *row) for row in rows)
    body += b"".join(strings)

    def head(own: int) -> bytes:
        return b"eelindex" + struct.pack("<6I", 1, 32 + len(body), own, crc, len(texts), width)

    queries = []
    for one in [embedding(rng, size), embedding(rng, size), [1.0] + [0.0] * (size - 1), [-1.0] + [0.0] * (size - 1)]:
        products = [sum(a * b for a, b in zip(row, as_bytes(one, width), strict=True)) for row in rows]
        order = sorted(range(len(texts)), key=lambda i: (-products[i], i))
        queries.append({"embedding": one, "matches": [[i, products[i], *texts[i]] for i in order]})
    return {"index": (head(zlib.crc32(head(0) + body)) + body).hex(), "model_crc32": crc, "queries": queries}


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(0)
    many = [(f"text {i}", f"label {i % 3}") for i in range(20)]
    cases = [case(TEXTS, 6, 6, rng), case(TEXTS, 16, 5, rng), case(many, 8, 3, rng), case(TEXTS[:1], 2, 1, rng)]
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in cases)
    GOLDEN.write_text(f'{{"about": {json.dumps(ABOUT)},\n"cases": [\n{lines}\n]}}\n', "utf-8")


if __name__ == "__main__":
    main()
