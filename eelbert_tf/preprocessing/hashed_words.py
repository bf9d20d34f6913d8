"""Texts as the embeddings of their words: each distinct word is hashed once, however often a training meets it.

The numbers are those that the model computes from bytes, by the same code. It is a cache and no part of a model.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.text.reference import CLS, SEP, embed_token, tokenize
from eelbert_tf.text.strings import SEPARATOR, TextOrPair, as_data
from eelbert_tf.text.windows import Windows
from eelbert_tf.text.word_tables import embeddings_of, fill_words, lexicon_rows_of
from eelbert_tf.text.words import split_words

from .windowed_texts import WindowedTexts, cut_texts, window_widths

MOST_WORDS = 500_000  # distinct ones: of more, the table would not fit into memory

_PADDING, _CLASSIFY, _SEPARATE = 0, 1, 2  # rows of the table before those of words
_STEP = 8  # slots: the widths of batches are multiples of it
_MOST_WIDTHS = 4
_COMPILING = 150_000  # slots that are computed in the time that one more width takes to compile


class WordHashes:
    """The hash embedding, and the lexicon's row, of every word met so far.

    Args:
        config: of a backbone with a hash.
        pair: whether texts are pairs.

    Attributes:
        embeddings: float32 `[rows, hash.size]`.
        lexicon_rows: int32 `[rows]`, -1 where there is no word; `None` for a model without a lexicon.
    """

    def __init__(self, config: EelbertConfig, pair: bool = False) -> None:
        assert config.hash is not None
        self.config, self.hash, self.pair = config, config.hash, pair
        self._ids: dict[bytes, int] = {}
        specials = [np.zeros(self.hash.size, np.float32), *(embed_token(token, self.hash) for token in (CLS, SEP))]
        self.embeddings = np.stack(specials)
        self.lexicon_rows = np.full(len(specials), -1, np.int32) if config.lexicon_size else None
        self._first = len(specials)

    def encode(self, texts: Sequence[TextOrPair]) -> list[np.ndarray] | None:
        """The row of the table for each filled slot of texts, [CLS] and [SEP]s included.

        Args:
            texts: strings, byte strings, or pairs of them.

        Returns:
            int32 arrays; `None` where there are more distinct words than the table may hold.
        """
        known, before = self._ids, len(self._ids)
        found = []
        for text in texts:
            first, second = self._words(as_data(text, self.config.max_bytes))
            ids = [_CLASSIFY, *(known.setdefault(word, len(known)) + self._first for word in first), _SEPARATE]
            if second is not None:
                ids += [*(known.setdefault(word, len(known)) + self._first for word in second), _SEPARATE]
            found.append(np.array(ids, np.int32))
        if len(known) > MOST_WORDS:
            return None
        self._grow(list(itertools.islice(known, before, None)))
        return found

    def _words(self, data: bytes) -> tuple[list[bytes], list[bytes] | None]:
        """The words that the model reads of a text; of a pair, those of its two sides."""
        config, normalization = self.config, self.hash.normalization
        if len(data) < config.max_bytes:  # nothing is cut but perhaps slots
            sides = data.split(SEPARATOR) if self.pair else [data]
            words = [split_words(side, normalization) for side in sides[:2]]
            if len(sides) == 1:
                return words[0][: config.max_tokens - 2], None
            if len(sides) == 2 and len(words[0]) + len(words[1]) <= config.max_tokens - 3:
                return words[0], words[1]
        kept = tokenize(data, config.max_tokens, config.max_bytes, self.pair, normalization)
        return kept.first, kept.second

    def _grow(self, words: list[bytes]) -> None:
        """Computes the rows of words that are met for the first time."""
        if not words:
            return
        begin = self._first + len(self._ids) - len(words)
        self.embeddings = _enlarged(self.embeddings, begin + len(words))
        fill_words(self.embeddings[begin : begin + len(words)], words, embeddings_of(self.hash))
        if self.lexicon_rows is not None:
            self.lexicon_rows = _enlarged(self.lexicon_rows, begin + len(words))
            rows = self.lexicon_rows[begin : begin + len(words)]
            fill_words(rows, words, lexicon_rows_of(self.hash, self.config.lexicon_combinations))


def _enlarged(table: np.ndarray, rows: int) -> np.ndarray:
    """A table with room for more rows; so much that it seldom has to be copied."""
    if rows <= len(table):
        return table
    return np.concatenate([table, np.zeros((max(rows, 2 * len(table)) - len(table), *table.shape[1:]), table.dtype)])


class HashedWords:
    """Texts as rows of a table of words; batches hold what a backbone takes behind its hash.

    Args:
        ids: what `WordHashes.encode` makes of texts.
        hashes: their table.
        widths: of batches, in rising order.

    Attributes:
        ids: int32 arrays, the rows of each text.
        token_counts: int32 `[n]`, filled slots of each text.
        levels: int64 `[n]`, index into `shapes` of the narrowest batch that holds the text.
        shapes: `(token slots, token slots)` of each level.
    """

    def __init__(self, ids: list[np.ndarray], hashes: WordHashes, widths: Sequence[int]) -> None:
        self.ids = ids
        self._hashes = hashes
        self.token_counts = _counts(ids)
        self.shapes = [(width, width) for width in widths]
        self.levels = np.searchsorted(widths, self.token_counts).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, chosen: np.ndarray) -> HashedWords:
        """Some of the texts, by their indices, in batches of the same widths."""
        return HashedWords([self.ids[i] for i in chosen], self._hashes, [width for width, _ in self.shapes])

    def batch(self, indices: np.ndarray, level: int | None = None) -> dict[str, np.ndarray]:
        """The model's input for some texts.

        Args:
            indices: int64 `[B]`.
            level: index into `shapes` of the batch, instead of the narrowest one.

        Returns:
            `embeddings` float32 `[B, T, size]`, `padding_mask` int32 `[B, T]`; of pairs `segment_ids` int32 `[B, T]`,
            and of a model with a lexicon `lexicon_rows` int32 `[B, T]`.
        """
        if level is None:
            level = int(self.levels[indices].max()) if len(indices) else 0
        width, _ = self.shapes[level]
        ids = np.full((len(indices), width), _PADDING, np.int32)
        for row, i in enumerate(indices):
            ids[row, : len(self.ids[i])] = self.ids[i]
        filled = np.arange(width)[None] < self.token_counts[indices][:, None]
        found = {"embeddings": self._hashes.embeddings[ids], "padding_mask": filled.astype(np.int32)}
        if self._hashes.pair:
            ended = np.cumsum(ids == _SEPARATE, axis=1) - (ids == _SEPARATE)  # separators before each slot
            found["segment_ids"] = ((ended > 0) & filled).astype(np.int32)
        if self._hashes.lexicon_rows is not None:
            found["lexicon_rows"] = self._hashes.lexicon_rows[ids]
        return found


def hashed_words(
    texts: Sequence[TextOrPair], hashes: WordHashes, passes: int = 1, windows: Windows | None = None
) -> HashedWords | WindowedTexts | None:
    """Texts that will be batched several times.

    Args:
        texts: strings, byte strings, or pairs of them.
        hashes: the table, which grows by the words of the texts.
        passes: how often each text will be computed, which decides how many widths are worth compiling.
        windows: how longer texts are read; `None` where they are cut off.

    Returns:
        The texts; `None` where they have more distinct words than the table may hold.
    """
    most = hashes.config.max_tokens
    if windows is None:
        ids = hashes.encode(texts)
        return None if ids is None else HashedWords(ids, hashes, batch_widths(_counts(ids), most, passes))
    parts, spans = cut_texts(texts, windows)
    ids = hashes.encode(parts)
    if ids is None:
        return None
    counts = spans[:, 1]
    slots = np.where(counts == 1, _counts(ids)[spans[:, 0]], counts * most)
    widths = batch_widths(slots, most, passes)
    one = [width for width in widths if width < most]
    return WindowedTexts(HashedWords(ids, hashes, [*one, most]), spans, [w // most for w in widths if w > most])


def _counts(ids: list[np.ndarray]) -> np.ndarray:
    return np.array([len(row) for row in ids], np.int32)


class HashedBatches:
    """Encodes batches of a stream one by one, from any thread.

    Args:
        hashes: the table; emptied when it holds too many words.
        windows: how longer texts are read; `None` where they are cut off.
    """

    def __init__(self, hashes: WordHashes, windows: Windows | None = None) -> None:
        self._hashes = hashes
        self._windows = windows
        self._lock = threading.Lock()
        most = hashes.config.max_tokens
        self._widths = [*(w for w in (16 << k for k in range(8)) if w < most), most]

    def __call__(self, texts: Sequence[TextOrPair]) -> dict[str, np.ndarray]:
        """The model's input for a batch of texts, as `HashedWords.batch` gives it."""
        parts, spans = (texts, None) if self._windows is None else cut_texts(texts, self._windows)
        with self._lock:
            ids = self._hashes.encode(parts)
            if ids is None:
                self._hashes = WordHashes(self._hashes.config, self._hashes.pair)
                ids = self._hashes.encode(parts) or []
            encoded: Any = HashedWords(ids, self._hashes, self._widths)
            if spans is not None:
                encoded = WindowedTexts(encoded, spans, window_widths(spans[:, 1]))
            return encoded.batch(np.arange(len(texts)))


