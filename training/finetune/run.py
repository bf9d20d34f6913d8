"""Fine-tuning a classifier on labelled texts: the run behind `eelbert finetune` and the demo."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.optimizer import adamw
from eelbert_tf.models.tagger import EelbertTagger
from eelbert_tf.preprocessing.hashed_words import WordHashes

from .beside import start_beside_words
from .callbacks import StopIfDiverged
from .labelled import Labelled
from .passes import AfterPass, Passes
from .progress import Progress
from .recipe import Recipe
from .scoring import figures, shown, without_loss

Learner = EelbertClassifier | EelbertTagger

COMPILED_STEPS = 300  # of a tagger: XLA takes about as long to compile as so many steps take without it


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Args:
        recipe: how it was done.
        texts: the number of texts that were learned.
        parameters: of the model.
        seconds: the time it took.
        passes: what happened in each pass, and which was the best.
        dev: the figures of the held-out texts after the best pass; none where nothing was held out.
        dev_texts: their number.
        heads: what `EelbertClassifier.fit_head` reports of the heads it started from; `None` where it did not.
    """

    recipe: Recipe
    texts: int
    parameters: int
    seconds: float
    passes: Passes
    dev: dict[str, float]
    dev_texts: int = 0
    heads: dict[str, Any] | None = None

    @property
    def method(self) -> str:
        """What made the model: "full", or "convex" where no pass was better than the heads that it started from."""
        return "convex" if self.heads is not None and not self.passes.best else "full"

    def report(self) -> dict[str, Any]:
        """The figures for the command's last line."""
        done = self.passes.done
        found = {
            "train_texts": self.texts,
            "parameters": self.parameters,
            "epochs": len(done),
            "best_epoch": self.passes.best,
            "seconds": round(self.seconds, 1),
            "loss": [row["loss"] for row in done],
        }
        if self.heads is not None:
            found |= self.heads
        if self.passes.start is not None:
            found["dev_of_start"] = without_loss(self.passes.start)
        if self.dev:
            found |= {"dev_texts": self.dev_texts, "dev": without_loss(self.dev)}
        return found


@dataclass(frozen=True)
class Options:
    """What a training is told beside its recipe; nothing of it changes what is learned in a pass.

    Args:
        output: a model directory, written now and then and at the end; `None` to write nothing.
        notes: kept in the model's configuration.
        quiet: whether to show no progress.
        resume: whether to go on with a training in `output` that was stopped.
        stop_after: the pass after which to stop, though the recipe goes on; `None` for its last one.
        keep_each: whether the outputs of the held-out texts are kept of every pass.
        name: what the stage is called where progress is shown.
    """

    output: Path | None = None
    notes: dict[str, Any] | None = None
    quiet: bool = False
    resume: bool = False
    stop_after: int | None = None
    keep_each: bool = False
    name: str = "training"


