"""What stands between texts and a backbone: the interface that every task relies on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np

from eelbert_tf.text.strings import TextOrPair, is_string_tensor

from .columns import as_texts, one_line

Tensor = Any

SMALLEST_SLOTS = 16


class EncodedTexts(Protocol):
    """Texts ready for batching.

    Attributes:
        token_counts: int32 `[n]`, filled token slots of each text, [CLS] and [SEP]s included.
        levels: int64 `[n]`, index into `shapes` of the narrowest batch that holds the text uncut.
        shapes: `(token slots, bytes or pieces)` of each level: few, since each is compiled once.
    """

    token_counts: np.ndarray
    levels: np.ndarray
    shapes: list[tuple[int, int]]

    def __len__(self) -> int:
        """The number n of texts."""

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The backbone's input for some texts, as narrow as they allow."""


class Preprocessor:
    """Turns texts into what a backbone takes. Base class of `HashedTexts` and `WordPiece`.

    Args:
        max_tokens: T, token slots of one input, [CLS] and [SEP]s included.
        pair: whether each example is two texts.

    Call arguments:
        x: texts, or pairs of texts, in any shape that `columns.as_texts` takes; or a symbolic tf.string `[B]`.
        y: passed through.
        sample_weight: passed through.

    Returns:
        The backbone's inputs; with `y` or `sample_weight` a tuple of them all, as `fit` takes it.

    Attributes:
        input_names: what the inputs hold, each int32 `[B, ...]`.
    """

    input_names: tuple[str, ...]

    def __init__(self, max_tokens: int, pair: bool = False) -> None:
        self.max_tokens = max_tokens
        self.pair = pair

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        if _is_symbolic(x):
            inputs: Any = self.encode_in_graph(x)
        else:
            texts = as_texts(x, self.pair)
            if texts is None:
                raise ValueError(f"Expected texts. Received: {type(x).__name__}: {one_line(x)}")
            inputs = self.encode(texts).batch(np.arange(len(texts)))
        return keras.utils.pack_x_y_sample_weight(inputs, y, sample_weight)

    def encode(self, texts: Sequence[TextOrPair]) -> EncodedTexts:
        """Texts ready for batching.

        Args:
            texts: strings, byte strings, or pairs of them.
        """
        raise NotImplementedError

    def encode_in_graph(self, texts: Tensor) -> dict[str, Tensor]:
        """The backbone's inputs for strings inside a graph of TensorFlow, `tf.data`'s for example: the host makes them.

        Args:
            texts: tf.string `[B]`, or a tuple of two of them for pairs.
        """
        import tensorflow as tf

        def encode(*sides: np.ndarray) -> list[np.ndarray]:
            rows: list[Any] = list(sides[0]) if len(sides) == 1 else list(zip(*sides, strict=True))
            batch = self.encode(as_texts(rows, self.pair) or []).batch(np.arange(len(rows)))
            return [batch[name] for name in self.input_names]

        sides = texts if isinstance(texts, tuple) else (texts,)
        tensors = tf.numpy_function(encode, sides, [tf.int32] * len(self.input_names), stateful=False)
        for tensor in tensors:
            tensor.set_shape((None, None))
        return dict(zip(self.input_names, tensors, strict=True))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"max_tokens": self.max_tokens, "pair": self.pair}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


def _is_symbolic(x: Any) -> bool:
    """Whether `x` is a tensor of strings without values, or a tuple of two."""
    if isinstance(x, tuple):
        return len(x) == 2 and all(_is_symbolic(part) for part in x)
    return is_string_tensor(x) and not hasattr(x, "numpy")
