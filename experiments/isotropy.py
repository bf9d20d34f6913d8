"""Measures how evenly the hash spreads letters and words: the figures of docs/hash.md, "Isotropy".

    python experiments/isotropy.py                       # an embedded list of words, no data needed
    python experiments/isotropy.py --text F [--words N]  # the most frequent words of a UTF-8 text (.txt, .gz or .xz)

Prints tables, then one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gzip
import itertools
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import FNV_OFFSET, FNV_PRIME, HashConfig
from eelbert_tf.text.reference import multipliers, token_units, tokenize

# Bytes of printable ASCII after lower-casing: letters, digits, punctuation.
PRINTABLE = [bytes([c]) for c in range(0x21, 0x7F) if not chr(c).isupper()]
LETTERS = [c for c in PRINTABLE if c.isalpha()]
DEVICE_WORDS = b"""turn switch set dim brighten open close lock unlock start stop pause resume play skip volume louder
quieter mute light lights lamp fan heater door window blinds kitchen bedroom bathroom garage hallway on off up down to
percent degrees timer alarm remind minutes hours seconds morning evening tomorrow today weather rain temperature music
song playlist call message please could you the a in of for my all""".split()

MULTIPLIERS = 4096  # samples of one correlation: independent rows then differ from zero by about 1 / 64
SAMPLES = 1500  # n-grams drawn for each order above 1
STRONG = 0.2

# Name, offset, base. 31 and 257 are what textbooks use for strings; with offset 0 a single byte is itself.
VARIANTS: list[tuple[str, int, int]] = [
    ("offset 0, base 31", 0, 31),
    ("offset 0, base 257", 0, 257),
    ("offset 0, FNV prime", 0, FNV_PRIME),
    ("FNV offset, base 31", FNV_OFFSET, 31),
    ("FNV offset, FNV prime (used)", FNV_OFFSET, FNV_PRIME),
]


def gram_signatures(units: list[int], order: int, offset: int = FNV_OFFSET, base: int = FNV_PRIME) -> np.ndarray:
    """Signatures of all `order`-grams: uint32 `[k]`."""
    count = max(len(units) - order + 1, 0)
    s = np.full(count, offset, np.uint32)
    for i in range(order):
        s = s * np.uint32(base) + np.array(units[i : i + count], np.uint32)
    return s


def one_signature(gram: bytes, offset: int, base: int) -> np.ndarray:
    """The signature of a whole n-gram: uint32 `[1]`."""
    return gram_signatures(list(gram), len(gram), offset, base)


def project(signatures: np.ndarray, h: np.ndarray) -> np.ndarray:
    """float64 `[k, len(h)]` in [-1, 1)."""
    return (signatures[:, None] * h.view(np.uint32)[None]).view(np.int32) * 2.0**-31


def correlations(signatures: np.ndarray, h: np.ndarray) -> dict[str, Any]:
    """How much the projections of different n-grams agree, over many multipliers."""
    r = np.corrcoef(project(signatures, h))
    off = np.abs(r[np.triu_indices(len(r), 1)])
    return {"mean": float(off.mean()), "max": float(off.max()), "strong": int((off > STRONG).sum())}


def gram_samples() -> dict[int, list[bytes]]:
    """All printable bytes, and fixed samples of their pairs and triples."""
    rng, samples = np.random.default_rng(0), {1: PRINTABLE}
    for order in (2, 3):
        drawn = rng.integers(0, len(PRINTABLE), (SAMPLES, order))
        samples[order] = sorted({b"".join(PRINTABLE[i] for i in row) for row in drawn})
    return samples


def letter_table() -> dict[str, dict[int, dict[str, Any]]]:
    """Correlations for each variant and order, and for random signatures as the floor."""
    h = multipliers(0, MULTIPLIERS)
    samples = gram_samples()
    rng = np.random.default_rng(1)

    def row(make: Callable[[bytes], np.ndarray]) -> dict[int, dict[str, Any]]:
        return {order: correlations(np.concatenate([make(g) for g in grams]), h) for order, grams in samples.items()}

    table = {}
    for name, offset, base in VARIANTS:
        table[name] = row(functools.partial(one_signature, offset=offset, base=base))
    table["random 32-bit signatures (floor)"] = row(lambda _: rng.integers(0, 2**32, 1, dtype=np.uint32))
    return table


def embed_words(words: list[bytes], config: HashConfig, offset: int = FNV_OFFSET, base: int = FNV_PRIME) -> np.ndarray:
    """Hash embeddings without `word_width`: float64 `[len(words), sum(widths)]`."""
    h, begin, blocks = multipliers(config.seed, sum(config.widths)), 0, []
    for order, width in enumerate(config.widths, 1):
        block = np.zeros((len(words), width))
        for i, word in enumerate(words):
            s = gram_signatures(token_units(word, config.boundaries), order, offset, base)
            if len(s):
                total = project(s, h[begin : begin + width]).sum(axis=0)
                block[i] = total / (len(s) if config.pooling == "mean" else np.sqrt(len(s)))
        blocks.append(block)
        begin += width
    return np.concatenate(blocks, axis=1)


def effective_rank(x: np.ndarray) -> float:
    """The exponential of the entropy of the covariance's spectrum: between 1 and the width."""
    spectrum = np.clip(np.linalg.eigvalsh(np.cov(x.T)), 0.0, None)
    p = spectrum[spectrum > 0] / spectrum.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def word_table(words: list[bytes]) -> dict[str, dict[str, Any]]:
    """Effective rank, shared embeddings and norms, with boundaries off and on and both poolings."""
    lengths = np.array([len(word) for word in words])

    def row(x: np.ndarray) -> dict[str, Any]:
        norms = np.linalg.norm(x, axis=1)
        return {
            "effective_rank": effective_rank(x),
            "shared": len(words) - len(np.unique(x.astype(np.float32), axis=0)),
            "norm": {str(n): float(norms[lengths == n].mean()) for n in (2, 4, 8, 12) if (lengths == n).any()},
        }

    table = {"offset 0, base 31, off, mean": row(embed_words(words, HashConfig(), 0, 31))}
    for boundaries, pooling in itertools.product((False, True), ("mean", "sqrtn")):
        config = HashConfig(boundaries=boundaries, pooling=pooling)
        table[f"boundaries {'on' if boundaries else 'off'}, {pooling}"] = row(embed_words(words, config))
    return table


