"""Progress of `fit`, on stderr."""

from __future__ import annotations

from typing import Any

import keras

from eelbert_tf.disk import progress


class Progress(keras.callbacks.Callback):
    """One bar over all steps of a training, with the loss, and after each epoch the metrics on held-out texts.

    Args:
        total_steps: steps of the whole training.
        quiet: whether to show nothing.
    """

    def __init__(self, total_steps: int, quiet: bool = False) -> None:
        super().__init__()
        self.bar = progress.Progress("training", total_steps, "step", quiet=quiet)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts a step."""
        if logs and self.bar.done % 20 == 0:
            self.bar.show(f"loss {float(logs['loss']):.3f}")
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the metrics above the bar, where there are held-out texts."""
        if not any(name.startswith("val_") for name in logs or {}):
            return
        shown = ", ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
        self.bar.write(f"epoch {epoch + 1}: {shown}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends the bar."""
        self.bar.close()
