"""Progress of a fine-tuning, on stderr: a bar on a terminal, a line for each pass elsewhere."""

from __future__ import annotations

from typing import Any

import keras

from eelbert_tf.disk import progress


class Progress(keras.callbacks.Callback):
    """One bar over all steps of a training with the loss and the last score; without a terminal a line for each pass.

    Args:
        total_steps: steps of the whole training.
        quiet: whether to show nothing.
        epochs: its passes, where `after_pass` tells of each; otherwise held-out metrics have lines of their own.
        criterion: the figure of the held-out texts that is shown.
        name: what the stage is called.
        done: steps that were done before.
    """

    def __init__(
        self,
        total_steps: int,
        quiet: bool = False,
        epochs: int | None = None,
        criterion: str = "",
        name: str = "training",
        done: int = 0,
    ) -> None:
        super().__init__()
        self.bar = progress.Progress(name, total_steps, "step", done, quiet=quiet, lines=epochs is None)
        self.name, self.epochs, self.criterion = name, epochs, criterion
        self._score = ""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts a step."""
        if logs and self.bar.done % 20 == 0:
            self.bar.show(f"loss {float(logs['loss']):.3f}{self._score}")
        self.bar.update()

    def after_pass(self, found: dict[str, Any], is_best: bool) -> None:
        """Tells of a pass.

        Args:
            found: its figures, as `passes.Passes` has them.
            is_best: whether it is the best so far.
        """
        if "dev" in found:
            best = " (best)" if is_best else ""
            self._score = f", dev {self.criterion} {found['dev'][self.criterion]:.4f}{best}"
        left = self.bar.left()
        self.bar.line(
            f"{self.name}: pass {found['epoch']} of {self.epochs}, loss {found['loss']:.4f}{self._score}, "
            f"{found['seconds']:.1f} s{f', {left} left' if left else ''}"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the metrics above the bar, where nothing else tells of them."""
        if self.epochs is None and any(name.startswith("val_") for name in logs or {}):
            shown = ", ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
            self.bar.write(f"epoch {epoch + 1}: {shown}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends the bar."""
        self.bar.close()
