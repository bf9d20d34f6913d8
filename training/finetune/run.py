"""Fine-tuning a classifier on labelled texts: the run behind `eelbert finetune` and the demo."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf import metrics
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.optimizer import adamw

from .callbacks import SaveEachEpoch, StopIfDiverged
from .labelled import Labelled, as_targets
from .progress import Progress
from .recipe import Recipe


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
    targets = as_targets(train, classes)
    validation = None if dev is None else (list(dev.texts), as_targets(dev, classes))
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
    callbacks: list[keras.callbacks.Callback] = [StopIfDiverged(recipe.learning_rate, guessing), progress]
    if output is not None:
        callbacks.append(SaveEachEpoch(output, notes))
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
    targets = as_targets(data, model.labels)
    if model.labels:
        figures = metrics.classification_figures(targets, logits.argmax(axis=1), model.num_classes)
    else:
        figures = metrics.regression_figures(targets, logits[:, 0])
    return {name: round(value, 4) for name, value in figures.items()}
