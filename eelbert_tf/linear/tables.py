"""The weights of n-grams as a table of bytes: docs/hash.md, "Lexical head"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eelbert_tf.config import BOOK_ENTRIES, HashConfig, LexicalConfig
from eelbert_tf.text.reference import candidate_rows

from .books import learn_book
from .placement import place

# Bytes of a table at most, and rows that a number for each class may not cost it: where it would, rows of two numbers
# and two codes tell more (experiments/lexical.py).
MAX_BYTES = 2**16
_ROWS = 2**13
_LEAST_ROWS = 2**11
_CODES = 2
_TAG_BYTES = 2

# Weights that are fitted at most before the n-grams are chosen that have a row, and how many compete for one.
_MOST_WEIGHTS = 2**20
_COMPETITORS = 4


@dataclass(frozen=True)
class LexicalTable:
    """What a lexical head holds.

    Args:
        config: its size.
        rows: int64 `[m]`, the row of each n-gram.
        tags: int64 `[m]`, what each is known by there.
        values: int8 `[m, rank]`.
        kernel: float32 `[rank, C]`, what makes logits of sums of values; `[1, C]`, the unit of each class, with codes.
        codes: int8 `[m, rank]`, less 128, the entry of the book that each value multiplies; `None` without.
        book: int8 `[256, C]`; `None` without.
    """

    config: LexicalConfig
    rows: np.ndarray
    tags: np.ndarray
    values: np.ndarray
    kernel: np.ndarray
    codes: np.ndarray | None = None
    book: np.ndarray | None = None


def largest_table(outputs: int, exclusive: bool) -> LexicalConfig:
    """The size that a table may have at most.

    Args:
        outputs: logits.
        exclusive: whether they are of classes that exclude each other: their weights sum up to nothing, so that one
            number fewer is enough.
    """
    rank = max(1, outputs - exclusive)
    if rank + _TAG_BYTES <= MAX_BYTES // _ROWS:
        return LexicalConfig(_power_of_two(MAX_BYTES // (rank + _TAG_BYTES)), rank)
    rows = (MAX_BYTES - BOOK_ENTRIES * outputs) // (2 * _CODES + _TAG_BYTES)
    return LexicalConfig(max(_LEAST_ROWS, _power_of_two(rows)), _CODES, coded=True)


def max_ngrams(largest: LexicalConfig, outputs: int) -> int:
    """How many n-grams are fitted before those are chosen that have a row."""
    return max(largest.rows, min(_COMPETITORS * largest.rows, _MOST_WEIGHTS // outputs))


def _power_of_two(number: int) -> int:
    """The largest that is not above a number; 1 at least."""
    return 1 << max(number, 1).bit_length() - 1


def place_ngrams(keys: np.ndarray, rows: int, hash: HashConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds rows for as many n-grams as possible, the first ones first.

    Args:
        keys: uint32 `[V]`, the most important first.
        rows: of the table.
        hash: what the keys were made by.

    Returns:
        Int64 `[m]` each: numbers of the n-grams that have a row, their rows, their tags.
    """
    first, second, tags = candidate_rows(keys.astype(np.int64), rows, hash)
    placed = place(np.stack([first, second], axis=1))
    found = np.flatnonzero(placed >= 0)
    return found, placed[found], tags[found]


def to_bytes(
    weights: np.ndarray, frequency: np.ndarray, config: LexicalConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Weights of n-grams as bytes: exact up to rounding without codes.

    Args:
        weights: float32 `[m, C]`.
        frequency: `[m]`, texts that an n-gram occurs in: those of frequent ones are kept best.
        config: of the table.

    Returns:
        Values, kernel, codes and book of a `LexicalTable`.
    """
    if config.coded:
        codes, gains, book = learn_book(weights, frequency, config.rank)
        unit = np.maximum(np.abs(gains).max(axis=0, initial=0), 1e-12) / 127  # [rank]
        book = book * np.repeat(unit, BOOK_ENTRIES // config.rank)[:, None]
        kernel = np.maximum(np.abs(book).max(axis=0, keepdims=True), 1e-12) / 127  # [1, C]
        values, book = np.round(gains / unit).astype(np.int8), np.round(book / kernel).astype(np.int8)
        return values, kernel.astype(np.float32), (codes - BOOK_ENTRIES // 2).astype(np.int8), book
    covariance = (weights * frequency[:, None]).T.astype(np.float64) @ weights  # [C, C]
    _, directions = np.linalg.eigh(covariance)
    kernel = directions.T[::-1][: config.rank].astype(np.float32)  # the largest first
    values = weights @ kernel.T
    unit = np.maximum(np.abs(values).max(axis=0, initial=0), 1e-12) / 127
    return np.round(values / unit).astype(np.int8), (kernel * unit[:, None]).astype(np.float32), None, None
