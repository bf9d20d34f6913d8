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

from .calibrate import Unknown, calibrate
from .callbacks import SaveEachEpoch, StopIfDiverged
from .labelled import Labelled
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
    held_out: Labelled | None = None,
    unknown: Unknown | None = None,
) -> dict[str, Any]:
    """Trains a head and the encoder under it.

    Args:
        model: what learns; its weights change.
        train: texts to learn from.
        dev: held-out texts, scored after each epoch; nothing is chosen by them.
        recipe: how to.
        output: a model directory, written anew after every epoch; `None` to write nothing.
        notes: kept in the model's configuration.
        quiet: whether to show no progress.
        held_out: texts that temperature and thresholds are set on afterwards; `None` to leave them as they are.
        unknown: how to refuse foreign texts, for a model whose last class is `None`.

    Returns:
        What `eelbert finetune` reports.

    Raises:
        InputError: the training diverges, or the output cannot be written.
    """
    train = train if unknown is None else unknown.beside(train)
    targets = model.targets(train.labels)
    labels: Any = train.labels  # not the targets: `fit` takes numbers for names where classes are called by numbers
    validation: Any = None if dev is None else (list(dev.texts), dev.labels)
    loss: Any = "auto"
    if model.task == "classification" and targets.ndim == 2:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        if validation is not None:
            validation = (validation[0], np.eye(model.num_classes, dtype=np.float32)[model.targets(validation[1])])
    steps = recipe.epochs * -(-len(targets) // recipe.batch_size)
    optimizer = adamw(model, recipe.learning_rate, steps, recipe.warmup, recipe.weight_decay, recipe.clip_norm)
    model.compile(optimizer, loss)
    notes = {"recipe": vars(recipe), **(notes or {})}
    guessing = {"classification": math.log(model.num_classes), "regression": float(targets.std() > 0)}.get(
        model.task, math.log(2)
    )
    progress = Progress(steps, quiet=quiet)
    callbacks: list[keras.callbacks.Callback] = [StopIfDiverged(recipe.learning_rate, guessing), progress]
    if output is not None:
        callbacks.append(SaveEachEpoch(output, notes))
    begin = time.perf_counter()
    try:
        history = model.fit(
            list(train.texts),
            labels,
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
    if held_out is not None:
        report |= calibrate(model, held_out, unknown)
        if output is not None:
            model.save_to_preset(output, {**notes, "finished_epochs": recipe.epochs})
    if dev is not None:
        report["dev_texts"] = len(dev.texts)
        report["dev"] = score(model, dev)
    return report


def score(model: EelbertClassifier, data: Labelled) -> dict[str, float]:
    """The metrics of the model's task on some texts."""
    logits = model.predict(list(data.texts), verbose=0)
    figures = metrics.task_figures(model.outputs, model.targets(data.labels), logits)
    return {name: round(value, 4) for name, value in figures.items()}
