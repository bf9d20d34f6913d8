"""Tables of a corpus's distinct words: hash embeddings and lexicon rows, computed once and looked up by word id.

A table is a cache: it holds the same numbers as the model's hash gives, computed by the same code (`text.hashing`), and
is never part of a model's weights. It lies in the corpus's folder under a name that depends on the hash and on the
words. Its last four bytes are its CRC-32.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.disk.files import replace_file, reserve
from eelbert_tf.disk.refusals import about
from eelbert_tf.errors import InputError
from eelbert_tf.text.reference import embed_token, lexicon_index
from eelbert_tf.text.word_tables import Compute, embeddings_of, fill, lexicon_rows_of
from eelbert_tf.training.corpus.reader import Corpus, Words, crc32

_SAMPLES = 16  # rows that are compared with the specification
_CRC_BYTES = 4


def embedding_table(corpus: Corpus, config: HashConfig, directory: str | os.PathLike[str] | None = None) -> np.ndarray:
    """The hash embedding of every distinct word.

    Args:
        corpus: gives the words.
        config: the hash.
        directory: where to keep the table; by default `cache` in the corpus's folder.

    Returns:
        float32 `[V, config.size]`, memory-mapped, read-only.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
        RuntimeError: this machine's arithmetic does not give the specified numbers.
    """

    def check(table: np.ndarray, ids: np.ndarray) -> bool:
        expected = np.stack([embed_token(corpus.words[i], config) for i in ids])
        return bool(np.allclose(table[ids], expected, atol=1e-5))

    name = f"embeddings-{_key(corpus, config)}.f32"
    return _cached(corpus, directory, name, np.float32, (len(corpus.words), config.size), embeddings_of(config), check)


def lexicon_table(corpus: Corpus, config: HashConfig, lexicon_size: int) -> np.ndarray:
    """The lexicon row of every distinct word.

    Args:
        corpus: gives the words.
        config: the hash whose signatures choose the row.
        lexicon_size: rows of the lexicon, a power of two.

    Returns:
        int32 `[V]`, memory-mapped, read-only.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
        RuntimeError: this machine's arithmetic does not give the specified numbers.
    """

    def check(table: np.ndarray, ids: np.ndarray) -> bool:
        return all(table[i] == lexicon_index(corpus.words[i], config, lexicon_size) for i in ids)

    name = f"lexicon-{_key(corpus, config)}-{lexicon_size}.i32"
    return _cached(corpus, None, name, np.int32, (len(corpus.words),), lexicon_rows_of(config, lexicon_size), check)


def lexicon_counts(corpus: Corpus, config: EelbertConfig) -> np.ndarray:
    """How often the words of each row of a lexicon with one lookup occur in a corpus: float64 `[lexicon_size]`.

    Args:
        corpus: gives the words.
        config: of an encoder with a lexicon.

    Raises:
        InputError: the corpus was built for another normalization, or its folder cannot be written.
    """
    assert config.hash is not None
    check_normalization(corpus, config.hash)
    return np.bincount(lexicon_table(corpus, config.hash, config.lexicon_size), corpus.counts, config.lexicon_size)


def check_normalization(corpus: Corpus, config: HashConfig) -> None:
    """Checks that a corpus was split into words as a hash does it.

    Raises:
        InputError: it was not.
    """
    if corpus.normalization != config.normalization:
        raise InputError(
            f"{corpus.directory}: its words have normalization {corpus.normalization}, and the model's hash "
            f"{config.normalization}; build the corpus again with `eelbert corpus --normalization "
            f"{config.normalization}`"
        )


def _key(corpus: Corpus, config: HashConfig) -> str:
    fields = json.dumps(dataclasses.asdict(config), sort_keys=True)
    return hashlib.blake2b(f"{corpus.fingerprint} {fields}".encode(), digest_size=8).hexdigest()


def _cached(
    corpus: Corpus,
    directory: str | os.PathLike[str] | None,
    name: str,
    dtype: type,
    shape: tuple[int, ...],
    compute: Compute,
    check: Callable[[np.ndarray, np.ndarray], bool],
) -> np.ndarray:
    """Reads a table from the disk. Computes it if it is missing, damaged, or differs from the specification.

    Raises:
        RuntimeError: this machine's arithmetic does not give the specified numbers.
    """
    path = (Path(directory) if directory else corpus.directory / "cache") / name
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    samples = np.unique(np.linspace(0, shape[0] - 1, _SAMPLES).astype(np.int64))
    with about(path):
        if path.is_file() and path.stat().st_size == size + _CRC_BYTES:
            table = np.memmap(path, dtype, "r", shape=shape)
            data = np.memmap(path, np.uint8, "r")
            if crc32(data[:size]) == int(data[size:].view("<u4")[0]) and check(table, samples):
                return table
        with replace_file(path) as temporary:
            reserve(temporary, size + _CRC_BYTES)
            table = np.memmap(temporary, dtype, "r+", shape=shape)
            words = corpus.words
            fill(table, words.lengths, lambda ids, width: _word_bytes(words, ids, width), compute)
            if not check(table, samples):
                raise RuntimeError(f"{name}: this machine's arithmetic does not give the numbers of docs/hash.md")
            data = np.memmap(temporary, np.uint8, "r+")
            data[size:].view("<u4")[0] = crc32(data[:size])
            data.flush()
            del table, data
        return np.memmap(path, dtype, "r", shape=shape)


def _word_bytes(words: Words, ids: np.ndarray, width: int) -> np.ndarray:
    """The bytes of some words, zero after the end: uint8 `[n, width]`."""
    columns = np.arange(width)
    chars = words.blob.take(words.starts[ids][:, None] + columns, mode="clip")
    chars[columns >= words.lengths[ids][:, None]] = 0
    return chars
