"""The settings of a pretraining run: those that decide its result, and those that may change when it is resumed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eelbert_tf.config import POLICIES, EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import find_model, read_config, weights_digest
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.objectives.registry import GENERATORS, OBJECTIVES

from .parallel import Parallel

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run.

    Args:
        steps: updates of the weights.
        batch_size: sequences per update, on all devices together.
        sequence_length: T, tokens of a sequence, [CLS] and [SEP] included.
        seed: fixes initial weights, order, masks and dropout.
        objective: a name in `OBJECTIVES`.
        output_words: number of words that are predicted, or scored on held-out text.
        mask_rate: share of the words that are predicted.
        generator: where the replacements of `replaced` come from, a name in `GENERATORS`.
        learning_rate: the peak; the rate then falls linearly to zero.
        warmup: share of the steps in which the rate rises to the peak.
        weight_decay: decoupled decay, on matrices only.
        clip_norm: the largest norm of all gradients together.
        dropout: rate of all dropout layers in pretraining; the saved model keeps the rates of its configuration.
        accumulate: micro-batches of each update, whose gradients are added up.
        mixed_precision: a name in `POLICIES`.
        preset: a preset's name or a model folder whose weights it starts from; `None` for fresh weights.
        teacher: folder of the model that `teacher` learns from.
        sentences: number of sentences that `teacher` learns from.
        teacher_precision: the arithmetic of `teacher`'s model, a name in `POLICIES`.
    """

    steps: int = 10_000
    batch_size: int = 256
    sequence_length: int = 64
    seed: int = 0
    objective: str = "mlm"
    output_words: int = 8192
    mask_rate: float = 0.15
    generator: str = "pairs"
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    dropout: float = 0.0
    accumulate: int = 1
    mixed_precision: str = "none"
    preset: str | None = None
    teacher: str | None = None
    sentences: int | None = None
    teacher_precision: str = "none"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "output_words", "accumulate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{_option(name)}: must be positive, not {getattr(self, name)}")
        for name in ("mask_rate", "warmup", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{_option(name)}: must lie in [0, 1), not {getattr(self, name)}")
        choices = {
            "objective": OBJECTIVES,
            "generator": GENERATORS,
            "mixed_precision": POLICIES,
            "teacher_precision": POLICIES,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"--{_option(name)}: unknown: {getattr(self, name)}; known: {', '.join(known)}")
        if self.sequence_length < 8:
            raise InputError(f"--sequence-length: must be at least 8, not {self.sequence_length}")
        if self.batch_size % self.accumulate:
            raise InputError(f"--accumulate: {self.accumulate} does not divide the batch size {self.batch_size}")

    @property
    def tokens_per_step(self) -> int:
        """Tokens of an update's batch, special tokens and padding included."""
        return self.batch_size * self.sequence_length


@dataclass(frozen=True)
class RunOptions:
    """What may change when a run is resumed, because it does not change the result.

    Args:
        resume: whether to continue a run in the folder; if there is none, a new one starts.
        checkpoint_minutes: between two checkpoints.
        log_every: steps between two rows of figures.
        eval_every: steps between two scores on held-out text; 0 for never.
        eval_batches: batches of held-out text.
        jit_compile: whether XLA compiles the step on TensorFlow; on JAX it always does.
        parallel: the devices.
        warn: called with messages for the user.
        quiet: whether to show no progress.
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


def _option(name: str) -> str:
    return name.replace("_", "-")


def shape_of(preset: str | None, config: str | None) -> EelbertConfig:
    """The configuration of a preset, or of fresh weights.

    Args:
        preset: a preset's name or a model folder.
        config: an argument of `read_config`; "eelbert_uno" if both are `None`.

    Raises:
        InputError: both are given, or the one that is given does not exist.
    """
    if preset is None:
        return read_config(config or "eelbert_uno")
    if config is not None:
        raise InputError("--config: the shape is that of --preset; give one of the two")
    return read_info(find_model(preset))[0].config


def identity(config: EelbertConfig, settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """What identifies a run, as JSON values: it must be the same when the run is resumed."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    for name in ("preset", "teacher"):  # the weights count, not their path
        if name in chosen:
            chosen[name] = weights_digest(chosen[name])
    fields = {
        "config": config.to_dict(),
        "settings": chosen,
        "corpus": {
            "words": corpus.num_tokens,
            "distinct_words": len(corpus.words),
            "documents": corpus.num_documents,
            "fingerprint": corpus.fingerprint,
        },
    }
    return dict(json.loads(json.dumps(fields)))


def check_same(wanted: dict[str, Any], recorded: dict[str, Any], path: Path) -> None:
    """Checks that a run is resumed with the settings it was started with.

    Args:
        wanted: the identity of the run that was asked for.
        recorded: the identity in the run's folder.
        path: the file that it was read from.

    Raises:
        InputError: they differ; the message names the first difference.
    """
    for part, fields in wanted.items():
        other = recorded.get(part, {})
        for name in [*fields, *(set(other) - set(fields))]:
            if fields.get(name) != other.get(name):
                raise InputError(
                    f"{path}: this run was started with {part} {name} = {json.dumps(other.get(name))}, not "
                    f"{json.dumps(fields.get(name))}; resume it with the same, or choose another --output"
                )
