"""Masking in NumPy, on the host: rows of words in, the arrays of one training step out, all of one static shape.

Every position that is not predicted costs nothing at the output, so each row has exactly `slots` places for masked
positions. All choices come from a generator that the caller seeds by (seed, step): any worker can make any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MASKED, REPLACED = 0.8, 0.1  # of the chosen positions; the rest keep their word (Devlin et al. 2019)
IGNORED = -1

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Specials:
    """Ids of the tokens that are no words."""

    cls: int
    sep: int
    mask: int
    pad: int

    @classmethod
    def after(cls, words: int) -> Specials:
        """The four ids that follow those of `words` words."""
        return cls(words, words + 1, words + 2, words + 3)


def add_specials(rows: np.ndarray, specials: Specials) -> np.ndarray:
    """[CLS], the row, [SEP], padding: int32 `[B, W]` with -1 after the end to int32 `[B, W + 2]`."""
    count, width = rows.shape
    ids = np.full((count, width + 2), specials.pad, np.int32)
    ids[:, 0] = specials.cls
    ids[:, 1:-1] = np.where(rows < 0, specials.pad, rows)
    ids[np.arange(count), 1 + (rows >= 0).sum(axis=1)] = specials.sep
    return ids


def choose(eligible: np.ndarray, lengths: np.ndarray, rate: float, slots: int, rng: np.random.Generator) -> np.ndarray:
    """Positions to predict, a share `rate` of each row, drawn without replacement.

    Args:
        eligible: bool `[B, W]`, where a position may be chosen.
        lengths: int `[B]`, words of each row.
        rate: share of the words, rounded, one at least.
        slots: M, columns of the result.
        rng: a generator.

    Returns:
        int32 `[B, M]`, ascending; -1 in slots that a row does not fill.
    """
    keys = rng.random(eligible.shape, np.float32)
    keys[~eligible] = 2.0
    slots_used = min(slots, eligible.shape[1])
    chosen = np.argpartition(keys, slots_used - 1, axis=1)[:, :slots_used].astype(np.int32)
    drawn = np.take_along_axis(keys, chosen, axis=1)
    rank = np.argsort(np.argsort(drawn, axis=1), axis=1)
    wanted = np.maximum(np.rint(lengths * rate), 1)[:, None]
    chosen[(rank >= wanted) | (drawn > 1.0)] = IGNORED
    if slots_used < slots:
        chosen = np.pad(chosen, ((0, 0), (0, slots - slots_used)), constant_values=IGNORED)
    return np.sort(chosen, axis=1)


@dataclass(frozen=True)
class WordMasking:
    """BERT's masking of whole words: of the chosen ones 80 % become [MASK], 10 % another word, 10 % stay.

    Args:
        specials: ids of the special tokens.
        rate: share of the words to predict.
        slots: M, predicted positions of a row: `round(rate * T)`.
        words: only words with ids below it are predicted, and replacements are drawn from them.
    """

    specials: Specials
    rate: float
    slots: int
    words: int

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of one step.

        Args:
            rows: int32 `[B, W]`, word ids, -1 after the end.
            rng: a generator.

        Returns:
            `token_ids` int32 `[B, W + 2]`; `positions` int32 `[B, M]` in them, 0 where unused; `targets` int32
            `[B, M]`, the words that were there, -1 where unused.
        """
        ids = add_specials(rows, self.specials)
        chosen = choose((rows >= 0) & (rows < self.words), (rows >= 0).sum(axis=1), self.rate, self.slots, rng)
        positions, used = chosen + 1, chosen >= 0  # [CLS] stands before the row; unused ones point to it
        targets = np.where(used, np.take_along_axis(ids, positions, axis=1), IGNORED).astype(np.int32)
        action = rng.random(chosen.shape, np.float32)
        others = rng.integers(0, self.words, chosen.shape, np.int32)
        put = np.where(action < MASKED, self.specials.mask, np.where(action < MASKED + REPLACED, others, targets))
        row, column = np.nonzero(used)
        ids[row, positions[row, column]] = put[row, column]
        return {"token_ids": ids, "positions": positions, "targets": targets}
