"""Masking in NumPy, on the host: turns rows of words into the arrays of one training step, which have static shapes.

The output layer computes masked positions only, so each row has exactly `max_masked` entries for them. The caller seeds
the random generator with (seed, step), so that any worker can compute any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MASKED, REPLACED = 0.8, 0.1  # shares of the chosen positions; the others keep their word (Devlin et al. 2019)
IGNORED = -1

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Specials:
    """Ids of the special tokens."""

    cls: int
    sep: int
    mask: int
    pad: int

    @classmethod
    def after(cls, words: int) -> Specials:
        """The four ids that follow those of `words` words."""
        return cls(words, words + 1, words + 2, words + 3)


def add_specials(rows: np.ndarray, specials: Specials) -> np.ndarray:
    """Puts [CLS] before each row, [SEP] and padding after it.

    Args:
        rows: int32 `[B, W]`, -1 after the end.
        specials: ids of the special tokens.

    Returns:
        int32 `[B, W + 2]`.
    """
    count, width = rows.shape
    ids = np.full((count, width + 2), specials.pad, np.int32)
    ids[:, 0] = specials.cls
    ids[:, 1:-1] = np.where(rows < 0, specials.pad, rows)
    ids[np.arange(count), 1 + (rows >= 0).sum(axis=1)] = specials.sep
    return ids


def choose(
    eligible: np.ndarray, lengths: np.ndarray, rate: float, max_masked: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions to predict, a share `rate` of each row, drawn without replacement.

    Args:
        eligible: bool `[B, W]`, where a position may be chosen.
        lengths: int `[B]`, words of each row.
        rate: share of the words; the number is rounded, and at least one.
        max_masked: M, columns of the result.
        rng: a generator.

    Returns:
        int32 `[B, M]`, ascending; unused entries are -1 and come first.
    """
    keys = rng.random(eligible.shape, np.float32)
    keys[~eligible] = 2.0
    columns = min(max_masked, eligible.shape[1])
    chosen = np.argpartition(keys, columns - 1, axis=1)[:, :columns].astype(np.int32)
    drawn = np.take_along_axis(keys, chosen, axis=1)
    rank = np.argsort(np.argsort(drawn, axis=1), axis=1)
    wanted = np.maximum(np.rint(lengths * rate), 1)[:, None]
    chosen[(rank >= wanted) | (drawn > 1.0)] = IGNORED
    if columns < max_masked:
        chosen = np.pad(chosen, ((0, 0), (0, max_masked - columns)), constant_values=IGNORED)
    return np.sort(chosen, axis=1)


@dataclass(frozen=True)
class WordMasking:
    """BERT's masking of whole words: of the chosen words 80 % become [MASK], 10 % another word, 10 % stay.

    Args:
        specials: ids of the special tokens.
        rate: share of the words to predict.
        max_masked: M, predicted positions of a row: `round(rate * T)`.
        words: only words with smaller ids are predicted, and replacements are drawn from them.
    """

    specials: Specials
    rate: float
    max_masked: int
    words: int

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of one step.

        Args:
            rows: int32 `[B, W]`, word ids, -1 after the end.
            rng: a generator.

        Returns:
            `token_ids` int32 `[B, W + 2]`; `positions` int32 `[B, M]` of the masked tokens, 0 if unused; `targets`
            int32 `[B, M]`, the words that stood there, -1 if unused.
        """
        ids = add_specials(rows, self.specials)
        chosen = choose((rows >= 0) & (rows < self.words), (rows >= 0).sum(axis=1), self.rate, self.max_masked, rng)
        return mask(ids, chosen, self.specials, self.words, rng)


def mask(ids: np.ndarray, chosen: np.ndarray, specials: Specials, words: int, rng: np.random.Generator) -> Batch:
    """Masks chosen tokens: 80 % become [MASK], 10 % a random one below `words`, 10 % stay.

    Args:
        ids: int32 `[B, T]`, changed in place.
        chosen: int32 `[B, M]`, positions counted from the token after [CLS], -1 if unused.
        specials: ids of the special tokens.
        words: replacements have smaller ids.
        rng: a generator.

    Returns:
        `token_ids`, `positions` and `targets`, as `WordMasking` describes them.
    """
    positions, used = chosen + 1, chosen >= 0  # unused ones point to [CLS]
    targets = np.where(used, np.take_along_axis(ids, positions, axis=1), IGNORED).astype(np.int32)
    action = rng.random(chosen.shape, np.float32)
    others = rng.integers(0, words, chosen.shape, np.int32)
    inputs = np.where(action < MASKED, specials.mask, np.where(action < MASKED + REPLACED, others, targets))
    row, column = np.nonzero(used)
    ids[row, positions[row, column]] = inputs[row, column]
    return {"token_ids": ids, "positions": positions.astype(np.int32), "targets": targets}


def spread_pieces(rows: np.ndarray, pieces: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Turns rows of words into rows of WordPieces; words that do not fit whole are cut off.

    Args:
        rows: int32 `[B, W]`, word ids, -1 after the end.
        pieces: int32 `[n]`, the pieces of all words, one word after the other.
        ends: int64 `[V]`, where the pieces of each word end.
        width: columns of the result.

    Returns:
        Two int32 `[B, width]`: the pieces, -1 after the end; and for each piece the column of its word in `rows`.
    """
    lengths = np.diff(ends, prepend=0)
    counts = np.where(rows >= 0, lengths[rows], 0)  # [B, W]
    last = counts.cumsum(axis=1)
    counts[last > width] = 0
    row, column = np.nonzero(counts)
    repeats = counts[row, column]
    inside = np.arange(repeats.sum()) - np.repeat(repeats.cumsum() - repeats, repeats)  # index within the word
    row, column = np.repeat(row, repeats), np.repeat(column, repeats)
    position = (last - counts)[row, column] + inside
    spread = np.full((len(rows), width), -1, np.int32)
    owner = np.full((len(rows), width), -1, np.int32)
    word = rows[row, column]
    spread[row, position] = pieces[ends[word] - lengths[word] + inside]
    owner[row, position] = column
    return spread, owner


