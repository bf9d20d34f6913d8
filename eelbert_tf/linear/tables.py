"""The weights of n-grams as a table of bytes: docs/hash.md, "Lexical head"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eelbert_tf.config import HashConfig, LexicalConfig
from eelbert_tf.text.reference import candidate_rows

from .placement import place

# Bytes of a table at most, and numbers of one row: more classes share a matrix of this rank. The rank matters more than
# the rows: of 64 intents (2,500 texts) 14 numbers in 4,096 rows tell 75.6 %, 30 in 2,048 80.9, 62 in 1,024 83.6.
MAX_BYTES = 2**16
MAX_RANK = 62
_TAG_BYTES = 2


@dataclass(frozen=True)
class LexicalTable:
    """What a lexical head holds.

    Args:
        config: its size.
        rows: int64 `[m]`, the row of each n-gram.
        tags: int64 `[m]`, what each is known by there.
        values: int8 `[m, rank]`.
        kernel: float32 `[rank, C]`, what makes logits of sums of values.
    """

    config: LexicalConfig
    rows: np.ndarray
    tags: np.ndarray
    values: np.ndarray
    kernel: np.ndarray


def max_rank(outputs: int, exclusive: bool) -> int:
    """Numbers per row.

    Args:
        outputs: logits.
        exclusive: whether they are of classes that exclude each other: their weights sum up to nothing, so that one
            number fewer is enough.
    """
    return max(1, min(outputs - exclusive, MAX_RANK))


def max_rows(rank: int) -> int:
    """Rows that a table may have at most."""
    return 1 << (MAX_BYTES // (rank + _TAG_BYTES)).bit_length() - 1


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


def to_bytes(weights: np.ndarray, frequency: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of n-grams as bytes and a matrix: exact up to rounding where the rank is that of the weights.

    Args:
        weights: float32 `[m, C]`.
        frequency: `[m]`, texts that an n-gram occurs in: those of frequent ones are kept best.
        rank: numbers per row.

    Returns:
        int8 `[m, rank]` and float32 `[rank, C]`, whose product they are about.
    """
    covariance = (weights * frequency[:, None]).T.astype(np.float64) @ weights  # [C, C]
    _, directions = np.linalg.eigh(covariance)
    kernel = directions.T[::-1][:rank].astype(np.float32)  # the largest first
    values = weights @ kernel.T
    unit = np.maximum(np.abs(values).max(axis=0, initial=0), 1e-12) / 127
    return np.round(values / unit).astype(np.int8), (kernel * unit[:, None]).astype(np.float32)
