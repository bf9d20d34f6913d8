"""What happens after each pass of a fine-tuning: held-out texts are scored, the best weights are kept, all is saved."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.batches import OrderedBatches
from eelbert_tf.saving.folders import TRAINING_FILE
from eelbert_tf.training.state import put_state, take_state

from .labelled import Labelled
from .scoring import best_of, better, figures, shown

Arrays = dict[str, np.ndarray]

BATCH_SIZE = 64  # of held-out texts
_OUTPUTS = "outputs/"  # before the names of arrays in a saved state

# Saving takes at most this share of the time, so that many short passes are not slowed down by the disk.
_SAVING_SHARE = 0.05


@dataclasses.dataclass
class Passes:
    """The passes of a training.

    Args:
        done: for each pass its `epoch` from 1, `loss`, `seconds`, and with held-out texts their figures as `dev`.
        best: the number of the pass whose weights are kept; the last one where nothing is held out; 0 where none is
            better than the start.
        outputs: of the held-out texts after the best pass, as `predict` gives them.
        each: those after every pass, where they are kept; before them those of the start, where it was scored.
        start: the figures of the held-out texts before the first pass, where the model could do something by then.
    """

    done: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best: int = 0
    outputs: Any = None
    each: list[Any] = dataclasses.field(default_factory=list)
    start: dict[str, float] | None = None


class AfterPass(keras.callbacks.Callback):
    """Scores, compares, keeps, saves, and ends a training that has not become better for some passes.

    Args:
        dev: held-out texts, also ready for batching; `None` for none.
        criterion: the figure that the best pass is chosen by.
        patience: passes without a better one after which the training ends; `None` for all.
        output: the model's folder; `None` to save nothing.
        notes: of the model.
        identity: of the training, so that another is not resumed.
        keep_each: whether the outputs of every pass are kept.
        report: is told of each pass.
    """

    def __init__(
        self,
        dev: Labelled | None,
        criterion: str,
        patience: int | None,
        output: Path | None,
        notes: dict[str, Any],
        identity: str,
        keep_each: bool = False,
        report: Callable[[dict[str, Any], bool], None] | None = None,
    ) -> None:
        super().__init__()
        self.dev, self.criterion, self.patience = dev, criterion, patience
        self.output, self.notes, self.identity, self.keep_each = output, notes, identity, keep_each
        self.report = report
        self.passes = Passes()
        self._batches = None if dev is None else OrderedBatches(dev.ready, None, BATCH_SIZE)
        self._weights: list[np.ndarray] = []  # of the best pass
        self._began = time.monotonic()
        self._saved_until, self._saving = 0.0, 0.0

    def score_start(self) -> None:
        """Looks at the model before its first pass: where no pass is better, that is kept."""
        if self.dev is None:
            return
        outputs = self._outputs()
        self.passes.start = shown(figures(outputs, self.dev, self.model))
        self.passes.outputs = outputs
        self.passes.each += [outputs] if self.keep_each else []
        self._weights = self.model.get_weights()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        passes = self.passes
        found: dict[str, Any] = {"epoch": epoch + 1, "loss": round(float((logs or {})["loss"]), 4)}
        is_best = True
        if self.dev is not None:
            outputs = self._outputs()
            scored = figures(outputs, self.dev, self.model)
            best = passes.done[passes.best - 1]["dev"] if passes.best else passes.start
            found["dev"] = shown(scored)
            is_best = better(found["dev"], best, self.criterion)
            passes.each += [outputs] if self.keep_each else []
            passes.outputs = outputs if is_best else passes.outputs
        found["seconds"] = round(time.monotonic() - self._began, 2)
        passes.done.append(found)
        if is_best:
            passes.best = epoch + 1
            self._weights = self.model.get_weights() if self.dev is not None else []
        if self.report is not None:
            self.report(found, is_best)
        if self.output is not None and time.monotonic() >= self._saved_until:
            self.save(with_state=True)
        if self.is_over(epoch + 1):
            self.model.stop_training = True

    def is_over(self, done: int) -> bool:
        """Whether so many finished passes are enough."""
        # They are compared with one another: the first ones may lose what the start had, and later ones win it back.
        if self.patience is None or self.dev is None:
            return False
        return done - best_of([row["dev"] for row in self.passes.done], self.criterion) >= self.patience

    def _outputs(self) -> Any:
        """The outputs for the held-out texts."""
        return self.model.predict_batches(self._batches)

    def put_best(self) -> None:
        """Gives the model the weights of the best pass."""
        if self._weights:
            self.model.set_weights(self._weights)

    def save(self, with_state: bool = False, files: dict[str, bytes] | None = None) -> None:
        """Writes the best weights; and what it takes to go on, in the same moment.

        Args:
            with_state: whether the training goes on.
            files: more files of the folder.
        """
        assert self.output is not None
        begin = time.monotonic()
        state = {TRAINING_FILE: self._state()} if with_state else {}
        current = self.model.get_weights()
        self.put_best()
        counts = {"finished_epochs": len(self.passes.done), "best_epoch": self.passes.best}
        self.model.save_to_preset(self.output, {**self.notes, **counts}, files={**state, **(files or {})})
        self.model.set_weights(current)
        now = time.monotonic()
        self._saved_until = now + (now - begin) / _SAVING_SHARE

    def _state(self) -> bytes:
        import safetensors.numpy

        arrays = take_state(self.model)
        arrays |= {f"best/{i:04d}": array for i, array in enumerate(self._weights)}
        outputs = self.passes.outputs
        named = outputs if isinstance(outputs, dict) else {} if outputs is None else {"": outputs}
        arrays |= {f"{_OUTPUTS}{name}": values for name, values in named.items()}
        fields = {
            "identity": self.identity,
            "backend": keras.backend.backend(),
            "passes": self.passes.done,
            "best": self.passes.best,
            "start": self.passes.start,
            "sha256": _digest(arrays),
        }
        kept = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        return bytes(safetensors.numpy.save(kept, {"state": json.dumps(fields)}))

    def restore(self, folder: Path) -> int:
        """Puts the state of a training that was stopped into the model.

        Args:
            folder: of the model.

        Returns:
            The number of finished passes; 0 where there is nothing to go on from.

        Raises:
            InputError: it is the state of another training, or damaged.
        """
        import safetensors

        path = folder / TRAINING_FILE
        if not path.is_file():
            return 0
        try:
            with safetensors.safe_open(path, "numpy") as file:
                fields = json.loads(file.metadata()["state"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no dictionary
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: damaged ({error}); train again without --resume") from None
        if fields["sha256"] != _digest(arrays):
            raise InputError(f"{path}: damaged (its checksum differs); train again without --resume")
        if fields["identity"] != self.identity:
            raise InputError(
                f"--resume: {folder} holds a training on other texts or by another recipe; give the same options and "
                "files, or train again without --resume"
            )
        named = {name.removeprefix(_OUTPUTS): arrays.pop(name) for name in list(arrays) if name.startswith(_OUTPUTS)}
        outputs = named.get("", named) if named else None
        names = sorted(name for name in arrays if name.startswith("best/"))
        self._weights = [arrays.pop(name) for name in names]
        put_state(self.model, arrays)
        self.passes = Passes(fields["passes"], fields["best"], outputs, start=fields["start"])
        return len(self.passes.done)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
