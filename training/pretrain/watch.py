"""What happens between the steps of a pretraining `fit`: figures, held-out scores, checkpoints, and stopping."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from eelbert_tf.disk.progress import Progress

from .log import HELD_OUT, Clock, Row, RunLog
from .settings import RunOptions, Settings


class StopRequest:
    """Records SIGTERM or SIGINT while `listen` is entered; a second signal has its usual effect."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listen(self) -> Iterator[StopRequest]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def record(received: int, _frame: Any) -> None:
            self.signal = received
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in before:
            signal.signal(number, record)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Watch(keras.callbacks.Callback):
    """Logs, scores and saves between steps, and ends the training after a signal.

    Args:
        step: updates that earlier processes have done.
        settings: of the run.
        options: how often to log, to score and to save.
        log: receives the figures.
        clock: seconds of training.
        stop: set by a signal.
        evaluate: returns scores on held-out text.
        save: writes a checkpoint of the given step; `None` in a process that does not write.
    """

    def __init__(
        self,
        step: int,
        settings: Settings,
        options: RunOptions,
        log: RunLog,
        clock: Clock,
        stop: StopRequest,
        evaluate: Callable[[], dict[str, float]],
        save: Callable[[int], None] | None,
    ) -> None:
        super().__init__()
        self.step, self.settings, self.options = step, settings, options
        self.log, self.clock, self.stop = log, clock, stop
        self.evaluate, self.save = evaluate, save
        self._micro_batches = 0
        self._logged = (step, clock.seconds)
        self._saved_at = time.monotonic()
        self._progress = Progress("pretraining", settings.steps, "step", initial=step, quiet=options.quiet)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After each update: logs, scores and saves if it is time to."""
        self._micro_batches += 1
        if self._micro_batches % self.settings.accumulate:
            return
        self.step += 1
        self._progress.update()
        last = self.step == self.settings.steps
        eval_every = self.options.eval_every
        score = eval_every > 0 and (last or self.step % eval_every == 0)
        if last or score or self.step % self.options.log_every == 0:
            self._report(score)
        due = time.monotonic() - self._saved_at >= 60 * self.options.checkpoint_minutes
        if self.save is not None and (last or due or self.stop.signal is not None):
            sync(self.model)
            with self.clock:
                self.save(self.step)
            self._saved_at = time.monotonic()
        if self.stop.signal is not None:
            self.model.stop_training = True

    def close(self) -> None:
        """Ends the progress bar, so that what is printed next, an error for example, has a line of its own."""
        self._progress.close()

    def _report(self, score: bool) -> None:
        """Logs the figures since the last report, and with `score` also those on held-out text."""
        sync(self.model)
        metrics = self.model.read_metrics()  # waits for the device
        step, seconds = self._logged
        self._logged = self.step, self.clock.seconds
        tokens_per_step = self.settings.tokens_per_step
        rate = (self.step - step) * tokens_per_step / max(self.clock.seconds - seconds, 1e-9)
        row: Row = {
            "step": self.step,
            "tokens": self.step * tokens_per_step,
            "seconds": round(self.clock.seconds, 2),
            "tokens_per_second": round(rate),
            "learning_rate": round(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)), 9),
            **{name: round(value, 5) for name, value in metrics.items()},
        }
        self._progress.show(_figures({"tokens/s": rate, **metrics}))
        if score:
            with self.clock:
                scores = self.evaluate()
            row |= {HELD_OUT + name: round(value, 5) for name, value in scores.items()}
            shown = _figures({f"held-out {name}": value for name, value in scores.items()})
            self._progress.write(f"step {self.step:,}, {row['tokens'] / 1e6:,.1f} M tokens: {shown}")
        self.model.reset_metrics()
        self.log.add(row)


def _figures(values: dict[str, float]) -> str:
    """Names and numbers for people: "tokens/s 12,345, loss 4.321"."""
    return ", ".join(f"{n.replace('_', ' ')} {v:,.{0 if v >= 100 else 3}f}" for n, v in values.items())


def sync(model: Any) -> None:
    """Brings a model's variables up to date, since on JAX the training loop has newer values."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
