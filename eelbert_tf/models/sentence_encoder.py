"""Sentence embeddings: texts as points, near each other where they mean the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE
from eelbert_tf.preprocessing.batches import EncodedTexts, OrderedBatches, for_backend

from .backbone import EelbertBackbone
from .classifier import as_texts

Tensor = Any


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertSentenceEncoder(keras.Model):
    """The mean of the encoder's output over a text's tokens, at length 1 (Reimers and Gurevych 2019).

    Args:
        backbone: an `EelbertBackbone`; one that was distilled from a sentence teacher is meant for this.

    Call arguments:
        inputs: anything the backbone takes.
        training: whether dropout applies.

    Returns:
        float32 `[B, hidden_size]`; the product of two of them is their cosine.

    Example:

    >>> encoder = EelbertSentenceEncoder(EelbertBackbone.from_name("eelbert_uno"))
    >>> a, b = encoder.predict(["Turn on the lights.", "Lights on, please."], verbose=0)
    >>> similarity = a @ b
    """

    def __init__(self, backbone: EelbertBackbone, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        found = self.backbone(inputs, training=training)
        weights = ops.expand_dims(ops.cast(found["padding_mask"], "float32"), -1)
        total = ops.sum(ops.cast(found["sequence_output"], "float32") * weights, axis=1)  # [B, d]
        return total * ops.rsqrt(ops.sum(ops.square(total), axis=-1, keepdims=True) + 1e-12)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """`keras.Model.predict` that also takes texts; the rows come in the order of `x`.

        Args:
            x: texts, or pairs of texts; or anything that Keras takes.
            batch_size: texts per step; 32 by default.
            **kwargs: as Keras takes them.

        Returns:
            float32 `[n, hidden_size]`, each row of length 1.

        Raises:
            ValueError: there are texts beside other things, pairs where the encoder takes none, or texts for a model
                with a vocabulary.
        """
        texts = as_texts(x, self.backbone.pair)
        if texts is None:
            return super().predict(x, batch_size=batch_size, **kwargs)
        if self.backbone.config.vocab_size is not None:
            raise ValueError("A model with a vocabulary takes a dataset of `token_ids`. Received: texts")
        if not texts:
            return np.zeros((0, self.backbone.config.hidden_size), np.float32)
        batches = OrderedBatches(EncodedTexts(texts, self.backbone.config, self.backbone.pair), None, batch_size or 32)
        return batches.restore(super().predict(for_backend(batches), **kwargs))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"backbone": keras.saving.serialize_keras_object(self.backbone), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EelbertSentenceEncoder:
        """The inverse of `get_config`."""
        return cls(**{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])})

    @classmethod
    def from_preset(cls, name: str) -> EelbertSentenceEncoder:
        """The sentence encoder in a preset or a model directory.

        Args:
            name: a preset's name, or a directory.

        Returns:
            The encoder, with its weights.

        Raises:
            InputError: there is none, or it is damaged.
        """
        from eelbert_tf.saving.folders import load_backbone

        return cls(load_backbone(name))
