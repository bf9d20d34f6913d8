"""Pretraining an encoder on a corpus: the run behind `eelbert pretrain`.

    settings = Settings(steps=10_000, objective="mlm")
    report = pretrain(Corpus("/data/corpus"), named_config("eelbert_uno"), settings, Path("/data/uno"))

The folder it writes is a model (`EelbertBackbone.from_preset(folder)`), with log.csv, loss.png, run.json and
checkpoints beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from eelbert_tf.config import POLICIES, EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.optimizer import adamw
from eelbert_tf.models.presets import weight_names
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.objectives.registry import ObjectiveSettings, make_objective
from eelbert_tf.training.tokens.pieces import PieceTokens
from eelbert_tf.training.tokens.stream import BatchStream, for_fit
from eelbert_tf.training.tokens.words import WordTables

from .checkpoint import put_state, read_checkpoint, take_state, write_checkpoint
from .folder import CHECKPOINTS, claim, save_encoder
from .log import Clock, RunLog
from .model import PretrainingModel
from .parallel import Parallel
from .settings import Settings, identity
from .watch import StopRequest, Watch

_HELD_OUT_SEED = 20231  # masks of held-out text are the same in every run


@dataclass(frozen=True)
class Habits:
    """What may change when a run is resumed, since it does not change the result.

    Args:
        resume: whether a run in the folder is continued; where there is none, it begins.
        checkpoint_minutes: between two checkpoints.
        log_every: steps between two rows of figures.
        eval_every: steps between two scores on held-out text; 0 for never.
        eval_batches: batches of held-out text.
        jit_compile: whether XLA compiles the step on TensorFlow; on JAX it always does.
        parallel: where the run takes place.
        warn: is told what a user ought to know.
        quiet: whether no bar is shown.
    """

    resume: bool = False
    checkpoint_minutes: float = 5.0
    log_every: int = 50
    eval_every: int = 1000
    eval_batches: int = 16
    jit_compile: bool = True
    parallel: Parallel = field(default_factory=Parallel)
    warn: Callable[[str], None] = lambda text: None
    quiet: bool = False


def build_model(corpus: Corpus, config: EelbertConfig, settings: Settings) -> PretrainingModel:
    """The model of a run, with an optimizer and the initial weights that its seed gives."""
    keras.config.set_dtype_policy(POLICIES[settings.mixed_precision])
    keras.utils.set_random_seed(settings.seed)
    rate = settings.dropout
    backbone = EelbertBackbone(
        config.replace(hidden_dropout_prob=rate, attention_probs_dropout_prob=rate), name="backbone"
    )
    options = ObjectiveSettings(
        **{field.name: getattr(settings, field.name) for field in dataclasses.fields(ObjectiveSettings)}
    )
    if settings.preset is not None:
        _start_from(backbone, settings.preset)
    source = WordTables if config.hash is not None else PieceTokens
    tokens = source(corpus, config, name="tokens")
    model = PretrainingModel(backbone, make_objective(settings.objective, config, options, tokens))
    model.optimizer = adamw(
        model,
        settings.learning_rate,
        settings.steps,
        settings.warmup,
        settings.weight_decay,
        settings.clip_norm,
        settings.decay,
        settings.accumulate,
        settings.average,
    )
    return model


def _start_from(backbone: EelbertBackbone, preset: str) -> None:
    """Gives an encoder the weights of a preset or a saved model.

    Raises:
        InputError: there is no such model, or it has another shape.
    """
    found = weight_names(EelbertBackbone.from_preset(preset))
    for name, variable in weight_names(backbone).items():
        if name not in found or tuple(found[name].shape) != tuple(variable.shape):
            raise InputError(f"--preset: {preset}: has another shape than --config: its {name} differs")
        variable.assign(found[name])


def pretrain(
    corpus: Corpus, config: EelbertConfig, settings: Settings, output: Path, habits: Habits | None = None
) -> dict[str, Any]:
    """Trains an encoder from fresh weights, or continues where a run in `output` was stopped.

    Args:
        corpus: the text.
        config: the encoder's shape.
        settings: how to.
        output: the run's folder.
        habits: what does not change the result.

    Returns:
        What `eelbert pretrain` reports.

    Raises:
        InputError: `output` holds something else, another run or only damaged checkpoints, or the settings do not fit.
        KeyboardInterrupt: SIGINT came; a checkpoint was written.
        SystemExit: SIGTERM came, likewise; the status is 143.
    """
    habits = habits or Habits()
    check(config, settings, habits.parallel)
    run = identity(config, settings, corpus)
    chief = habits.parallel.worker == 0
    with claim(output, run, habits.resume) if chief else contextlib.nullcontext():
        policy = keras.config.dtype_policy()
        try:
            return _Run(corpus, config, settings, output, habits).go()
        finally:
            keras.config.set_dtype_policy(policy)


def check(config: EelbertConfig, settings: Settings, parallel: Parallel) -> None:
    """Refuses what cannot work, before anything is done.

    Raises:
        InputError: the sequences are longer than the position table, or the batch cannot be shared evenly.
    """
    if settings.sequence_length > config.max_position_embeddings:
        raise InputError(
            f"--sequence-length: {settings.sequence_length} is more than the model's "
            f"{config.max_position_embeddings} positions"
        )
    if settings.objective in ("replaced", "teacher") and config.hash is None:
        raise InputError(f"--objective {settings.objective}: takes whole words; it needs a configuration with a hash")
    shares = settings.accumulate * parallel.devices
    if settings.batch_size % shares:
        raise InputError(
            f"--batch-size: {settings.batch_size} must be a multiple of {shares} "
            f"({parallel.devices} devices, {settings.accumulate} pieces)"
        )


class _Run:
    """One process's part in a run."""

    def __init__(self, corpus: Corpus, config: EelbertConfig, settings: Settings, output: Path, habits: Habits) -> None:
        self.corpus, self.config, self.settings, self.output, self.habits = corpus, config, settings, output, habits
        with habits.parallel.scope:
            self.model = build_model(corpus, config, settings)
            self.model.compile(self.model.optimizer, jit_compile=habits.jit_compile and habits.parallel.compiles)
        objective, length = self.model.objective, settings.sequence_length
        parallel = habits.parallel
        self.train = BatchStream(
            objective.sequences(length, settings.seed, "train"),
            objective.corruption(length),
            settings.batch_size,
            settings.accumulate,
            parallel.worker,
            parallel.workers,
            settings.seed,
        )
        held_out = objective.sequences(length, _HELD_OUT_SEED, "validation")
        self.held_out = dataclasses.replace(
            self.train,
            sequences=held_out,
            corrupt=objective.held_out_corruption(length),
            seed=_HELD_OUT_SEED,
        )
        batch = settings.batch_size // settings.accumulate
        self.held_out_pieces = min(habits.eval_batches * settings.accumulate, max(1, len(held_out) // batch))

    def go(self) -> dict[str, Any]:
        """Trains to the end, or to a signal.

        Raises:
            KeyboardInterrupt: after SIGINT, when all is saved.
            SystemExit: after another signal.
        """
        settings, habits = self.settings, self.habits
        step, clock = self._restore()
        # Only the first process writes; the others' figures are the same.
        chief = habits.parallel.worker == 0
        self.log = RunLog(self.output, self.model.objective.metric_names, step, writes=chief)
        self.clock = clock
        if step < settings.steps:
            with StopRequest().listen() as stop:
                self._fit(step, chief, stop)
            if stop.signal == signal.SIGINT:
                raise KeyboardInterrupt
            if stop.signal is not None:
                raise SystemExit(128 + stop.signal)
        elif chief:
            self._save_encoder(step)
        return self._report()

    def _fit(self, step: int, chief: bool, stop: StopRequest) -> None:
        settings, habits = self.settings, self.habits
        watch = Watch(
            step,
            settings.steps,
            settings.accumulate,
            settings.tokens_per_step,
            self.log,
            habits.log_every,
            self._score if habits.eval_every else None,
            habits.eval_every,
            self._save if chief else lambda step: None,
            habits.checkpoint_minutes * 60 if chief else math.inf,
            stop,
            self.clock,
            habits.quiet or not chief,
        )
        first, last = step * settings.accumulate, settings.steps * settings.accumulate
        data = for_fit(lambda: self.train.batches(first, last), self.train.batch(first), self.model.objective.ragged)
        try:
            self.model.fit(data, steps_per_epoch=last - first, shuffle=False, verbose=0, callbacks=[watch])
        finally:
            watch.close()

    def _score(self) -> dict[str, float]:
        """The metrics on held-out text."""
        data = for_fit(
            lambda: self.held_out.batches(0, self.held_out_pieces), self.held_out.batch(0), self.model.objective.ragged
        )
        self.model.evaluate(data, steps=self.held_out_pieces, verbose=0)
        return self.model.read_metrics()

    def _restore(self) -> tuple[int, Clock]:
        """Puts the newest checkpoint's state into the model; the step it had reached."""
        found = read_checkpoint(self.output / CHECKPOINTS, self.habits.warn) if self.habits.resume else None
        if found is None:
            return 0, Clock()
        arrays, state = found
        put_state(self.model, arrays)
        if state["backend"] != keras.backend.backend():
            self.habits.warn(f"written with the {state['backend']} backend: the result will differ in the last bits")
        self.habits.warn(f"resuming at step {state['step']:,}")
        return int(state["step"]), Clock(state["seconds"])

    def _save(self, step: int) -> None:
        """Writes a checkpoint, and the model as it is now."""
        state = {"backend": keras.backend.backend(), "seconds": self.clock.seconds}
        write_checkpoint(self.output / CHECKPOINTS, step, take_state(self.model), state)
        self._save_encoder(step)

    def _save_encoder(self, step: int) -> None:
        optimizer = self.model.optimizer
        averages = getattr(optimizer, "_model_variables_moving_average", None) if self.settings.average else None
        weights = {id(v): a for v, a in zip(self.model.trainable_variables, averages or [], strict=bool(averages))}
        vocabulary = self.model.objective.tokens.vocabulary
        save_encoder(self.model, self.config, weights, self.output, {"pretraining": self._notes(step)}, vocabulary)
        self.log.draw()

    def _notes(self, step: int) -> dict[str, Any]:
        """What a model card needs to know."""
        sequences = self.train.sequences
        return {
            **dataclasses.asdict(self.settings),
            "finished_steps": step,
            "tokens": step * self.settings.tokens_per_step,
            "share_of_slots_with_words": round(sequences.fill * sequences.width / self.settings.sequence_length, 4),
            "epochs": round(step * self.settings.batch_size / len(sequences), 3),
            "corpus_words": self.corpus.num_tokens,
            "corpus_distinct_words": len(self.corpus.words),
            "seconds": round(self.clock.seconds, 1),
            "backend": keras.backend.backend(),
            "head_parameters": self._head_parameters(),
            "held_out": self.log.held_out(),
            "loss_curve": self.log.curve(),
        }

    def _head_parameters(self) -> int:
        """Trained parameters of the objective, which are dropped from what is saved."""
        return sum(int(keras.ops.size(v)) for v in self.model.objective.trainable_variables)

    def _report(self) -> dict[str, Any]:
        rows = self.log.rows
        seconds = max(self.clock.seconds, 1e-9)
        tokens = self.settings.steps * self.settings.tokens_per_step
        return {
            "output": str(self.output),
            "objective": self.settings.objective,
            "steps": self.settings.steps,
            "tokens": tokens,
            "seconds": round(seconds, 1),
            "tokens_per_second": round(tokens / seconds),
            "parameters": self.model.backbone.count_params(),
            "head_parameters": self._head_parameters(),
            "backend": keras.backend.backend(),
            "loss": next((row["loss"] for row in reversed(rows) if "loss" in row), None),
            "held_out": self.log.held_out(),
        }
