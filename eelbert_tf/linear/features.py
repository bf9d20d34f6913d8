"""Texts as the linear models see them: the encoder's output, and how often n-grams occur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Of more texts than this an n-gram must occur in two to be looked at: one that occurs in one is learned by heart.
MANY_TEXTS = 1000

# Pairs of words count for so much less than words: there are more of them, and few come twice.
_PAIR_WEIGHT = 0.7

# Outputs of an encoder differ by less than this share of their size where it has learned nothing: 0.01 of `eelbert_uno`
# with fresh weights, 0.5 of `uno_en_paper`, 0.9 of `uno_en`.
_ALIKE = 0.1


@dataclass(frozen=True)
class TextFeatures:
    """What heads are fitted on.

    Args:
        pooled: float32 `[n, d]`, the encoder's output.
        counts: sparse float32 `[n, V]`, SciPy's `csr_matrix`: how often an n-gram occurs in a text, over the root of
            the number of the text's filled slots.
        keys: uint32 `[V]`, the n-grams.
        are_pairs: bool `[V]`, which n-grams are two neighbours.
    """

    pooled: np.ndarray
    counts: Any
    keys: np.ndarray
    are_pairs: np.ndarray

    def choose_ngrams(self, targets: np.ndarray, most: int) -> TextFeatures:
        """The same with those n-grams alone that may matter.

        Args:
            targets: float32 `[n, C]`, for which they are to matter.
            most: number of n-grams.
        """
        frequency = self.frequency()
        kept = np.flatnonzero(frequency >= (2 if len(self.pooled) > MANY_TEXTS else 1))
        if len(kept) > most:
            told = _information(self.counts[:, kept], targets)
            kept = np.sort(kept[np.argsort(-told, kind="stable")[:most]])
        return TextFeatures(self.pooled, self.counts[:, kept].tocsr(), self.keys[kept], self.are_pairs[kept])

    def are_alike(self) -> bool:
        """Whether the encoder's output is much the same for all texts, as that of one with fresh weights is."""
        spread = np.square(self.pooled - self.pooled.mean(axis=0)).sum()
        return bool(spread < _ALIKE**2 * np.square(self.pooled).sum())

    def without_encoder(self) -> TextFeatures:
        """The n-grams alone, beside zeros."""
        return TextFeatures(np.zeros_like(self.pooled), self.counts, self.keys, self.are_pairs)

    def without_ngrams(self) -> TextFeatures:
        """The encoder's output alone."""
        return TextFeatures(self.pooled, self.counts[:, :0].tocsr(), self.keys[:0], self.are_pairs[:0])

    def frequency(self) -> np.ndarray:
        """The number of texts that each n-gram occurs in: int64 `[V]`."""
        return np.bincount(self.counts.indices, minlength=self.counts.shape[1])


def _information(counts: Any, targets: np.ndarray) -> np.ndarray:
    """How much the presence of n-grams tells of the classes: float `[V]`, their part of the G statistic."""
    present = counts.copy()
    present.data = np.ones_like(present.data)
    together = present.T @ np.abs(targets).astype(np.float64)  # [V, C]
    expected = together.sum(axis=1, keepdims=True) * np.abs(targets).mean(axis=0) / np.abs(targets).mean(axis=0).sum()
    return (together * np.log(np.maximum(together, 1e-9) / np.maximum(expected, 1e-9))).sum(axis=1)


class ScaledFeatures:
    """Features of one size: n-grams weighted by their rarity, the encoder's output about its mean.

    Args:
        features: as they come.

    Attributes:
        words: sparse float32 `[n, V]`, whose rows have a mean square length of 1.
        dense: float32 `[n, d]`, likewise.
    """

    def __init__(self, features: TextFeatures) -> None:
        texts = len(features.pooled)
        self._mean = features.pooled.mean(axis=0)
        centred = features.pooled - self._mean
        self._dense_scale = np.float32(1 / max(np.sqrt(np.square(centred).sum() / texts), 1e-6))
        self.dense = centred * self._dense_scale
        rarity = np.log((1 + texts) / (1 + features.frequency())) + 1
        rarity *= np.where(features.are_pairs, _PAIR_WEIGHT, 1)
        self.words = features.counts.astype(np.float32)  # a copy
        weighted = self.words.data * rarity[self.words.indices]
        self._scale = (rarity / max(np.sqrt(np.square(weighted).sum() / texts), 1e-6)).astype(np.float32)
        self.words.data *= self._scale[self.words.indices]

    def word_weights(self, solution: np.ndarray, ngrams: np.ndarray | None = None) -> np.ndarray:
        """Weights of the n-grams as they come, from a solution for some of them, or for all: float32 `[m, C]`."""
        scale = self._scale if ngrams is None else self._scale[ngrams]
        return solution[: len(scale)] * scale[:, None]

    def dense_weights(self, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias for the encoder's output as it comes: float32 `[d, C]` and `[C]`."""
        kernel = solution[-1 - len(self._mean) : -1] * self._dense_scale
        return kernel, solution[-1] - self._mean @ kernel
