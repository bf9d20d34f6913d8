"""The base class of objectives: a Keras layer with its own head on the encoder."""

from __future__ import annotations

from typing import Any

import keras

from eelbert_tf.config import EelbertConfig
from eelbert_tf.training.corpus.sequences import SPECIAL_TOKENS
from eelbert_tf.training.tokens.source import TokenSource
from eelbert_tf.training.tokens.stream import Corruption

from .registry import ObjectiveSettings

Tensor = Any
Metrics = dict[str, tuple[Tensor, Tensor]]


class Objective(keras.layers.Layer):
    """Base class.

    Args:
        config: the encoder's shape.
        settings: options.
        tokens: turns token ids into the encoder's input, and has the tokens' counts.

    Attributes:
        metric_names: names of the metrics that `call` reports beside the loss; the weight of the first one is the
            number of predictions.
        uses_pooler: whether the encoder's pooler is trained.
        ragged: whether batches have different shapes.
    """

    metric_names: tuple[str, ...] = ("accuracy",)
    uses_pooler = False
    ragged = False

    def __init__(self, config: EelbertConfig, settings: ObjectiveSettings, tokens: TokenSource, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.config = config
        self.settings = settings
        self.tokens = tokens
        self.specials = tokens.specials

    def sequences(self, sequence_length: int, seed: int, split: str) -> Any:
        """Rows of words of a split, as `BatchStream` takes them."""
        words = self.tokens.words_per_row(sequence_length)
        return self.tokens.corpus.sequences(words + SPECIAL_TOKENS, seed, split)

    def corruption(self, sequence_length: int) -> Corruption:
        """The function that turns rows of words into the arrays of a step, on the host."""
        raise NotImplementedError

    def held_out_corruption(self, sequence_length: int) -> Corruption:
        """The same function for held-out text."""
        return self.corruption(sequence_length)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        """The loss of a batch, float32 `[]`, and the value and weight of each metric, both float32 `[]`."""
        raise NotImplementedError