@dataclass(frozen=True)
class PieceMasking:
    """`WordMasking` for WordPieces: either all pieces of a word are masked, or none.

    Args:
        specials: ids of the special tokens.
        rate: share of the tokens to predict.
        max_masked: M, predicted positions of a row.
        words: only words whose pieces all have smaller ids are predicted; replacements are drawn from these ids.
        width: T - 2, tokens of a row; words that do not fit whole are cut off.
        pieces: int32 `[n]`, the pieces of all words, one word after the other.
        ends: int64 `[V]`, where the pieces of each word end.
    """

    specials: Specials
    rate: float
    max_masked: int
    words: int
    width: int
    pieces: np.ndarray
    ends: np.ndarray

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of one step, as of `WordMasking`; `rows` is int32 `[B, W]` of word ids."""
        spread, owner = spread_pieces(rows, self.pieces, self.ends, self.width)
        eligible = self._eligible(rows, spread, owner)
        budget = np.minimum(np.maximum(np.rint((spread >= 0).sum(axis=1) * self.rate), 1), self.max_masked)
        masked = _masked_words(eligible, owner, budget, rng)
        positions = np.sort(np.where(masked, np.arange(self.width, dtype=np.int32), self.width), axis=1)[
            :, : self.max_masked
        ]
        chosen = np.where(positions < self.width, positions, IGNORED)
        return mask(add_specials(spread, self.specials), chosen, self.specials, self.words, rng)

    def _eligible(self, rows: np.ndarray, spread: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """The number of pieces of each word, 0 for words that may not be masked: int32 `[B, W]`."""
        count = np.zeros(rows.shape, np.int32)
        row, position = np.nonzero(owner >= 0)
        np.add.at(count, (row, owner[row, position]), 1)
        row, position = np.nonzero((owner >= 0) & (spread >= self.words))
        count[row, owner[row, position]] = 0
        return count


def _masked_words(counts: np.ndarray, owner: np.ndarray, budget: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws words until the next one would exceed the row's budget of pieces.

    Args:
        counts: int32 `[B, W]`, pieces of each word, 0 for words that may not be drawn.
        owner: int32 `[B, P]`, the word of each piece, -1 for none.
        budget: `[B]`, the most pieces to draw.
        rng: a generator.

    Returns:
        bool `[B, P]`, whether a piece's word was drawn.
    """
    keys = np.where(counts > 0, rng.random(counts.shape, np.float32), 2.0)
    order = np.argsort(keys, axis=1)
    total = np.take_along_axis(counts, order, axis=1).cumsum(axis=1)
    drawn = np.zeros(counts.shape, bool)
    np.put_along_axis(drawn, order, total <= budget[:, None], axis=1)
    drawn &= counts > 0
    return np.where(owner >= 0, np.take_along_axis(drawn, np.maximum(owner, 0), axis=1), False)


@dataclass(frozen=True)
class WordReplacing:
    """Replaces words by plausible ones, for replaced-token detection (Clark et al. 2020, ELECTRA).

    ELECTRA draws replacements from a generator network, this class from word pairs of the batch: a replacement is a
    word that elsewhere in the batch follows, or precedes, the same neighbour. If there is none, it is any word of the
    batch.

    Args:
        specials: ids of the special tokens.
        rate: share of the words to replace.
    """

    specials: Specials
    rate: float

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of one step.

        Args:
            rows: int32 `[B, W]`, word ids, -1 after the end.
            rng: a generator.

        Returns:
            `token_ids` int32 `[B, W + 2]`, and `replaced` int32 `[B, W + 2]`: 1 if a word was replaced by another one,
            0 at the other words, -1 elsewhere.
        """
        ids = add_specials(rows, self.specials)
        lengths = (rows >= 0).sum(axis=1)
        max_masked = max(1, round(self.rate * ids.shape[1]))
        chosen = choose(rows >= 0, lengths, self.rate, max_masked, rng)
        row, slot = np.nonzero(chosen >= 0)
        column = chosen[row, slot] + 1
        before = rng.random(len(row)) < 0.5
        inputs = np.where(
            before,
            _other_words(ids[:, :-1], ids[:, 1:], row, column - 1, rng),  # after the same word
            _other_words(ids[:, 1:], ids[:, :-1], row, column, rng),  # before the same word
        )
        none = (inputs < 0) | (inputs >= self.specials.cls)
        inputs[none] = rows[rows >= 0][rng.integers(0, lengths.sum(), none.sum())]
        changed = ids.copy()
        changed[row, column] = inputs
        labels = np.where(ids < self.specials.cls, changed != ids, IGNORED).astype(np.int32)
        return {"token_ids": changed, "replaced": labels}


def _other_words(
    keys: np.ndarray, values: np.ndarray, row: np.ndarray, column: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """For each position, the value at a random position with the same key; -1 if no other has it. int32 `[n]`."""
    order = np.argsort(keys, axis=None, kind="stable")
    ordered = keys.ravel()[order]
    wanted = keys[row, column]
    low, high = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
    picked = values.ravel()[order[low + (rng.random(len(row)) * (high - low)).astype(np.int64)]]
    return np.where(high - low > 1, picked, -1)