def batch_widths(counts: np.ndarray, max_tokens: int, passes: int = 1) -> list[int]:
    """The few widths of batches that cost least: padding takes time, and so does each width, which is compiled once.

    Args:
        counts: int `[n]`, filled slots of each text; of a text of several windows, all slots of these.
        max_tokens: the greatest width of a window.
        passes: how often the texts are computed.

    Returns:
        Widths in rising order; the last one holds every text.
    """
    needed = -(-np.maximum(counts, 1) // _STEP) * _STEP
    needed = np.where(counts < 2 * max_tokens, np.minimum(needed, max_tokens), counts)  # or of several windows
    widths, texts = np.unique(needed, return_counts=True)
    below = np.concatenate([[0], np.cumsum(texts)])  # texts of the first k widths
    # cost[j] of the best choice among the first j widths that ends with the j-th, by the number of chosen ones
    best: list[list[tuple[float, list[int]]]] = [[(0.0, [])]]
    for j in range(1, len(widths) + 1):
        options = []
        for i in range(j):
            for cost, chosen in best[i]:
                if len(chosen) < _MOST_WIDTHS:
                    slots = int(widths[j - 1]) * int(below[j] - below[i]) * passes
                    options.append((cost + slots + _COMPILING, [*chosen, int(widths[j - 1])]))
        by_count: dict[int, tuple[float, list[int]]] = {}
        for cost, chosen in sorted(options):
            by_count.setdefault(len(chosen), (cost, chosen))
        best.append(list(by_count.values()))
    return min(best[-1])[1]