def finetune(
    model: Learner,
    train: Labelled,
    dev: Labelled | None,
    recipe: Recipe,
    options: Options | None = None,
) -> Trained:
    """Trains a head and the encoder under it, beside words where the recipe has them and the encoder a hash.

    Args:
        model: what learns; at the end it has the weights of its best pass.
        train: texts to learn from.
        dev: held-out texts, scored after each pass: the best pass is kept, or the start where that is better, and a
            training that has not become better for some passes ends. Without them the last pass is kept.
        recipe: how to.
        options: where to, and what is shown.

    Returns:
        What came of it.

    Raises:
        InputError: the training diverges, the output cannot be written, or there is another training to resume.
    """
    options = options or Options()
    targets = model.targets(train.fit_labels(model))
    per_pass = -(-len(targets) // recipe.batch_size)
    criterion = recipe.criterion(model.task)
    identity = _identity(model, train, dev, recipe) if options.output is not None else ""
    beside = recipe.lexical is not False and model.backbone.config.hash is not None
    hashes = model.word_hashes(lexical=not beside)
    train, dev = _ready(model, train, hashes, recipe), None if dev is None else _ready(model, dev, hashes, recipe)
    heads, begin = None, time.perf_counter()
    if beside:
        train, dev, heads = start_beside_words(model, train, dev, recipe, options.quiet)
    _compile(model, recipe, recipe.epochs * per_pass, targets)
    model._epochs_seen = 0  # the order of texts depends on the seed and the pass alone
    notes = {"recipe": asdict(recipe), **(options.notes or {})}
    stop_after = recipe.epochs if options.stop_after is None else options.stop_after
    after = AfterPass(dev, criterion, recipe.patience, options.output, notes, identity, options.keep_each)
    after.set_model(model)  # as `fit` does, which may have nothing left to do
    first = after.restore(options.output) if options.resume and options.output is not None else 0
    if beside and not first:
        after.score_start()
    progress = Progress(stop_after * per_pass, options.quiet, stop_after, criterion, options.name, first * per_pass)
    after.report = progress.after_pass
    started = time.perf_counter() - begin
    try:
        if first < stop_after and not after.is_over(first):
            model.fit(
                train.ready,
                train.fit_labels(model),
                recipe.batch_size,
                epochs=stop_after,
                initial_epoch=first,
                seed=recipe.seed,
                class_weight=recipe.class_weight,
                verbose=0,
                callbacks=[StopIfDiverged(recipe.learning_rate, _guessing(model, targets)), progress, after],
            )
    finally:
        progress.bar.close()  # else what is printed next lands in the bar's line
    after.put_best()
    if options.output is not None:
        after.save()
    passes = after.passes
    found = {} if dev is None or passes.outputs is None else shown(figures(passes.outputs, dev, model))
    return Trained(
        recipe,
        len(targets),
        model.count_params(),
        started + sum(row["seconds"] for row in passes.done),
        passes,
        found,
        0 if dev is None else len(dev),
        heads,
    )


def score(model: Learner, data: Labelled) -> dict[str, float]:
    """The metrics of the model's task on some texts."""
    return without_loss(shown(figures(model.predict(list(data.texts), verbose=0), data, model)))


def _guessing(model: Learner, targets: np.ndarray) -> float:
    """The loss of a model that knows no more than the labels' frequencies."""
    if model.task == "tagging":
        return math.log(model.num_outputs) + math.log(max(model.num_classes, 1))
    if model.task == "regression":
        return float(targets.std() > 0)
    return math.log(model.num_classes if model.task == "classification" else 2)


class Restart:
    """Brings a model back to its first state, so that it can be trained again without being compiled again.

    Args:
        model: what will be trained several times.
    """

    def __init__(self, model: Learner) -> None:
        seeds = [variable for variable in model.variables if "seed_generator" in variable.path]
        self._state = [(variable, keras.ops.convert_to_numpy(variable)) for variable in [*model.weights, *seeds]]

    def __call__(self) -> None:
        """Weights and dropout as they were."""
        for variable, value in self._state:
            variable.assign(value)


def _ready(model: Learner, data: Labelled, hashes: WordHashes | None, recipe: Recipe) -> Labelled:
    """Texts ready for batching; for all passes of a recipe, so that a training that goes on has the same widths."""
    return data if data.ready is not None else replace(data, ready=model.ready(data.texts, hashes, recipe.epochs))


def _compile(model: Learner, recipe: Recipe, steps: int, targets: np.ndarray) -> None:
    """Gives a model its optimizer and its loss; one that was trained like this before keeps its compiled step."""
    key = repr((asdict(replace(recipe, patience=None)), steps, targets.ndim))
    if getattr(model, "_compiled_for", None) == key:
        for variable in model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        return
    optimizer = adamw(
        model,
        recipe.learning_rate,
        steps,
        recipe.warmup,
        recipe.weight_decay,
        recipe.clip_norm,
        backbone_rate=recipe.backbone_rate,
    )
    if isinstance(model, EelbertTagger):
        model.compile(optimizer, jit_compile="auto" if steps >= COMPILED_STEPS else False)
    else:
        soft = model.task == "classification" and targets.ndim == 2
        model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True) if soft else "auto")
    model._compiled_for = key


def _identity(model: Learner, train: Labelled, dev: Labelled | None, recipe: Recipe) -> str:
    """A digest of all that decides a training's result."""
    digest = hashlib.sha256(json.dumps([asdict(recipe), model.labels, model.backbone.config.to_dict()]).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    for data in (train, dev):
        if data is not None:
            labels = data.labels.tolist() if isinstance(data.labels, np.ndarray) else list(data.labels)
            digest.update(repr((list(data.texts), labels)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
