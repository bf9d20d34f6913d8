"""What the C sources of a kit feed an encoder with, in NumPy: the same numbers, for calibration and for checks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eelbert_tf.config import HashConfig
from eelbert_tf.text.reference import (
    CLS,
    SEP,
    Tokens,
    candidate_rows,
    lexicon_index,
    multipliers,
    ngram_keys,
    signature,
    token_units,
    tokenize,
    word_signature,
)
from eelbert_tf.tflite.flatbuffer.tables import ROOT_BYTES

HASH_SCALE = 2.0**-7  # of hash embeddings in int8, whose values are from -1 to 1
_HALF = 2**31


@dataclass(frozen=True)
class Lexicon:
    """A lexicon's rows in int8.

    Args:
        rows: how many, a power of two.
        lookups: rows of a token.
        table: int8 `[rows, width]`, or of one in codes its books `[codes, 256, width / codes]`.
        codes: uint8 `[rows, codes]`; `None` for a table.
        scale: of the numbers.
    """

    rows: int
    lookups: int
    table: np.ndarray
    codes: np.ndarray | None
    scale: float

    @property
    def width(self) -> int:
        """Numbers of a token."""
        books = 1 if self.codes is None else self.table.shape[0]
        return self.lookups * books * self.table.shape[-1]

    def of_token(self, token: bytes, hash: HashConfig) -> np.ndarray:
        """int8 `[width]`."""
        place = lexicon_index(token, hash, self.rows**self.lookups)
        numbers = [place] if self.lookups == 1 else [place // self.rows, place % self.rows]
        if self.codes is None:
            return np.concatenate([self.table[number] for number in numbers])
        return np.concatenate([self.table[i, c] for number in numbers for i, c in enumerate(self.codes[number])])


@dataclass(frozen=True)
class LexicalTables:
    """A lexical head.

    Args:
        tags: uint16 `[rows]`.
        values: int8 `[rows, rank]`.
        kernel: float32 `[rank, outputs]`, or with codes the unit of each output, `[1, outputs]`.
        codes: uint8 `[rows, rank]`, the entry of the book that each value multiplies; `None` without.
        book: int8 `[256, outputs]`; `None` without.
    """

    tags: np.ndarray
    values: np.ndarray
    kernel: np.ndarray
    codes: np.ndarray | None = None
    book: np.ndarray | None = None

    def logits(self, rows: np.ndarray, filled: int) -> np.ndarray:
        """What some rows add to a text's logits: float32 `[outputs]`.

        Args:
            rows: of the text's n-grams.
            filled: slots of the text.
        """
        values = self.values[rows].astype(np.int64)
        if self.codes is None or self.book is None:
            return np.asarray(np.float32(values.sum(axis=0) / np.sqrt(filled)) @ self.kernel)
        total = (values[..., None] * self.book[self.codes[rows]]).sum(axis=(0, 1))
        return np.asarray(np.float32(total / np.sqrt(filled)) * self.kernel[0])


@dataclass(frozen=True)
class FrontEnd:
    """All that stands before the encoder.

    Args:
        hash: the hash.
        max_tokens: slots.
        max_bytes: bytes read of a text.
        lexicon: the model's, or `None`.
        lexical: the model's head of words, or `None`.
        masks: of each further input, what stands in filled and in empty slots, `[max_tokens + 1, 2]`, by the number of
            filled slots.
    """

    hash: HashConfig
    max_tokens: int
    max_bytes: int
    lexicon: Lexicon | None = None
    lexical: LexicalTables | None = None
    masks: Sequence[np.ndarray] = ()

    def tokens(self, data: bytes) -> Tokens:
        """The tokens of a text."""
        return tokenize(data, self.max_tokens, self.max_bytes, normalization=self.hash.normalization)

    def count(self, data: bytes) -> int:
        """Filled slots."""
        return len(self.tokens(data).first) + 2

    def inputs(self, data: bytes, slots: int | None = None) -> tuple[np.ndarray, ...]:
        """What the encoder is given for a text.

        Args:
            data: the text's bytes.
            slots: of the graph, at least `count`; `max_tokens` by default.
        """
        words = self.tokens(data).first
        filled, slots = len(words) + 2, slots or self.max_tokens
        hashed = np.zeros((1, slots, self.hash.size), np.int8)
        for slot, token in enumerate((CLS, *words, SEP)):
            hashed[0, slot] = hash_token(token, self.hash)
        found = [hashed]
        if self.lexicon is not None:
            rows = np.zeros((1, slots, self.lexicon.width), np.int8)
            for slot, word in enumerate(words, 1):
                rows[0, slot] = self.lexicon.of_token(word, self.hash)
            found.append(rows)
        return (*found, *(np.repeat(mask[filled], (filled, slots - filled)) for mask in self.masks))

    def lexical_logits(self, data: bytes) -> np.ndarray | float:
        """What the lexical head adds to a text's logits."""
        if self.lexical is None:
            return 0.0
        tokens = self.tokens(data)
        keys = np.array(ngram_keys(tokens, self.hash), np.int64)
        *places, tags = candidate_rows(keys, len(self.lexical.tags), self.hash)
        found = np.concatenate([rows[self.lexical.tags[rows] == tags] for rows in places])
        return self.lexical.logits(found, len(tokens.first) + 2)


@dataclass(frozen=True)
class Encoder:
    """An encoder, and what feeds it.

    Args:
        front_end: what its inputs are made by.
        data: its graphs, as `with_roots` gives them.
        slots: of each graph, the fewest first.
        ops: names of all operators.
        operators: how many the longest graph has.
    """

    front_end: FrontEnd
    data: bytes
    slots: list[int]
    ops: list[str]
    operators: int

    def number_for(self, count: int) -> int:
        """The number of the shortest graph that holds so many tokens."""
        return next(number for number, slots in enumerate(self.slots) if slots >= count)

    def graph(self, number: int) -> bytes:
        """A graph as a file."""
        return self.data[number * ROOT_BYTES :]


@functools.lru_cache(maxsize=2**14)
def hash_token(token: bytes, hash: HashConfig) -> np.ndarray:
    """The hash embedding of a token in steps of `HASH_SCALE`: int8 `[hash.size]`, by the integers that C computes."""
    units = token_units(token, hash.boundaries)
    h = multipliers(hash.seed, hash.size).view(np.uint32)
    grams = [[signature(units[p : p + n + 1]) for p in range(len(units) - n)] for n in range(len(hash.widths))]
    grams.append([word_signature(token, hash.boundaries)] if token else [])
    found, first = np.zeros(hash.size, np.int8), 0
    for signatures, width in zip(grams, (*hash.widths, hash.word_width), strict=True):
        if signatures:
            rows = np.array(signatures, np.uint32)[:, None] * h[first : first + width]
            total = rows.view(np.int32).sum(axis=0, dtype=np.int64) >> 16
            found[first : first + width] = np.clip(total * (2**24 // len(signatures)) + _HALF >> 32, -128, 127)
        first += width
    return found
