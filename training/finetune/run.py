"""Fine-tuning a classifier on labelled texts: the recipe behind `eelbert finetune` and the demo."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf import metrics
from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.interrupts import raise_pending
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.optimizer import adamw
from eelbert_tf.saving.info import MAX_INPUT_BYTES
from eelbert_tf.text.strings import TextOrPair

from .progress import Progress

SCRATCH = "scratch"

MANY_TEXTS = 30_000

# A mean loss this many times that of guessing is not bad luck: the weights have blown up.
HOPELESS = 100.0


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune.

    Args:
        epochs: passes over the training texts.
        batch_size: texts per step.
        learning_rate: the peak of the schedule.
        warmup: share of the steps that rise to it.
        weight_decay: decoupled decay, on matrices only.
        clip_norm: the largest norm of all gradients together.
        seed: fixes initial weights, order and dropout.
    """

    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"--{name.replace('_', '-')}: must be positive and finite, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed: must lie between 0 and {2**32 - 1}, not {self.seed}")


def default_epochs(texts: int, batch_size: int, pretrained: bool) -> int:
    """Passes that suit a file, from 3 to 40.

    Fresh weights get about 12,000 steps. Pretrained ones, which learn few texts by heart before long, get 4,000 in no
    more than 12 passes, or 400 where so few texts make less.
    """
    passes = batch_size / max(texts, 1)  # of one step
    steps = max(min(4000, 12 / passes), 400) if pretrained else 12000
    return min(40, max(3, round(steps * passes)))


def default_rate(texts: int, pretrained: bool) -> float:
    """A peak of the learning rate that suits a file: lower where pretrained weights learn from very many texts."""
    return 3e-4 if pretrained and texts > MANY_TEXTS else 1e-3


def suited_recipe(
    texts: int, pretrained: bool, epochs: int | None, batch_size: int, learning_rate: float | None, seed: int
) -> Recipe:
    """A recipe whose passes and learning rate suit a file where they are `None`.

    Raises:
        InputError: a number is out of range.
    """
    if epochs is None:
        epochs = default_epochs(texts, max(batch_size, 1), pretrained)
    if learning_rate is None:
        learning_rate = default_rate(texts, pretrained)
    return Recipe(epochs, batch_size, learning_rate, seed=seed)


@dataclass(frozen=True)
class Labelled:
    """Texts with their targets: class names, float `[n, classes]` of their probabilities, or numbers for regression."""

    texts: Sequence[TextOrPair]
    labels: Sequence[str] | Sequence[float] | np.ndarray


def start(
    preset: str, config: EelbertConfig, pair: bool, classes: Sequence[str] | None, changes: dict[str, Any]
) -> EelbertClassifier:
    """The model to fine-tune, with a fresh head or with one that was saved for the same classes.

    Args:
        preset: "scratch" for fresh weights of `config`, a preset's name, a model directory, or a folder in Hugging
            Face's layout.
        config: used from scratch only.
        pair: whether the texts are pairs.
        classes: names of the classes, in the order of the logits; `None` for regression.
        changes: fields of the configuration to change, `max_tokens` for example.

    Raises:
        InputError: there is no such preset, or it cannot be changed like that.
    """
    if changes.get("max_bytes", 0) > MAX_INPUT_BYTES:
        raise InputError(f"--max-bytes: must be at most {MAX_INPUT_BYTES}, not {changes['max_bytes']}")
    task = "classification" if classes else "regression"
    try:
        if preset == SCRATCH:
            backbone = EelbertBackbone(config.replace(**changes), pair=pair, name="backbone")
            return EelbertClassifier(backbone, labels=classes, task=task)
        return EelbertClassifier.from_preset(preset, labels=classes, task=task, pair=pair, **changes)
    except InputError:
        raise
    except ValueError as error:  # the configuration says which field and why
        raise InputError(f"{preset}: {error}") from None


