"""The unit of a regression's targets: the head learns numbers of mean 0 and spread 1, and users get theirs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE

Tensor = Any


@keras.saving.register_keras_serializable(package=PACKAGE)
class TargetUnit(keras.layers.Layer):
    """From standardized numbers to those of the targets: `x * scale + mean`, for each output by itself.

    Without it targets of 0.003 would hardly be learned, and targets of a million would take an epoch for their mean.

    Args:
        size: numbers that the model gives for a text.
        **kwargs: as Keras takes them.

    Attributes:
        mean: float32 `[size]`.
        scale: float32 `[size]`; 0 until the targets have been seen, which is read as 1.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = self.add_weight(shape=(size,), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(size,), initializer="zeros", trainable=False, name="scale")
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        return x * self._divisor() + self.mean

    def standardize(self, y: Tensor) -> Tensor:
        """The inverse of the call: targets, `[B]` or `[B, size]`, as the loss sees them."""
        return (ops.cast(y, self.mean.dtype) - self.mean) / self._divisor()

    def _divisor(self) -> Tensor:
        return ops.where(self.scale > 0, self.scale, ops.ones_like(self.scale))

    @property
    def is_known(self) -> bool:
        """Whether the targets have been seen."""
        return bool((self.values()[1] > 0).all())

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale, float32 `[size]`, as they are stored."""
        return np.asarray(ops.convert_to_numpy(self.mean)), np.asarray(ops.convert_to_numpy(self.scale))

    def to_dict(self) -> dict[str, list[float]] | None:
        """Mean and scale as `config.json` holds them; `None` where the targets have not been seen."""
        mean, scale = self.values()
        return {"mean": mean.tolist(), "scale": scale.tolist()} if self.is_known else None

    def set(self, mean: Any, scale: Any) -> None:
        """Takes another unit: a number for each output, or one for all."""
        self.mean.assign(np.broadcast_to(np.asarray(mean, np.float32), self.mean.shape))
        self.scale.assign(np.broadcast_to(np.asarray(scale, np.float32), self.scale.shape))
