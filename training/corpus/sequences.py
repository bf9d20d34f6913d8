"""Shuffled sequences of a corpus with random access: any worker can compute any batch from (seed, step) alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.text.reference import splitmix64

if TYPE_CHECKING:
    from .reader import Corpus

SPLITS = ("train", "validation")
VALIDATION_SHARE = 0.005
SPECIAL_TOKENS = 2  # [CLS] and [SEP], which the model adds

_ROUNDS = 6  # of the Feistel network; its output already looks random after four


class Sequences:
    """A split of a corpus, cut into sequences that are shuffled anew in every epoch.

    A document of n words becomes ceil(n / w) sequences of up to w consecutive words; no sequence spans two documents.
    Every word occurs once in an epoch. Where a document is cut changes from epoch to epoch: the slots that stay empty
    are divided at random between its first and its last sequence, and neither becomes shorter than w / 4 (unless the
    document is). Documents are held out for validation by a hash of their number.

    Sequences are numbered across epochs: epoch e begins with number `e * len(self)`.

    Args:
        corpus: the corpus.
        sequence_length: tokens of the model's input, [CLS] and [SEP] included: w is two less.
        seed: fixes the order and the cuts of all epochs.
        split: "train", or "validation": 0.5 % of the documents, but at least one.

    Attributes:
        width: w.
        documents: int64 `[n]`, numbers of the documents in this split.
        num_tokens: words in one epoch.
        fill: the share of slots that hold a word; the rest is padding.

    Raises:
        InputError: the corpus has fewer than two documents, or those of the split are empty.
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
        self._counts = -(-self._lengths // self.width)  # sequences of each document
        self._ends = np.cumsum(self._counts)
        self.num_tokens = int(self._lengths.sum())
        if not self.num_tokens:
            raise InputError(f"{corpus.directory}: all documents of the {split} part are empty; build the corpus again")
        self.fill = self.num_tokens / (len(self) * self.width)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """The sequences of one training step: int32 `[batch_size, width]`; epochs follow each other without a gap."""
        return self.rows(np.arange(step * batch_size, (step + 1) * batch_size))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Some sequences.

        Args:
            numbers: int64 `[n]`, not negative.

        Returns:
            int32 `[n, width]`: word ids, -1 after the end of a sequence.
        """
        epochs, inside = np.divmod(np.asarray(numbers, np.int64), len(self))
        keys = splitmix64(epochs.astype(np.uint64) + splitmix64(np.array([self.seed % 2**64], np.uint64)))
        unshuffled = _permute(inside, len(self), keys)
        document = np.searchsorted(self._ends, unshuffled, side="right")
        index = unshuffled - (self._ends[document] - self._counts[document])  # of the sequence in its document
        shift = self._shift(document, keys)
        begin = np.maximum(index * self.width - shift, 0)
        end = np.minimum((index + 1) * self.width - shift, self._lengths[document])
        return self.corpus.take(self._starts[document] + begin, end - begin, self.width)

    def _shift(self, document: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """By how much the first sequence of each document is shorter than `width`: int64 `[n]`."""
        empty = self._counts[document] * self.width - self._lengths[document]  # slots, in [0, width)
        most = self.width - max(self.width // 4, 1)  # empty slots that one sequence may have
        low, high = np.maximum(empty - most, 0), np.minimum(empty, most)
        chance = splitmix64(keys ^ splitmix64(document.astype(np.uint64))) >> np.uint64(33)
        shift = low + chance.astype(np.int64) % (high - low + 1)
        return np.where(self._counts[document] > 1, shift, 0)


def _held_out(num_documents: int) -> np.ndarray:
    """Which documents are for validation: bool `[num_documents]`."""
    keys = splitmix64(np.arange(num_documents, dtype=np.uint64))
    count = max(1, round(VALIDATION_SHARE * num_documents))
    held_out = np.zeros(num_documents, bool)
    held_out[np.argsort(keys, kind="stable")[-count:]] = True
    return held_out


def _permute(positions: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """Applies random permutations of `count` numbers to some of them, without storing any permutation.

    A Feistel network permutes all numbers of as many bits as `count` has. A result of `count` or more goes through the
    network again, until it is smaller ("cycle walking", Black and Rogaway 2002).

    Args:
        positions: int64 `[n]` in [0, count).
        count: size of the permutations.
        keys: uint64 `[n]`, which permutation applies to each position.
    """
    bits = max(2, (count - 1).bit_length())
    sizes = np.uint64(bits - bits // 2), np.uint64(bits // 2)  # of the two halves
    numbers = positions.astype(np.uint64)
    outside = np.arange(len(numbers))
    while len(outside):
        x, key = numbers[outside], keys[outside]
        for turn in range(_ROUNDS):
            low_bits, high_bits = sizes[turn % 2], sizes[(turn + 1) % 2]  # the halves change places in every round
            high, low = x >> low_bits, x & ((np.uint64(1) << low_bits) - np.uint64(1))
            high_mask = (np.uint64(1) << high_bits) - np.uint64(1)
            round_key = splitmix64(key ^ splitmix64(low + (np.uint64(turn) << np.uint64(56))))
            x = low << high_bits | (high ^ (round_key & high_mask))
        numbers[outside] = x
        outside = outside[x >= np.uint64(count)]
    return numbers.astype(np.int64)
