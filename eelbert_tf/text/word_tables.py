"""Rows of tables for single words, computed by the code that models run (`text.hashing`), many words at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import HashConfig

from . import hashing

Compute = Callable[[Any, Any], Any]  # chars int32 [n, width] and lengths int32 [n] to n rows
Gather = Callable[[np.ndarray, int], np.ndarray]  # indices [n] and a width to bytes [n, width], zero behind the end

_WIDTHS = (4, 6, 8, 10, 12, 16, 24, 32)  # then powers of two
_BYTES_AT_ONCE = 1 << 17  # bytes of words per call; each needs 4 times the width of a block of the hash in memory
_FEWEST = 64  # words per call


def embeddings_of(config: HashConfig) -> Compute:
    """Computes hash embeddings: float32 `[n, config.size]`."""

    def compute(chars: Any, lengths: Any) -> Any:
        starts, continues = _marks(lengths, chars.shape[1])
        return hashing.embed_tokens(chars, starts, continues, ops.zeros_like(chars), 1, config)[:, 0]

    return compute


def lexicon_rows_of(config: HashConfig, lexicon_size: int) -> Compute:
    """Computes rows of a lexicon: int32 `[n]`."""

    def compute(chars: Any, lengths: Any) -> Any:
        rows, lasts = hashing.lexicon_rows(chars, *_marks(lengths, chars.shape[1]), config, lexicon_size)
        return ops.sum(rows * lasts, axis=1)

    return compute


def _marks(lengths: Any, width: int) -> tuple[Any, Any]:
    """Marks each row's first byte, and its other bytes, where a row is one word: two int32 `[n, width]`."""
    positions = ops.expand_dims(ops.arange(width, dtype="int32"), 0)
    starts = ops.cast(ops.equal(positions, 0), "int32") * ops.ones((ops.shape(lengths)[0], 1), "int32")
    return starts, ops.cast(ops.less(positions, ops.expand_dims(lengths, 1)), "int32") - starts


def fill(table: np.ndarray, lengths: np.ndarray, gather: Gather, compute: Compute) -> None:
    """Computes the rows of all words, words of like length together: little padding, and few shapes to compile.

    Args:
        table: `[V, ...]`, what is filled.
        lengths: int64 `[V]`, bytes of each word, at least 1.
        gather: gives words' bytes.
        compute: gives their rows.
    """
    if not len(lengths):
        return
    if keras.backend.backend() == "jax":  # which is 30 times slower without compilation
        import jax

        compute = jax.jit(compute)
    longest = max(64, int(lengths.max()))
    widths = [*_WIDTHS, *(1 << power for power in range(6, longest.bit_length())), longest]
    numbers = np.searchsorted(np.unique(widths), lengths)
    # On the CPU, since a GPU would round the operands of matrix products to 10 bits (TF32).
    with keras.device("cpu"):
        for number, width in enumerate(np.unique(widths).tolist()):
            ids = np.flatnonzero(numbers == number)
            most = max(1, _BYTES_AT_ONCE // width)
            for some in (ids[i : i + most] for i in range(0, len(ids), most)):
                count = min(most, max(_FEWEST, 1 << (len(some) - 1).bit_length()))
                chars, sizes = np.zeros((count, width), np.int32), np.ones(count, np.int32)
                sizes[: len(some)] = lengths[some]
                chars[: len(some)] = gather(some, width)
                rows = compute(ops.convert_to_tensor(chars), ops.convert_to_tensor(sizes))
                table[some] = ops.convert_to_numpy(rows)[: len(some)]


def fill_words(table: np.ndarray, words: Sequence[bytes], compute: Compute) -> None:
    """`fill` for words in a list."""

    def gather(ids: np.ndarray, width: int) -> np.ndarray:
        return np.frombuffer(b"".join(words[i].ljust(width, b"\0") for i in ids), np.uint8).reshape(-1, width)

    fill(table, np.array([len(word) for word in words], np.int64), gather, compute)
