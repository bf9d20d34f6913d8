"""What every objective shares: a Keras layer with a head of its own on the encoder."""

from __future__ import annotations

from typing import Any

import keras

from eelbert_tf.config import EelbertConfig

from .objectives import ObjectiveSettings
from .pretrain_data import Corruption
from .pretrain_tokens import TokenSource

Tensor = Any
Metrics = dict[str, tuple[Tensor, Tensor]]


class Objective(keras.layers.Layer):
    """Base class.

    Args:
        config: the encoder's shape.
        settings: options.
        tokens: turns token ids into the encoder's input, and knows how often each occurs.

    Attributes:
        metric_names: names of what `call` reports beside the loss; the first, whose weight is the number of
            predictions, is always "accuracy".
    """

    metric_names: tuple[str, ...] = ("accuracy",)

    def __init__(self, config: EelbertConfig, settings: ObjectiveSettings, tokens: TokenSource, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.config = config
        self.settings = settings
        self.tokens = tokens
        self.specials = tokens.specials

    def corruption(self, sequence_length: int) -> Corruption:
        """What the host does with rows of words, to make the arrays of a step."""
        raise NotImplementedError

    def held_out_corruption(self, sequence_length: int) -> Corruption:
        """The same for held-out text."""
        return self.corruption(sequence_length)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        """The loss of a batch, float32 `[]`, and for each metric its value and weight, both float32 `[]`."""
        raise NotImplementedError
