"""Fine-tuning a tagger on texts whose parts have names, and its figures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf import metrics
from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.tagged import TaggedText
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.optimizer import adamw
from eelbert_tf.models.tagger import EelbertTagger
from eelbert_tf.text.spans import tags_by_outputs, tags_of_words
from eelbert_tf.text.strings import to_bytes

from .callbacks import SaveEachEpoch, StopIfDiverged
from .progress import Progress
from .recipe import Recipe
from .start import SCRATCH, changing

# Tags need more passes than classes: a name in a text is often the only one of its kind.
STEPS = 2500
LEAST_EPOCHS, MOST_EPOCHS = 10, 40
COMPILED_STEPS = 300  # XLA takes about as long to compile as so many steps take without it
RATE = 3e-3  # peak of the learning rate: tables of words begin at zero


def default_epochs(texts: int, batch_size: int) -> int:
    """Passes that suit a file: about `STEPS` steps, in 10 to 40 passes."""
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, round(STEPS * batch_size / max(texts, 1))))


def start_tagger(
    preset: str,
    config: EelbertConfig | None,
    names: Sequence[str],
    intents: Sequence[str] | None,
    changes: dict[str, Any],
) -> EelbertTagger:
    """The tagger to fine-tune, with a fresh head or with one that was saved for the same names.

    Args:
        preset: "scratch" for fresh weights of `config`, a preset's name, or a model directory.
        config: used from scratch only.
        names: names of spans.
        intents: classes of whole texts, or `None`.
        changes: fields of the configuration to change, `max_tokens` for example.

    Raises:
        InputError: there is no such preset, or it cannot be changed like that.
    """
    with changing(preset, changes):
        if preset == SCRATCH and config is not None:
            return EelbertTagger(EelbertBackbone(config.replace(**changes), name="backbone"), names, intents)
        return EelbertTagger.from_preset(preset, names=names, labels=intents, **changes)


def finetune_tagger(
    model: EelbertTagger,
    train: Sequence[TaggedText],
    dev: Sequence[TaggedText] | None,
    recipe: Recipe,
    output: Path | None = None,
    notes: dict[str, Any] | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains a tagger's head and the encoder under it.

    Args:
        model: what learns; its weights change.
        train: texts to learn from.
        dev: held-out texts, scored at the end; nothing is chosen by them.
        recipe: how to.
        output: a model directory, written anew after every epoch; `None` to write nothing.
        notes: kept in the model's configuration.
        quiet: whether to show no progress.

    Returns:
        What `eelbert finetune` reports.

    Raises:
        InputError: the training diverges, or the output cannot be written.
    """
    texts = [row.text for row in train]
    targets = model.encode_answers(texts, [row.as_answer() for row in train])
    steps = recipe.epochs * -(-len(texts) // recipe.batch_size)
    optimizer = adamw(model, recipe.learning_rate, steps, recipe.warmup, recipe.weight_decay, recipe.clip_norm)
    model.compile(optimizer, jit_compile="auto" if steps >= COMPILED_STEPS else False)
    guessing = math.log(model.num_outputs) + math.log(max(model.num_classes, 1))
    progress = Progress(steps, quiet=quiet)
    callbacks: list[keras.callbacks.Callback] = [StopIfDiverged(recipe.learning_rate, guessing), progress]
    if output is not None:
        callbacks.append(SaveEachEpoch(output, {"recipe": vars(recipe), **(notes or {})}))
    begin = time.perf_counter()
    try:
        history = model.fit(
            texts, targets, recipe.batch_size, epochs=recipe.epochs, seed=recipe.seed, verbose=0, callbacks=callbacks
        )
    finally:
        progress.bar.close()  # else what is printed next lands in the bar's line
    report = {
        "train_texts": len(texts),
        "truncated": count_cut(train, model),
        "names": model.names,
        "labels": model.labels,
        "parameters": model.count_params(),
        "epochs": recipe.epochs,
        "seconds": round(time.perf_counter() - begin, 1),
        "loss": [round(float(x), 4) for x in history.history["loss"]],
    }
    if dev is not None:
        report["dev_texts"] = len(dev)
        report["dev"] = {name: round(value, 4) for name, value in score(model, dev).items()}
    return report


def count_cut(texts: Sequence[TaggedText], model: EelbertTagger) -> int:
    """Texts of which the model does not read the last word."""
    positions = model.token_positions([row.text for row in texts])
    ends = positions[:, :, 1].max(axis=1)
    return sum(len(to_bytes(row.text.rstrip())) > end for row, end in zip(texts, ends.tolist(), strict=True))


def score(model: EelbertTagger, texts: Sequence[TaggedText]) -> dict[str, float]:
    """Entity F1 and token accuracy; and where model and texts have intents, their accuracy and macro F1."""
    found = model.predict([row.text for row in texts], batch_size=128)
    truth = [tags_of_words(row.text, row.words, row.spans) for row in texts]
    predicted = [
        tags_by_outputs({"tags": tags, "positions": positions}, model.names, row.text, row.words)
        for row, tags, positions in zip(texts, found["tags"], found["positions"], strict=True)
    ]
    figures = metrics.tagging_figures(truth, predicted)
    if model.labels and texts[0].intent is not None:
        right = [model.labels[i] == row.intent for i, row in zip(found["label"].argmax(axis=1), texts, strict=True)]
        figures["accuracy"] = float(np.mean(right))
    return figures
