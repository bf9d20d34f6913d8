"""Texts as bytes: all that a backbone with hashed embeddings needs, with no vocabulary."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import StoredModel
from eelbert_tf.text import splitting, strings
from eelbert_tf.text.windows import Windows

from .base import SMALLEST_SLOTS, Preprocessor
from .windowed_texts import WindowedTexts, cut_texts, window_widths

BYTES_PER_SLOT = 6  # English has about 5 bytes per slot, its spaces and the two special tokens included


@keras.saving.register_keras_serializable(package=PACKAGE)
class HashedTexts(Preprocessor):
    """Texts as bytes, for an `EelbertBackbone` with a hash.

    Args:
        max_tokens: T, token slots of one input, [CLS] and [SEP]s included.
        max_bytes: L, bytes read of one input.
        pair: whether each example is two texts.
        normalization: the rules by which the hash splits texts, as in `HashConfig`.
        max_windows: inputs that a text may be read in, if it is longer than one. With more than 1, batches have an axis
            for them, `[B, W, ...]`, which a classifier takes.
        window_overlap: tokens that a window has in common with the one before.

    Raises:
        ValueError: pairs are to be read in windows.

    Example:

    >>> HashedTexts()(["Turn on the lights."])["bytes"].shape
    (1, 96)
    """

    input_names = ("bytes", "padding_mask")

    def __init__(
        self,
        max_tokens: int = 128,
        max_bytes: int = 512,
        pair: bool = False,
        normalization: int = 0,
        max_windows: int = 1,
        window_overlap: int = 0,
    ) -> None:
        super().__init__(max_tokens, pair)
        if pair and max_windows > 1:
            raise ValueError(
                f"A pair of texts is read in one window: give `max_windows=1`. Received: max_windows={max_windows}"
            )
        self.max_bytes = max_bytes
        self.normalization = normalization
        self.max_windows = max_windows
        self.window_overlap = window_overlap

    @classmethod
    def _suits(cls, info: ModelInfo) -> bool:
        """Whether a model of this description has a hash."""
        return info.config.hash is not None

    @classmethod
    def _arguments(cls, stored: StoredModel) -> dict[str, Any]:
        config = stored.info.config
        normalization = 0 if config.hash is None else config.hash.normalization
        return {
            "max_tokens": config.max_tokens,
            "max_bytes": config.max_bytes,
            "normalization": normalization,
            "max_windows": config.max_windows,
            "window_overlap": config.window_overlap,
        }

    @property
    def windows(self) -> Windows | None:
        """How longer texts are read; `None` where they are cut off."""
        if self.max_windows == 1:
            return None
        return Windows(self.max_tokens, self.max_bytes, self.max_windows, self.window_overlap, self.normalization)

    def encode(self, texts: Sequence[strings.TextOrPair]) -> EncodedBytes | WindowedTexts:
        """Texts ready for batching.

        Args:
            texts: strings, byte strings, or pairs of them.
        """
        limits = (self.max_tokens, self.max_bytes, self.pair, self.normalization)
        if self.windows is None:
            return EncodedBytes(texts, *limits)
        parts, spans = cut_texts(texts, self.windows)
        return WindowedTexts(EncodedBytes(parts, *limits), spans, window_widths(spans[:, 1]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "max_bytes": self.max_bytes,
            "normalization": self.normalization,
            "max_windows": self.max_windows,
            "window_overlap": self.window_overlap,
        }


class EncodedBytes:
    """Texts as bytes, with the batch shape each one needs.

    Args:
        texts: strings, byte strings, or pairs of them.
        max_tokens: T, token slots of one input.
        max_bytes: L, bytes read of one input.
        pair: whether the texts are pairs.
        normalization: as in `HashConfig`.

    Attributes:
        rows: the bytes of each text, at most `max_bytes`.
        token_counts: int32 `[n]`, filled token slots of each, [CLS] and [SEP]s included.
        levels: int64 `[n]`, index into `shapes` of the narrowest batch that holds the text uncut.
        shapes: `(token slots, bytes)` of each level.
    """

    def __init__(
        self,
        texts: Sequence[strings.TextOrPair],
        max_tokens: int,
        max_bytes: int,
        pair: bool = False,
        normalization: int = 0,
    ) -> None:
        self.rows = [strings.as_data(text, max_bytes) for text in texts]
        self.shapes = batch_shapes(max_tokens, max_bytes)
        lengths = np.array([len(row) for row in self.rows], np.int64)
        self.token_counts = count_tokens(self.rows, max_tokens, max_bytes, pair, normalization)
        fits = [(self.token_counts <= slots) & (lengths <= width) for slots, width in self.shapes[:-1]]
        self.levels: np.ndarray = np.full(len(self.rows), len(self.shapes) - 1, np.int64)
        for fit in fits:
            self.levels -= fit

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, chosen: np.ndarray) -> EncodedBytes:
        """Some of the texts, by their indices."""
        found = copy.copy(self)
        found.rows = [self.rows[i] for i in chosen]
        found.token_counts, found.levels = self.token_counts[chosen], self.levels[chosen]
        return found

    def batch(self, indices: np.ndarray, level: int | None = None) -> dict[str, np.ndarray]:
        """The model's input for some texts.

        Args:
            indices: int64 `[B]`.
            level: index into `shapes` of the batch, instead of the narrowest one.

        Returns:
            `bytes` int32 `[B, L']` and `padding_mask` int32 `[B, T']`.
        """
        if level is None:
            level = int(self.levels[indices].max()) if len(indices) else 0
        slots, width = self.shapes[level]
        data = strings.pad_bytes([self.rows[i] for i in indices], width).astype(np.int32)
        counts = self.token_counts[indices]
        return {"bytes": data, "padding_mask": (np.arange(slots)[None] < counts[:, None]).astype(np.int32)}


def batch_shapes(max_tokens: int, max_bytes: int) -> list[tuple[int, int]]:
    """The few `(token slots, bytes)` that batches come in: few, since each is compiled once."""
    shapes, slots = [], SMALLEST_SLOTS
    while slots < max_tokens and slots * BYTES_PER_SLOT < max_bytes:
        shapes.append((slots, slots * BYTES_PER_SLOT))
        slots *= 2
    return [*shapes, (max_tokens, max_bytes)]


def count_tokens(
    rows: Sequence[bytes], max_tokens: int, max_bytes: int, pair: bool = False, normalization: int = 0
) -> np.ndarray:
    """Filled token slots of each text, by the model's own front end: int32 `[n]`."""
    counts = np.zeros(len(rows), np.int32)
    order = np.argsort([len(row) for row in rows], kind="stable")
    for chunk in np.array_split(order, max(1, len(rows) // 4096)):
        if not len(chunk):
            continue
        width = min(max_bytes, max(16, -len(rows[chunk[-1]]) // 16 * -16))
        data = ops.convert_to_tensor(strings.pad_bytes([rows[i] for i in chunk], width).astype(np.int32))
        _, layout = splitting.lay_out(splitting.split(data, normalization), max_bytes, max_tokens, pair)
        counts[chunk] = ops.convert_to_numpy(layout.padding_mask).sum(axis=1)
    return counts
