"""A whole fine-tuning: texts held out, recipes tried, the chosen one trained, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.models.classifier import EelbertClassifier

from .beside import set_suited_heads
from .calibrate import Unknown, calibrate, calibrate_tags
from .heads import fit_heads
from .labelled import Labelled, Tagged
from .passes import Passes
from .recipe import Recipe
from .run import Learner, Options, Restart, Trained, finetune
from .scoring import best_of, better, figures, shown, without_loss
from .validation import FEWEST, FOLDS, LEAST, SMALL, folds, split


@dataclass(frozen=True)
class Validation:
    """How a model is to be judged while it is made.

    Args:
        how: "file" for texts of their own, "split" for a part of the training texts, "cross-validation" for all of
            them, each by a model that has not learned it, or "none".
        train: texts to learn from.
        dev: held-out texts, of a file or a split.
        parts: int64 `[n]`, of cross-validation the part of each text.
        facts: for the report.
        unknown: texts of no class, which are learned beside those of `train`.
        whole: the texts of both sides of a split: heads that are kept learn all of them, once they are judged.
    """

    how: str
    train: Labelled
    dev: Labelled | None = None
    parts: np.ndarray | None = None
    facts: dict[str, Any] | None = None
    unknown: Unknown | None = None
    whole: Labelled | None = None

    def learned(self, train: Labelled) -> Labelled:
        """Some of the texts to learn from, with those of no class."""
        return train if self.unknown is None else self.unknown.beside(train)

    @classmethod
    def choose(
        cls,
        train: Labelled,
        dev: Labelled | None,
        share: float = 0.1,
        seed: int = 0,
        unknown: Unknown | None = None,
    ) -> Validation:
        """What suits the number of texts.

        Args:
            train: labelled texts.
            dev: texts that the user holds out, if any.
            share: of the training texts that is held out otherwise, more where that is too few; 0 for none.
            seed: fixes the draw.
            unknown: texts of no class.
        """
        if dev is not None:
            return cls("file", train, dev, unknown=unknown)
        labels = train.strata
        if share <= 0 or len(train) < FEWEST or isinstance(labels, np.ndarray):
            return cls("none", train, unknown=unknown)
        if len(train) <= SMALL:
            parts = folds(train.texts, labels, FOLDS, seed)
            return cls("cross-validation", train, None, parts, {"parts": FOLDS, "seed": seed}, unknown)
        left, held_out = split(train.texts, labels, max(share, LEAST / len(train)), seed)
        dev = train.part(held_out)
        facts = {"texts": len(dev), "seed": seed, "rows": list(map(int, dev.rows or held_out + 1))}
        return cls("split", train.part(left), dev, None, facts, unknown, train)

    def describe(self) -> dict[str, Any]:
        """How, for the report."""
        return {"how": self.how, **(self.facts or {})}


@dataclass(frozen=True)
class Experiment:
    """What came of it.

    Args:
        trained: the training that made the model.
        validation: how it was judged.
        judged: the held-out texts; of cross-validation all texts; `None` where there are none.
        outputs: of the judged texts, as `predict` gives them, each by a model that has not learned the text.
        curve: what is shown of each pass; with cross-validation the mean of its parts.
        trials: the recipes that were tried, each with its figures.
        calibration: what was set on the judged texts.
        figures: of the judged texts, as the model is in the end.
        fitted: what `heads.fit_heads` reports, where the heads alone were fitted.
    """

    trained: Trained
    validation: Validation
    judged: Labelled | None
    outputs: Any
    curve: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    calibration: dict[str, Any]
    figures: dict[str, float]
    fitted: dict[str, Any] | None = None

    def report(self) -> dict[str, Any]:
        """The figures for the command's last line."""
        trained = self.trained
        found = {"method": trained.method, **trained.report()} if self.fitted is None else dict(self.fitted)
        if self.judged is not None and self.figures:
            found |= {"dev_texts": len(self.judged), "dev": self.figures}
        found |= self.calibration
        found["validation"] = self.validation.describe()
        return found | ({"trials": self.trials} if self.trials else {})


