"""Rows of weights as multiples of a book's entries: a shape and a gain, and again for what is left."""

from __future__ import annotations

import numpy as np

from eelbert_tf.config import BOOK_ENTRIES

_TURNS = 15


def learn_book(weights: np.ndarray, importance: np.ndarray, codes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds entries whose multiples are near the rows: shape-gain vector quantization (Sabin and Gray 1984).

    The book has as many parts as a row has codes. Each is learned on what the parts before it leave, as k-means with
    directions in place of centres: words of one class point the same way, whatever their weight.

    Args:
        weights: float32 `[m, C]`.
        importance: `[m]`, weights of the rows in the error.
        codes: of a row; must divide the 256 entries.

    Returns:
        Codes int64 `[m, codes]`, gains float32 `[m, codes]`, and the book, float32 `[256, C]`, of entries of length 1.
    """
    left, entries = weights.astype(np.float32), BOOK_ENTRIES // codes
    chosen, gains, book = [], [], []
    for i in range(codes):
        part = _directions(left, importance, entries, seed=i)
        code, gain = _nearest(left, part)
        left = left - gain[:, None] * part[code]
        chosen.append(code + i * entries)
        gains.append(gain)
        book.append(part)
    return np.stack(chosen, axis=1), np.stack(gains, axis=1), np.concatenate(book)


def _directions(rows: np.ndarray, importance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Entries of one part: float32 `[count, C]`, zeros where there are fewer rows."""
    length = np.linalg.norm(rows, axis=1)
    share = importance * np.square(length.astype(np.float64))
    able = int(np.count_nonzero(share))
    if not able:
        return np.zeros((count, rows.shape[1]), np.float32)
    rng = np.random.default_rng(seed)
    start = rng.choice(len(rows), min(count, able), replace=False, p=share / share.sum())
    found = rows[start] / length[start, None]
    for _ in range(_TURNS):
        code, gain = _nearest(rows, found)
        total = np.zeros_like(found)
        np.add.at(total, code, (importance * gain)[:, None].astype(np.float32) * rows)
        size = np.linalg.norm(total, axis=1, keepdims=True)
        found = np.where(size > 0, total / np.maximum(size, np.finfo(np.float32).tiny), found)
    return np.pad(found, ((0, count - len(found)), (0, 0)))


def _nearest(rows: np.ndarray, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entry that each row is most along, either way, and how far it goes: int64 `[m]` and float32 `[m]`."""
    along = rows @ entries.T
    code = np.abs(along).argmax(axis=1)
    return code, along[np.arange(len(rows)), code]
