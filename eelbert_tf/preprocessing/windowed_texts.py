"""Texts in batches of windows: a text that is longer than a backbone's input is several of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf.text.windows import Windows

SPECIALS = 2  # [CLS] and [SEP], filled slots of an empty window too


class WindowedTexts:
    """Encoded texts of one window or several; batches have one axis more than those of a backbone.

    Args:
        windows: the windows of all texts, encoded, and at least one more that is empty, the last.
        spans: int64 `[n, 2]`, of each text the index of its first window, and their number.
        widths: numbers of windows that batches of texts with more than one come in, in rising order.

    Attributes:
        token_counts: int64 `[n]`, filled token slots of each text.
        levels: int64 `[n]`, index into `shapes` of the narrowest batch that holds the text.
        shapes: `(token slots, bytes or pieces)` of each level, of all windows together.
    """

    def __init__(self, windows: Any, spans: np.ndarray, widths: Sequence[int]) -> None:
        self._windows = windows
        self._spans = spans
        self._widths = list(widths)
        slots, width = windows.shapes[-1]
        self.shapes = [*windows.shapes, *((slots * count, width * count) for count in self._widths)]
        begins, counts = spans.T
        total = np.concatenate([[0], np.cumsum(windows.token_counts, dtype=np.int64)])
        self.token_counts = total[begins + counts] - total[begins]
        several = len(windows.shapes) + np.searchsorted(self._widths, counts)
        self.levels: np.ndarray = np.where(counts == 1, windows.levels[begins], several).astype(np.int64)

    def __len__(self) -> int:
        return len(self._spans)

    def part(self, chosen: np.ndarray) -> WindowedTexts:
        """Some of the texts, by their indices, in batches of the same widths."""
        return WindowedTexts(self._windows, self._spans[chosen], self._widths)

    def batch(self, indices: np.ndarray, level: int | None = None) -> dict[str, np.ndarray]:
        """A classifier's input for some texts.

        Args:
            indices: int64 `[B]`.
            level: index into `shapes` of the batch, instead of the narrowest one.

        Returns:
            What a backbone takes, each `[B, W, ...]`; empty windows fill up what a text has fewer than W.
        """
        if level is None:
            level = int(self.levels[indices].max()) if len(indices) else 0
        single = level < len(self._windows.shapes)
        width = 1 if single else self._widths[level - len(self._windows.shapes)]
        begins, counts = self._spans[indices].T
        number = np.arange(width)
        grid = np.where(number < counts[:, None], begins[:, None] + number, len(self._windows) - 1)
        found = self._windows.batch(grid.reshape(-1), level if single else len(self._windows.shapes) - 1)
        return {name: x.reshape(-1, width, *x.shape[1:]) for name, x in found.items()}

    def windows(self) -> Any:
        """The windows of all texts, one behind the other, as a backbone takes them."""
        return self._windows.part(self._chosen())

    def each_window(self) -> WindowedTexts:
        """The windows of all texts, one behind the other, as texts of their own."""
        chosen = self._chosen()
        return WindowedTexts(self._windows, np.stack([chosen, np.ones_like(chosen)], axis=1), [])

    @property
    def has_several(self) -> bool:
        """Whether a text has more than one window."""
        return bool((self._spans[:, 1] > 1).any())

    def owners(self) -> np.ndarray:
        """The text of each window: int64 `[windows]`."""
        return np.repeat(np.arange(len(self)), self._spans[:, 1])

    def shares(self) -> np.ndarray:
        """The share of each window in its text, by its tokens: float64 `[windows]`."""
        counts = self._spans[:, 1]
        begins = np.cumsum(counts) - counts
        tokens = np.maximum(self._windows.token_counts[self._chosen()] - SPECIALS, 0).astype(np.float64)
        tokens[begins] = np.maximum(tokens[begins], 1)  # of a text without any
        return tokens / np.repeat(np.add.reduceat(tokens, begins), counts)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean of what is given for the windows of each text: float `[windows, n]` to float32 `[texts, n]`."""
        begins = np.cumsum(self._spans[:, 1]) - self._spans[:, 1]
        return np.add.reduceat(values * self.shares()[:, None], begins).astype(np.float32)

    def _chosen(self) -> np.ndarray:
        begins, counts = self._spans.T
        first = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(begins - first, counts)


def cut_texts(texts: Sequence[Any], windows: Windows) -> tuple[list[bytes], np.ndarray]:
    """The windows of texts.

    Args:
        texts: strings or byte strings.
        windows: how they are read.

    Returns:
        The bytes of all windows and of an empty one behind them, and `spans` as `WindowedTexts` takes them.
    """
    cut = [windows.cut(text) for text in texts]
    counts = np.array([len(parts) for parts in cut], np.int64)
    spans = np.stack([np.cumsum(counts) - counts, counts], axis=1)
    return [*(part for parts in cut for part in parts), b""], spans


def window_widths(counts: np.ndarray) -> list[int]:
    """The few numbers of windows that batches come in: powers of two, the last as many as are needed.

    Args:
        counts: int `[n]`, windows of each text.
    """
    most = int(counts.max(initial=1))
    return sorted({*(1 << i for i in range(1, most.bit_length()) if 1 << i < most), *([most] if most > 1 else [])})