def finetune(
    model: EelbertClassifier,
    train: Labelled,
    dev: Labelled | None,
    recipe: Recipe,
    output: Path | None = None,
    notes: dict[str, Any] | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains a classification or regression head and the encoder under it.

    Args:
        model: what learns; its weights change.
        train: texts to learn from.
        dev: held-out texts, scored after each epoch; nothing is chosen by them.
        recipe: how to.
        output: a model directory, written anew after every epoch; `None` to write nothing.
        notes: kept in the model's configuration.
        quiet: whether to show no progress.

    Returns:
        What `eelbert finetune` reports.

    Raises:
        InputError: the training diverges, or the output cannot be written.
    """
    classes = model.labels
    targets = _targets(train, classes)
    validation = None if dev is None else (list(dev.texts), _targets(dev, classes))
    if validation is not None and classes and targets.ndim == 2:
        validation = (validation[0], np.eye(len(classes), dtype=np.float32)[validation[1]])
    steps = recipe.epochs * -(-len(targets) // recipe.batch_size)
    if classes:
        sparse = targets.ndim == 1
        kind = keras.losses.SparseCategoricalCrossentropy if sparse else keras.losses.CategoricalCrossentropy
        loss: keras.losses.Loss = kind(from_logits=True)
        shown = ["accuracy"]
    else:
        loss, shown = keras.losses.MeanSquaredError(), []
        model.classifier.bias.assign(np.full(1, targets.mean(), np.float32))  # else the first epoch learns the mean
    optimizer = adamw(model, recipe.learning_rate, steps, recipe.warmup, recipe.weight_decay, recipe.clip_norm)
    model.compile(optimizer, loss, metrics=shown)
    notes = {"recipe": vars(recipe), **(notes or {})}
    guessing = math.log(len(classes)) if classes else float(targets.var())
    progress = Progress(steps, quiet=quiet)
    callbacks: list[keras.callbacks.Callback] = [_StopIfDiverged(recipe.learning_rate, guessing), progress]
    if output is not None:
        callbacks.append(_SaveEachEpoch(output, notes))
    begin = time.perf_counter()
    try:
        history = model.fit(
            list(train.texts),
            targets,
            recipe.batch_size,
            validation_data=validation,
            epochs=recipe.epochs,
            seed=recipe.seed,
            verbose=0,
            callbacks=callbacks,
        )
    finally:
        progress.bar.close()  # else what is printed next lands in the bar's line
    seconds = time.perf_counter() - begin
    report = {
        "train_texts": len(targets),
        "parameters": model.count_params(),
        "epochs": recipe.epochs,
        "seconds": round(seconds, 1),
        "loss": [round(float(x), 4) for x in history.history["loss"]],
    }
    if dev is not None:
        report["dev_texts"] = len(dev.texts)
        report["dev"] = score(model, dev)
    return report


def score(model: EelbertClassifier, data: Labelled) -> dict[str, float]:
    """The metrics of the model's task on some texts."""
    logits = model.predict(list(data.texts), verbose=0)
    targets = _targets(data, model.labels)
    if model.labels:
        figures = metrics.classification_figures(targets, logits.argmax(axis=1), model.num_classes)
    else:
        figures = metrics.regression_figures(targets, logits[:, 0])
    return {name: round(value, 4) for name, value in figures.items()}


def _targets(data: Labelled, classes: Sequence[str] | None) -> np.ndarray:
    """Labels as numbers: int32 `[n]` of classes, float32 `[n, classes]` of probabilities, or float32 `[n]`."""
    if classes is None or isinstance(data.labels, np.ndarray):
        return np.asarray(data.labels, np.float32)
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[str(label)] for label in data.labels], np.int32)


class _StopIfDiverged(keras.callbacks.Callback):
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


class _SaveEachEpoch(keras.callbacks.Callback):
    """Keeps the last finished epoch, so that an interrupt loses one epoch at most."""

    def __init__(self, output: Path, notes: dict[str, Any]) -> None:
        super().__init__()
        self.output = output
        self.notes = notes

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.save_to_preset(self.output, {**self.notes, "finished_epochs": epoch + 1})
