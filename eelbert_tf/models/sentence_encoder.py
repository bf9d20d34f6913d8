"""Sentence embeddings: vectors that are close for texts of similar meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import ops

from eelbert_tf.config import PACKAGE
from eelbert_tf.preprocessing.base import Preprocessor
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.scores import EMBEDDING

from .backbone import EelbertBackbone
from .task import Task, stored_preprocessor

Tensor = Any


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertSentenceEncoder(Task):
    """The mean of the encoder's output over a text's tokens, at length 1 (Reimers and Gurevych 2019).

    Args:
        backbone: an `EelbertBackbone`; one that was distilled from a sentence teacher is meant for this.
        preprocessor: turns texts into the backbone's inputs; by default what suits a backbone with a hash.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them.

    Call arguments:
        inputs: texts, or anything the backbone takes.
        training: whether dropout applies.

    Returns:
        float32 `[B, hidden_size]`; the product of two of them is their cosine.

    Example:

    >>> encoder = EelbertSentenceEncoder(EelbertBackbone.from_name("eelbert_uno"))
    >>> a, b = encoder.predict(["Turn on the lights.", "Lights on, please."], verbose=0)
    >>> similarity = a @ b
    """

    task = EMBEDDING

    def __init__(self, backbone: EelbertBackbone, preprocessor: Preprocessor | None = None, **kwargs: Any) -> None:
        super().__init__(backbone, preprocessor, **kwargs)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        encoded = self.backbone(inputs, training=training)
        if self.backbone.config.lexicon_skip and not self.backbone.pair:
            # A mean square of 1; `sequence_output` is only a part of it.
            return ops.cast(encoded["pooled_output"], "float32") * self.num_outputs**-0.5
        weights = ops.expand_dims(ops.cast(encoded["padding_mask"], "float32"), -1)
        total = ops.sum(ops.cast(encoded["sequence_output"], "float32") * weights, axis=1)  # [B, d]
        return total * ops.rsqrt(ops.sum(ops.square(total), axis=-1, keepdims=True) + 1e-12)

    @property
    def num_outputs(self) -> int:
        """Width of an embedding."""
        return self.backbone.config.hidden_size

    def describe(self) -> ModelInfo:
        """The description for `config.json`: the backbone's, because the mean has no weights."""
        return self.backbone.describe()

    @classmethod
    def from_preset(
        cls, name: str | Path, *, pair: bool | None = None, dtype: Any = None, **changes: Any
    ) -> EelbertSentenceEncoder:
        """The sentence encoder in a preset or a folder.

        Args:
            name: a preset's name, a folder that `save_to_preset` wrote, or a BERT in Hugging Face's layout.
            pair: whether the input is to be pairs; as saved by default.
            dtype: a dtype policy; Keras's global one by default.
            **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

        Returns:
            The encoder, with its weights.

        Raises:
            InputError: there is none, or it is damaged.
            ValueError: a change is out of range.
        """
        stored = read_stored(name)
        backbone = EelbertBackbone.from_stored(stored, pair, dtype, **changes)
        return cls(backbone, stored_preprocessor(stored, backbone))
