"""What stands between texts and a backbone: the interface that every task relies on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import VOCABULARY_FILE
from eelbert_tf.saving.info import ModelInfo, damage_in
from eelbert_tf.saving.preprocessors import read_preprocessor, write_preprocessor
from eelbert_tf.saving.shipped import ShippedPresets
from eelbert_tf.saving.stored import StoredModel, read_stored
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


def batch_shapes_of(inputs: dict[str, np.ndarray]) -> dict[str, tuple[int | None, ...]]:
    """The shape of each input of a batch, `None` for the axes that vary: texts, perhaps windows, and token slots."""
    mask = inputs.get("padding_mask")
    varying = 2 if mask is None else mask.ndim
    return {name: (*(None,) * min(varying, x.ndim), *x.shape[varying:]) for name, x in inputs.items()}


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
        presets: presets that the class can be made from, by name.
    """

    input_names: tuple[str, ...]
    presets = ShippedPresets(lambda cls, info: cls._suits(info))

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
        with tf.init_scope():  # what is made of one text is looked at now, not in the graph
            shapes = batch_shapes_of(self.encode([("", "")] if self.pair else [""]).batch(np.arange(1)))
        for name, tensor in zip(self.input_names, tensors, strict=True):
            tensor.set_shape(shapes[name])
        return dict(zip(self.input_names, tensors, strict=True))

    @classmethod
    def _suits(cls, info: ModelInfo) -> bool:
        """Whether a model of this description reads what the class makes."""
        raise NotImplementedError

    @classmethod
    def _arguments(cls, stored: StoredModel) -> dict[str, Any]:
        """The constructor's arguments for a stored model, but for `pair`.

        Raises:
            InputError: the model's vocabulary is missing.
        """
        raise NotImplementedError

    @classmethod
    def from_stored(cls, stored: StoredModel, pair: bool, **changes: Any) -> Any:
        """The preprocessor of a model that has been read.

        Args:
            stored: what was read.
            pair: whether the input is to be pairs.
            **changes: as in `from_preset`.

        Returns:
            The preprocessor.

        Raises:
            InputError: the model's vocabulary is missing or damaged.
        """
        info = dataclasses.replace(stored.info, config=stored.info.config.replace(**changes))
        arguments = cls._arguments(dataclasses.replace(stored, info=info))
        with damage_in(stored.path.parent / VOCABULARY_FILE):
            return cls(**arguments, pair=pair)

    @classmethod
    def from_preset(cls, name: str | Path, *, pair: bool | None = None, **changes: Any) -> Any:
        """The preprocessor of a model, or one that was saved by itself.

        Args:
            name: a preset's name, a folder that `save_to_preset` of a model or of a preprocessor wrote, or a BERT in
                Hugging Face's layout.
            pair: whether the input is to be pairs; as saved by default.
            **changes: limits to change, `max_tokens` for example.

        Returns:
            The preprocessor.

        Raises:
            InputError: there is none, it is damaged, or it is of another class.
            ValueError: a change is out of range.
        """
        alone = read_preprocessor(name)
        if alone is not None:
            kind, arguments, vocabulary = alone
            if kind != cls.__name__:
                raise InputError(f"{name}: holds a `{kind}`, no `{cls.__name__}`")
            pieces = {} if vocabulary is None else {"vocabulary": vocabulary}
            return cls(**{**pieces, **arguments, **({} if pair is None else {"pair": pair}), **changes})
        stored = read_stored(name)
        if not cls._suits(stored.info):
            raise InputError(f"{name}: is a model that does not read what a `{cls.__name__}` makes")
        return cls.from_stored(stored, stored.info.pair if pair is None else pair, **changes)

    def save_to_preset(self, folder: str | Path) -> None:
        """Writes the preprocessor to a folder that `from_preset` reads. A model's folder holds its own already.

        Args:
            folder: where to; an older preprocessor there is replaced.

        Raises:
            InputError: the place cannot be written, or holds something else.
        """
        arguments = {name: value for name, value in self.get_config().items() if name != "vocabulary"}
        write_preprocessor(folder, type(self).__name__, arguments, getattr(self, "vocabulary", None))

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