def frequent_words(path: Path, count: int, max_chars: int) -> list[bytes]:
    """The most frequent tokens of letters at the beginning of a text."""
    openers: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
    with openers.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
        lines = file.read(max_chars).encode().split(b"\n")
    seen = collections.Counter(
        token for line in lines for token in tokenize(line, len(line) + 2, len(line) + 1).first if token.isalpha()
    )
    return [word for word, _ in seen.most_common(count)]


def main() -> None:
    """Prints both tables and the JSON line."""
    parser = argparse.ArgumentParser(description="Isotropy of the n-gram pooling hash.")
    parser.add_argument("--text", type=Path, help="UTF-8 text to take words from (.txt, .gz, .xz)")
    parser.add_argument("--words", type=int, default=5000, help="number of distinct words (5000)")
    parser.add_argument("--max-chars", type=int, default=4_000_000, help="characters read of the text (4,000,000)")
    args = parser.parse_args()
    if args.text:
        words = frequent_words(args.text, args.words, args.max_chars)
    else:
        words = sorted({*DEVICE_WORDS, *(a + b for a in LETTERS for b in LETTERS)})
    letters, ranks = letter_table(), word_table(words)

    print(f"{'|r|: mean, max, pairs above ' + str(STRONG):34}" + "".join(f"{f'{n}-grams':>21}" for n in (1, 2, 3)))
    for name, row in letters.items():
        cells = (f"{v['mean']:>9.3f}{v['max']:6.2f}{v['strong']:6}" for v in row.values())
        print(f"{name:34}" + "".join(cells))
    print(f"\n{len(words)} words, 128 dimensions      effective rank  shared  norm by length in bytes")
    for name, values in ranks.items():
        norms = "  ".join(f"{n}: {norm:.2f}" for n, norm in values["norm"].items())
        print(f"{name:31}{values['effective_rank']:>14.1f}{values['shared']:>8}  {norms}")
    print(json.dumps({"words": len(words), "letters": letters, "embeddings": ranks}))


if __name__ == "__main__":
    main()
