"""Pretraining an encoder on a corpus: the run behind `eelbert pretrain`.

    settings = Settings(steps=10_000, objective="mlm")
    report = pretrain(Corpus("/data/corpus"), named_config("eelbert_uno"), settings, Path("/data/uno"))

The output folder is a model (`EelbertBackbone.from_preset(folder)`), with log.csv, loss.png, run.json and checkpoints
beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
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
from eelbert_tf.training.state import put_state, take_state
from eelbert_tf.training.tokens.pieces import PieceTokens
from eelbert_tf.training.tokens.stream import BatchStream, for_fit
from eelbert_tf.training.tokens.words import WordTables

from .checkpoint import read_checkpoint, write_checkpoint
from .folder import CHECKPOINTS, lock, save_encoder
from .log import Clock, RunLog
from .model import PretrainingModel
from .parallel import Parallel
from .settings import RunOptions, Settings, identity
from .watch import StopRequest, Watch

_HELD_OUT_SEED = 20231  # so that the masks of held-out text are the same in every run


def build_model(corpus: Corpus, config: EelbertConfig, settings: Settings) -> PretrainingModel:
    """The model of a run, with its optimizer and its initial weights."""
    keras.config.set_dtype_policy(POLICIES[settings.mixed_precision])
    keras.utils.set_random_seed(settings.seed)
    rate = settings.dropout
    backbone = EelbertBackbone(
        config.replace(hidden_dropout_prob=rate, attention_probs_dropout_prob=rate), name="backbone"
    )
    if settings.preset is not None:
        _start_from(backbone, settings.preset)
    source = WordTables if config.hash is not None else PieceTokens
    tokens = source(corpus, config, name="tokens")
    names = [field.name for field in dataclasses.fields(ObjectiveSettings)]
    objective_settings = ObjectiveSettings(**{name: getattr(settings, name) for name in names})
    model = PretrainingModel(backbone, make_objective(settings.objective, config, objective_settings, tokens))
    model.optimizer = adamw(
        model,
        settings.learning_rate,
        settings.steps,
        settings.warmup,
        settings.weight_decay,
        settings.clip_norm,
        accumulate=settings.accumulate,
    )
    return model


def _start_from(backbone: EelbertBackbone, preset: str) -> None:
    """Copies the weights of a preset or a saved model into an encoder.

    Raises:
        InputError: there is no such model, or it has another shape.
    """
    weights = weight_names(EelbertBackbone.from_preset(preset))
    for name, variable in weight_names(backbone).items():
        if name not in weights or tuple(weights[name].shape) != tuple(variable.shape):
            raise InputError(f"--preset: {preset}: has another shape than --config: its {name} differs")
        variable.assign(weights[name])


def pretrain(
    corpus: Corpus, config: EelbertConfig, settings: Settings, output: Path, options: RunOptions | None = None
) -> dict[str, Any]:
    """Trains an encoder, or continues a run in `output` that was stopped.

    Args:
        corpus: the text.
        config: the encoder's shape.
        settings: everything that decides the result.
        output: the run's folder.
        options: what does not change the result.

    Returns:
        The report of `eelbert pretrain`.

    Raises:
        InputError: `output` holds something else, another run or only damaged checkpoints, or the settings do not fit
            the configuration or the devices.
        KeyboardInterrupt: after SIGINT; a checkpoint was written.
        SystemExit: after SIGTERM; a checkpoint was written, and the status is 143.
    """
    options = options or RunOptions()
    check(config, settings, options.parallel)
    run = identity(config, settings, corpus)
    chief = options.parallel.worker == 0
    with lock(output, run, options.resume) if chief else contextlib.nullcontext():
        policy = keras.config.dtype_policy()
        try:
            return _Run(corpus, config, settings, output, options).go()
        finally:
            keras.config.set_dtype_policy(policy)


def check(config: EelbertConfig, settings: Settings, parallel: Parallel) -> None:
    """Checks that the settings fit the configuration and the devices.

    Raises:
        InputError: the sequences are longer than the position table, the objective needs a hash, or the batch cannot be
            divided evenly.
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
            f"({parallel.devices} devices, {settings.accumulate} micro-batches)"
        )


class _Run:
    """A run, or one process's part in it."""

    def __init__(
        self, corpus: Corpus, config: EelbertConfig, settings: Settings, output: Path, options: RunOptions
    ) -> None:
        self.corpus, self.config, self.settings, self.output, self.options = corpus, config, settings, output, options
        with options.parallel.scope:
            self.model = build_model(corpus, config, settings)
            self.model.compile(self.model.optimizer, jit_compile=options.jit_compile and options.parallel.compiles)
        objective, length = self.model.objective, settings.sequence_length
        parallel = options.parallel
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
        self.held_out_batches = min(options.eval_batches * settings.accumulate, max(1, len(held_out) // batch))

    def go(self) -> dict[str, Any]:
        """Trains to the end, or until a signal.

        Raises:
            KeyboardInterrupt: after SIGINT, when everything is saved.
            SystemExit: after another signal, likewise.
        """
        settings, options = self.settings, self.options
        step, clock = self._restore()
        # Only the first process writes. The others have the same figures.
        chief = options.parallel.worker == 0
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
        settings = self.settings
        options = self.options if chief else dataclasses.replace(self.options, quiet=True)
        save = self._save if chief else None
        watch = Watch(step, settings, options, self.log, self.clock, stop, self._score, save)
        first, last = step * settings.accumulate, settings.steps * settings.accumulate
        data = for_fit(lambda: self.train.batches(first, last), self.train.batch(first), self.model.objective.ragged)
        try:
            self.model.fit(data, steps_per_epoch=last - first, shuffle=False, verbose=0, callbacks=[watch])
        finally:
            watch.close()

    def _score(self) -> dict[str, float]:
        """The metrics on held-out text."""
        data = for_fit(
            lambda: self.held_out.batches(0, self.held_out_batches), self.held_out.batch(0), self.model.objective.ragged
        )
        self.model.evaluate(data, steps=self.held_out_batches, verbose=0)
        return self.model.read_metrics()

    def _restore(self) -> tuple[int, Clock]:
        """Puts the newest checkpoint's state into the model; returns its step and the clock."""
        checkpoint = read_checkpoint(self.output / CHECKPOINTS, self.options.warn) if self.options.resume else None
        if checkpoint is None:
            return 0, Clock()
        arrays, state = checkpoint
        put_state(self.model, arrays)
        if state["backend"] != keras.backend.backend():
            self.options.warn(f"written with the {state['backend']} backend: the result will differ in the last bits")
        self.options.warn(f"resuming at step {state['step']:,}")
        return int(state["step"]), Clock(state["seconds"])

    def _save(self, step: int) -> None:
        """Writes a checkpoint, and the current model."""
        state = {"backend": keras.backend.backend(), "seconds": self.clock.seconds}
        write_checkpoint(self.output / CHECKPOINTS, step, take_state(self.model), state)
        self._save_encoder(step)

    def _save_encoder(self, step: int) -> None:
        vocabulary = self.model.objective.tokens.vocabulary
        save_encoder(self.model, self.config, self.output, {"pretraining": self._notes(step)}, vocabulary)
        self.log.draw()

    def _notes(self, step: int) -> dict[str, Any]:
        """The facts that a model card needs."""
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
        """The number of trained parameters of the objective, which are not saved with the model."""
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