def run_experiment(model: Learner, validation: Validation, recipe: Recipe, trials: int, options: Options) -> Experiment:
    """Tries recipes, trains by the best, and judges the result; nothing is ever chosen by other texts than those given.

    Args:
        model: in its first state; at the end it is the result.
        validation: texts to learn from, and how to judge.
        recipe: the one to train by, and to vary in trials.
        trials: recipes to try, `recipe` the first; 0 or 1 for none.
        options: of the final training.

    Raises:
        InputError: there are trials and no texts to judge them by; or as `finetune`.
    """
    again = Restart(model)
    tried: list[dict[str, Any]] = []
    if trials > 1:
        recipe, tried = search(model, again, validation, recipe, trials, options.quiet)
    judged = validation.dev
    if validation.how == "cross-validation":
        outputs, curve, best = cross_validate(model, again, validation, recipe, options.quiet)
        again()
        options, judged = replace(options, stop_after=best), validation.train
    trained = finetune(model, validation.learned(validation.train), validation.dev, recipe, options)
    if validation.how != "cross-validation":
        outputs, curve = trained.passes.outputs, trained.passes.done
    if validation.whole is not None and trained.heads is not None and trained.method == "convex":
        learned, first = validation.learned(validation.whole), trained.heads
        _, refitted = set_suited_heads(model, learned, replace(recipe, lexical=first["lexical"]), options.quiet)
        trained = replace(trained, texts=len(learned), heads=_judged_before(first, refitted))
    if judged is None or outputs is None:
        return Experiment(trained, validation, None, None, curve, tried, {}, {})
    calibration, outputs, found = _judge(model, judged, outputs, validation.unknown)
    return Experiment(trained, validation, judged, outputs, curve, tried, calibration, found)


def run_convex(
    model: EelbertClassifier, validation: Validation, recipe: Recipe, lexical: bool | None, options: Options
) -> Experiment:
    """Fits the heads alone, on the encoder as it is, and judges the result.

    Args:
        model: at the end it is the result.
        validation: texts to learn from, and how to judge.
        recipe: of which the seed and the weights of classes count.
        lexical: as in `heads.fit_heads`.
        options: where to, and what is shown.

    Raises:
        InputError: the output cannot be written.
    """
    train, judged, outputs = validation.train, validation.dev, None
    how = (lexical, recipe.seed, recipe.class_weight, options.quiet)
    if validation.parts is not None:
        judged, outputs = train, np.zeros((len(train), model.num_outputs), np.float32)
        for part in np.unique(validation.parts):
            here = validation.parts == part
            learned = validation.learned(train.part(np.flatnonzero(~here)))
            fit_heads(model, learned, *how)
            outputs[here] = model.predict(train.part(np.flatnonzero(here)).texts, verbose=0)
    fitted = fit_heads(model, validation.learned(train), *how)
    if outputs is None and judged is not None:
        outputs = model.predict(list(judged.texts), verbose=0)
    if validation.whole is not None:
        train = validation.whole
        again = fit_heads(model, validation.learned(train), fitted["lexical"], *how[1:])
        again["seconds"] += fitted["seconds"]
        fitted = _judged_before(fitted, again)
    if options.output is not None:
        heads = {name: value for name, value in fitted.items() if name not in ("method", "seconds")}
        model.save_to_preset(options.output, {"heads": heads, **(options.notes or {})})
    trained = Trained(recipe, len(train), model.count_params(), fitted["seconds"], Passes(), {})
    found: dict[str, float] = {}
    calibration: dict[str, Any] = {}
    if judged is not None and outputs is not None:
        calibration, outputs, found = _judge(model, judged, outputs, validation.unknown)
    return Experiment(trained, validation, judged, outputs, [], [], calibration, found, fitted)


