"""What a pretraining run is: everything that decides its numbers, checked before any work and again on resuming."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.config import POLICIES, EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import find_model, read_config, weights_digest
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.objectives.registry import GENERATORS, OBJECTIVES

RUN_FILE = "run.json"
DECAYS = ("linear", "cosine")


@dataclass(frozen=True)
class Settings:
    """How to pretrain.

    Args:
        steps: updates of the weights.
        batch_size: sequences per update, on all devices together.
        sequence_length: T, tokens of a sequence, [CLS] and [SEP] included.
        seed: fixes initial weights, order, masks and dropout.
        objective: a name in `objectives.OBJECTIVES`.
        output_words: words that are predicted, or scored on held-out text.
        mask_rate: share of the words that are predicted.
        frequency_correction: whether `open` corrects for the frequency of its candidates.
        generator: where the replacements of `replaced` come from, a name in `objectives.GENERATORS`.
        learning_rate: the peak.
        warmup: share of the steps that rise to it.
        decay: how it falls to zero: "linear" or "cosine".
        weight_decay: decoupled decay, on matrices only.
        clip_norm: the largest norm of all gradients together.
        dropout: rate of all dropout layers while pretraining; the saved model keeps its configuration's rates.
        accumulate: pieces that each update's batch is worked through in.
        mixed_precision: "none", "bfloat16" or "float16".
        average: decay per step of the running average of the weights that is saved as the model; 0 for none.
        preset: a preset's name, or a model directory, whose weights it starts from; `None` for fresh ones.
        teacher: folder of the model that `teacher` learns from.
        sentences: how many sentences `teacher` learns from.
        teacher_precision: the arithmetic of `teacher`'s model, a name in `POLICIES`.
    """

    steps: int = 10_000
    batch_size: int = 256
    sequence_length: int = 64
    seed: int = 0
    objective: str = "mlm"
    output_words: int = 8192
    mask_rate: float = 0.15
    frequency_correction: bool = False
    generator: str = "pairs"
    learning_rate: float = 1e-3
    warmup: float = 0.05
    decay: str = "linear"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    dropout: float = 0.0
    accumulate: int = 1
    mixed_precision: str = "none"
    average: float = 0.0
    preset: str | None = None
    teacher: str | None = None
    sentences: int | None = None
    teacher_precision: str = "none"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "output_words", "accumulate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{_option(name)}: must be positive, not {getattr(self, name)}")
        for name in ("mask_rate", "warmup", "dropout", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{_option(name)}: must lie in [0, 1), not {getattr(self, name)}")
        choices = {
            "objective": OBJECTIVES,
            "generator": GENERATORS,
            "decay": DECAYS,
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
        """Slots of an update's batch, special tokens and padding included."""
        return self.batch_size * self.sequence_length


def _option(name: str) -> str:
    return name.replace("_", "-")


def shape_of(preset: str | None, config: str | None) -> EelbertConfig:
    """The configuration of what a run starts from, or of fresh weights.

    Args:
        preset: a preset's name or a model directory.
        config: what `read_config` takes; "eelbert_uno" where both are `None`.

    Raises:
        InputError: both are given, or there is no such thing.
    """
    if preset is None:
        return read_config(config or "eelbert_uno")
    if config is not None:
        raise InputError("--config: the shape is that of --preset; give one of the two")
    return read_info(find_model(preset))[0].config


def identity(config: EelbertConfig, settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """All that a resumed run must share with the one that it resumes, as JSON values."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    for name in ("preset", "teacher"):  # the weights matter, not where they lie
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


def check_same(wanted: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    """Refuses to resume a run as another one.

    Args:
        wanted: the identity asked for.
        found: the identity in the run's folder.
        path: where it was found.

    Raises:
        InputError: they differ; the message names the first difference.
    """
    for part, fields in wanted.items():
        other = found.get(part, {})
        for name in [*fields, *(set(other) - set(fields))]:
            if fields.get(name) != other.get(name):
                raise InputError(
                    f"{path}: this run was started with {part} {name} = {json.dumps(other.get(name))}, not "
                    f"{json.dumps(fields.get(name))}; resume it with the same, or choose another --output"
                )
