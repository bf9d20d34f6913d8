"""The callback of a pretraining `fit`: figures, held-out scores, checkpoints, and signals that ask it to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from .log import HELD_OUT, Bar, Clock, RunLog

Save = Callable[[int], None]


class StopRequest:
    """Is told of SIGTERM and SIGINT while `listen` is entered; a second signal acts as it did before."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listen(self) -> Iterator[StopRequest]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def note(number: int, _frame: Any) -> None:
            self.signal = number
            for some, handler in before.items():
                signal.signal(some, handler)

        for number in before:
            signal.signal(number, note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Watch(keras.callbacks.Callback):
    """Everything that happens between steps.

    Args:
        step: updates done by an earlier process.
        steps: updates of the whole run.
        accumulate: batches per update.
        tokens_per_step: slots of an update's batch.
        log: rows of figures.
        log_every: updates between two rows.
        evaluate: scores held-out text; `None` for never.
        eval_every: updates between two scores.
        save: writes a checkpoint of the update it is given.
        checkpoint_seconds: between two checkpoints.
        stop: set by a signal.
        clock: seconds of training.
        quiet: whether no bar is shown.
    """

    def __init__(
        self,
        step: int,
        steps: int,
        accumulate: int,
        tokens_per_step: int,
        log: RunLog,
        log_every: int,
        evaluate: Callable[[], dict[str, float]] | None,
        eval_every: int,
        save: Save,
        checkpoint_seconds: float,
        stop: StopRequest,
        clock: Clock,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        self.step, self.steps, self.accumulate, self.tokens_per_step = step, steps, accumulate, tokens_per_step
        self.log, self.log_every = log, log_every
        self.evaluate, self.eval_every = evaluate, eval_every
        self.save, self.checkpoint_seconds = save, checkpoint_seconds
        self.stop, self.clock, self.quiet = stop, clock, quiet
        self._pieces = 0
        self._bar: Bar | None = None
        self._logged = (step, clock.seconds)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the bar."""
        self._bar = None if self.quiet else Bar(self.step, self.steps)
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks, after each update, what is due."""
        self._pieces += 1
        if self._pieces % self.accumulate:
            return
        self.step += 1
        if self._bar is not None:
            self._bar.step()
        last = self.step == self.steps
        score = self.evaluate is not None and (last or self.step % self.eval_every == 0)
        if last or score or self.step % self.log_every == 0:
            self._report(score)
        due = time.monotonic() - self._saved_at >= self.checkpoint_seconds
        if last or due or self.stop.signal is not None:
            sync(self.model)
            with self.clock:
                self.save(self.step)
            self._saved_at = time.monotonic()
        if self.stop.signal is not None:
            self.model.stop_training = True

    def close(self) -> None:
        """Ends the bar: else what is printed next, an error for example, lands in its line."""
        if self._bar is not None:
            self._bar.close()

    def _report(self, score: bool) -> None:
        """A row of figures since the last one."""
        sync(self.model)
        metrics = self.model.read_metrics()  # waits for the device
        step, seconds = self._logged
        self._logged = self.step, self.clock.seconds
        tokens = (self.step - step) * self.tokens_per_step
        row = {
            "step": self.step,
            "tokens": self.step * self.tokens_per_step,
            "seconds": round(self.clock.seconds, 2),
            "tokens_per_second": round(tokens / max(self.clock.seconds - seconds, 1e-9)),
            "learning_rate": round(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)), 9),
            **{name: round(value, 5) for name, value in metrics.items()},
        }
        if score and self.evaluate is not None:
            with self.clock:
                row |= {HELD_OUT + name: round(value, 5) for name, value in self.evaluate().items()}
        self.model.reset_metrics()
        self.log.add(row)
        if self._bar is not None:
            self._bar.show({name: value for name, value in row.items() if not name.startswith(HELD_OUT)})
            if score:
                found = ", ".join(f"{n.replace('_', ' ')} {v:.4f}" for n, v in row.items() if n.startswith(HELD_OUT))
                self._bar.say(f"step {self.step:,}, {row['tokens'] / 1e6:,.1f} M tokens: {found}")


def sync(model: Any) -> None:
    """Brings a model's variables up to date: on JAX the loop holds newer ones."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
