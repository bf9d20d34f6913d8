"""Shuffled sequences of a corpus with random access: any worker finds any batch alone, from (seed, step)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eelbert_tf.errors import InputError

if TYPE_CHECKING:
    from .reader import Corpus

SPLITS = ("train", "validation")
VALIDATION_SHARE = 0.005
SPECIAL_TOKENS = 2  # [CLS] and [SEP], which the model adds

_ROUNDS = 6  # of the Feistel network; four already look random


class Sequences:
    """A split of a corpus, cut into sequences and shuffled anew in every epoch.

    A document of n words becomes ceil(n / w) sequences of up to w consecutive words; none spans two documents. Its
    borders move from epoch to epoch: what the last sequence lacks is divided by chance between the first and the last,
    so that neither is shorter than w / 4 (unless the document is). Every word comes once in an epoch. Documents are
    held out for validation by a hash of their number.

    Sequences are numbered on and on: epoch e has the positions from `e * len(self)`.

    Args:
        corpus: the corpus.
        sequence_length: tokens of the model's input, [CLS] and [SEP] included: w is two less.
        seed: fixes all orders and borders.
        split: "train", or "validation": 0.5 % of the documents, one at least.

    Attributes:
        width: w.
        documents: int64 `[n]`, numbers of the documents in this split.
        num_tokens: words in one epoch.
        fill: the share of slots that hold a word; the rest is padding.

    Raises:
        InputError: the corpus has fewer than two documents.
        ValueError: `sequence_length` or `split` out of range.
    """

    def __init__(self, corpus: Corpus, sequence_length: int, seed: int = 0, split: str = "train") -> None:
        if sequence_length < SPECIAL_TOKENS + 1:
            raise ValueError(f"`sequence_length` must be at least 3. Received: sequence_length={sequence_length}")
        if split not in SPLITS:
            raise ValueError(f'`split` must be "train" or "validation". Received: split={split!r}')
        if corpus.num_documents < 2:
            raise InputError(
                f"{corpus.directory}: has a single document, and one must be held out; put blank lines between "
                "documents, or build the corpus with --lines or --paragraphs in place of --input"
            )
        self.corpus = corpus
        self.seed = seed
        self.width = sequence_length - SPECIAL_TOKENS
        held_out = _held_out(corpus.num_documents)
        self.documents = np.flatnonzero(held_out == (split == "validation"))
        self._starts = corpus.documents[self.documents]
        self._lengths = corpus.documents[self.documents + 1] - self._starts
        self._pieces = -(-self._lengths // self.width)  # sequences of each document
        self._ends = np.cumsum(self._pieces)
        self.num_tokens = int(self._lengths.sum())
        self.fill = self.num_tokens / (len(self) * self.width)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """The sequences of one training step: int32 `[batch_size, width]`; epochs follow each other without a gap."""
        return self.rows(np.arange(step * batch_size, (step + 1) * batch_size))

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """The sequences at some positions.

        Args:
            positions: int64 `[n]`, not negative.

        Returns:
            int32 `[n, width]`: word ids, -1 after the end of a sequence.
        """
        epochs, places = np.divmod(np.asarray(positions, np.int64), len(self))
        keys = _mix(epochs.astype(np.uint64) + _mix(np.array([self.seed % 2**64], np.uint64)))
        numbers = _permute(places, len(self), keys)
        which = np.searchsorted(self._ends, numbers, side="right")  # the document of each
        piece = numbers - (self._ends[which] - self._pieces[which])
        length = self._lengths[which]
        shift = self._shift(which, keys)
        begin = np.maximum(piece * self.width - shift, 0)
        end = np.minimum((piece + 1) * self.width - shift, length)
        return self.corpus.take(self._starts[which] + begin, end - begin, self.width)

    def _shift(self, which: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """By how much the first sequence of a document is shorter than `width`: int64 `[n]`."""
        lacking = self._pieces[which] * self.width - self._lengths[which]  # in [0, width)
        most = self.width - max(self.width // 4, 1)  # that one sequence may lack
        low, high = np.maximum(lacking - most, 0), np.minimum(lacking, most)
        chance = _mix(keys ^ _mix(which.astype(np.uint64))) >> np.uint64(33)
        shift = low + chance.astype(np.int64) % (high - low + 1)
        return np.where(self._pieces[which] > 1, shift, 0)


def _held_out(num_documents: int) -> np.ndarray:
    """Which documents are for validation: bool `[num_documents]`."""
    keys = _mix(np.arange(num_documents, dtype=np.uint64))
    count = max(1, round(VALIDATION_SHARE * num_documents))
    held_out = np.zeros(num_documents, bool)
    held_out[np.argsort(keys, kind="stable")[-count:]] = True
    return held_out


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al. 2014): uint64 to uint64, each bit of the result depends on all bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _permute(places: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """Where a permutation of `count` numbers takes each place, without writing the permutation down.

    A Feistel network permutes the numbers of as many bits; what falls outside goes through it again until it is inside
    ("cycle walking", Black and Rogaway 2002).

    Args:
        places: int64 `[n]` in [0, count).
        count: size of the permutation.
        keys: uint64 `[n]`, the permutation of each place.
    """
    bits = max(2, (count - 1).bit_length())
    sizes = np.uint64(bits - bits // 2), np.uint64(bits // 2)  # of the two halves
    numbers = places.astype(np.uint64)
    outside = np.arange(len(numbers))
    while len(outside):
        x, key = numbers[outside], keys[outside]
        for turn in range(_ROUNDS):
            low_bits = sizes[turn % 2]  # the lower half becomes the upper one, so that their sizes alternate
            high, low = x >> low_bits, x & ((np.uint64(1) << low_bits) - np.uint64(1))
            high_mask = (np.uint64(1) << sizes[(turn + 1) % 2]) - np.uint64(1)
            mixed = high ^ (_mix(key ^ _mix(low + (np.uint64(turn) << np.uint64(56)))) & high_mask)
            x = low << sizes[(turn + 1) % 2] | mixed
        numbers[outside] = x
        outside = outside[x >= np.uint64(count)]
    return numbers.astype(np.int64)