def _judged_before(first: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """What is reported of heads that were fitted again, with words or without as those that held-out texts judged."""
    return again | {name: value for name, value in first.items() if name.startswith("held_out_loss")}


def _judge(
    model: Learner, judged: Labelled, outputs: Any, unknown: Unknown | None
) -> tuple[dict[str, Any], Any, dict[str, float]]:
    """Calibrates a model on held-out texts: what was set, the outputs for them as they are then, and the figures."""
    if isinstance(judged, Tagged):
        calibration, outputs = calibrate_tags(model, judged, outputs)
    else:
        calibration, outputs = calibrate(model, judged, outputs, unknown)
    return calibration, outputs, without_loss(shown(figures(outputs, judged, model)))


def cross_validate(
    model: Learner, again: Restart, validation: Validation, recipe: Recipe, quiet: bool = False
) -> tuple[Any, list[dict[str, Any]], int]:
    """Judges each part of the texts by a model that has learned the others.

    Args:
        model: is trained once for each part.
        again: brings it back to its first state.
        validation: the texts and their parts.
        recipe: how to train.
        quiet: whether to show no progress.

    Returns:
        The outputs for all texts after the best pass, as `predict` gives them; the figures of each pass; and the number
        of the best one, 0 for the start.
    """
    train, parts = validation.train, validation.parts
    assert parts is not None
    hashes = model.word_hashes(lexical=recipe.lexical is False)
    train = replace(train, ready=model.ready(train.texts, hashes, recipe.epochs))  # all parts in the same widths
    count = int(parts.max()) + 1
    rows: list[np.ndarray] = []
    runs: list[Passes] = []
    for part in range(count):
        again()
        rows.append(np.flatnonzero(parts == part))
        learned, held_out = train.part(np.flatnonzero(parts != part)), train.part(rows[-1])
        options = Options(keep_each=True, quiet=quiet, name=f"part {part + 1} of {count}")
        learned = validation.learned(learned)
        runs.append(finetune(model, learned, held_out, replace(recipe, patience=None), options).passes)
    criterion = recipe.criterion(model.task)
    order = np.argsort(np.concatenate(rows))
    every = [
        keras.tree.map_structure(lambda *parts: np.concatenate(parts)[order], *outputs)
        for outputs in zip(*(run.each for run in runs), strict=True)
    ]
    found = [shown(figures(outputs, train, model)) for outputs in every]
    best, starts = best_of(found, criterion), len(every) - recipe.epochs  # 1 where the start was scored too
    curve = []
    for number in range(recipe.epochs):
        loss = float(np.mean([run.done[number]["loss"] for run in runs]))
        curve.append({"epoch": number + 1, "loss": round(loss, 4), "dev": found[number + starts]})
    return every[best - 1], curve, best - starts


def search(
    model: Learner, again: Restart, validation: Validation, recipe: Recipe, trials: int, quiet: bool = False
) -> tuple[Recipe, list[dict[str, Any]]]:
    """Tries rates and passes around a recipe on held-out texts.

    Args:
        model: is trained once for each trial, and is in its first state at the end.
        again: brings it back to its first state.
        validation: the texts; of cross-validation the first part is held out.
        recipe: the first trial.
        trials: their number.
        quiet: whether to show no progress.

    Returns:
        The best recipe, and what was tried.

    Raises:
        InputError: nothing is held out.
    """
    train, dev = validation.train, validation.dev
    if validation.parts is not None:
        first = validation.parts == 0
        train, dev = validation.train.part(np.flatnonzero(~first)), validation.train.part(np.flatnonzero(first))
    if dev is None:
        raise InputError(f"--trials: needs held-out texts to choose by; give --dev, or {FEWEST} texts and more")
    criterion = recipe.criterion(model.task)
    tried: list[dict[str, Any]] = []
    best, best_found = recipe, None
    for number, candidate in enumerate(variants(recipe, trials)):
        again()
        options = Options(quiet=quiet, name=f"trial {number + 1} of {trials}")
        trained = finetune(model, validation.learned(train), dev, candidate, options)
        tried.append({"learning_rate": candidate.learning_rate, "epochs": candidate.epochs, "dev": trained.dev})
        if better(trained.dev, best_found, criterion):
            best, best_found = candidate, trained.dev
    again()
    return best, tried


def variants(recipe: Recipe, count: int) -> list[Recipe]:
    """A recipe, and others with a rate from a quarter to three times and half to one and a half times the passes."""
    rng = np.random.default_rng(recipe.seed)
    found = [recipe]
    for _ in range(count - 1):
        rate = float(f"{recipe.learning_rate * 4 ** rng.uniform(-1, 0.8):.2g}")
        epochs = max(1, round(recipe.epochs * rng.choice([0.5, 1.0, 1.5])))
        found.append(replace(recipe, learning_rate=rate, epochs=epochs))
    return found
