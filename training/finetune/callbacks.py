"""What a fine-tuning does after its steps: stop where nothing can come of it."""

from __future__ import annotations

import math
from typing import Any

import keras

from eelbert_tf.errors import InputError
from eelbert_tf.interrupts import raise_pending

# A mean loss this many times that of guessing is not bad luck: the weights have blown up.
HOPELESS = 100.0


class StopIfDiverged(keras.callbacks.Callback):
    """Ends a training that can no longer come to anything, before its weights are saved.

    Args:
        learning_rate: for the message.
        guessing: the loss of a model that knows no more than the labels' frequencies.
    """

    CHECKED_EVERY = 20  # steps; the reported loss is a mean since the epoch began, so a NaN stays in it

    def __init__(self, learning_rate: float, guessing: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.limit = HOPELESS * guessing if guessing > 0 else math.inf

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks now and then at the loss, and always for a signal that was swallowed."""
        raise_pending()
        if logs and (batch + 1) % self.CHECKED_EVERY == 0 and not math.isfinite(float(logs["loss"])):
            self._stop(float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks before the epoch is saved."""
        loss = float((logs or {})["loss"])
        if not loss <= self.limit:
            self._stop(loss)

    def _stop(self, loss: float) -> None:
        raise InputError(
            f"--learning-rate: the training diverged, its loss is {loss:.4g}; expected a lower rate "
            f"than {self.learning_rate:g}"
        )
