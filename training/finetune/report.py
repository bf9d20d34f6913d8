"""The report of a fine-tuning: what was learned, how good it is, what a bag of words reaches, how to repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.errors import InputError
from eelbert_tf.reports.evaluation import evaluate, read_truth
from eelbert_tf.reports.page import as_json, render
from eelbert_tf.saving.folders import REPORT_FILES

from .baselines import TfidfLogisticRegression, TfidfRidge
from .cost import expected_cost
from .experiment import Experiment, Validation
from .labelled import Labelled, Tagged
from .run import Learner
from .scoring import read_tags
from .survey import Survey
from .tagging import commonest_tags

_PACKAGES = ("eelbert-tf", "tensorflow", "keras", "numpy", "scikit-learn")

# Texts times classes that the baseline learns; of more, it learns a part of the texts.
_BASELINE_WORK = 4_000_000


def make_report(
    model: Learner, found: Experiment, understood: Survey | None, title: str, command: str = ""
) -> dict[str, Any]:
    """What is to be known of a model that was trained.

    Args:
        model: the result.
        found: how it came about.
        understood: what the files hold.
        title: of the page.
        command: that repeats it.

    Returns:
        JSON values, as `reports.page.render` takes them.
    """
    trained = found.trained
    report: dict[str, Any] = {
        "title": title,
        "subtitle": f"Trained on {trained.texts:,} texts in {trained.seconds:.0f} s",
        "model": expected_cost(model.backbone.config, model.count_params()),
        "validation": found.validation.describe(),
        "curve": found.curve,
        "best_epoch": trained.passes.best if found.curve else None,
        "trials": found.trials,
        "recipe": asdict(trained.recipe) if found.fitted is None else {"method": "convex", "seed": trained.recipe.seed},
        "command": command,
        "versions": versions(),
    }
    if understood is not None:
        report |= {"warnings": understood.warnings, "data": understood.facts}
    if found.judged is not None and found.outputs is not None:
        judged = found.judged
        if isinstance(judged, Tagged):
            report["evaluation"] = read_tags(found.outputs, judged, model).evaluate()
        else:
            report["evaluation"] = evaluate(found.outputs, judged.labels, model.outputs, judged.texts, judged.rows)
        report["baseline"] = baseline(found.validation, model, trained.recipe.class_weight)
    return report


def baseline(validation: Validation, model: Learner, class_weight: str | None = None) -> dict[str, Any]:
    """What TF-IDF with a linear model reaches on the same split.

    Args:
        validation: the texts to learn from, and those to judge by.
        model: whose task it is.
        class_weight: as in `Recipe`.

    Returns:
        `name`, `figures`, `seconds` and `texts` learned; nothing where there is no such model for the task.
    """
    begin = time.perf_counter()
    train, dev, regression = validation.train, validation.dev, model.task == "regression"
    if model.task == "tagging":
        return _simplest_tagger(validation)
    if model.task == "multilabel" or (regression and model.num_outputs > 1):
        return {}
    most = max(1, _BASELINE_WORK // max(1, model.num_outputs))
    if len(train) > most:
        train = train.part(np.linspace(0, len(train) - 1, most).astype(int))
    try:
        if validation.parts is None:
            assert dev is not None
            said = _bag_of_words(train, dev, regression, class_weight)
        else:
            dev, said = train, [None] * len(train)
            for part in np.unique(validation.parts):
                here = validation.parts == part
                some = train.part(np.flatnonzero(here))
                found = _bag_of_words(train.part(np.flatnonzero(~here)), some, regression, class_weight)
                for i, label in zip(np.flatnonzero(here), found, strict=True):
                    said[i] = label
    except InputError:
        return {}
    if regression:
        figures = metrics.regression_figures(np.asarray(dev.labels, np.float64), np.asarray(said, np.float64))
    else:
        numbers, names = read_truth([*dev.labels, *said], model.outputs)
        figures = metrics.classification_figures(
            numbers[: len(dev)], numbers[len(dev) :], len(model.outputs.names) + len(names)
        )
    return {
        "name": "TF-IDF with " + ("ridge regression" if regression else "logistic regression"),
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "texts": len(train),
        "seconds": round(time.perf_counter() - begin, 2),
    }


def _simplest_tagger(validation: Validation) -> dict[str, Any]:
    """What the commonest tag of each word reaches; nothing for small sets, which are cross-validated."""
    begin = time.perf_counter()
    if validation.dev is None:
        return {}
    figures = commonest_tags(validation.train, validation.dev)
    return {
        "name": "the commonest tag of each word",
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "texts": len(validation.train),
        "seconds": round(time.perf_counter() - begin, 2),
    }


def _bag_of_words(train: Labelled, dev: Labelled, regression: bool, class_weight: str | None) -> list[Any]:
    """What a linear model on TF-IDF weights says of some texts.

    Raises:
        InputError: scikit-learn is missing, or there are no words to count.
    """
    if not regression and len(set(map(str, train.labels))) < 2:
        return [str(train.labels[0])] * len(dev)
    model = TfidfRidge() if regression else TfidfLogisticRegression(class_weight=class_weight)
    try:
        return list(model.fit(list(train.texts), train.labels).predict(list(dev.texts)))
    except ValueError as error:
        raise InputError(f"no words for a bag of words: {error}") from None


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def report_files(report: dict[str, Any]) -> dict[str, bytes]:
    """The report as files of the model's folder, by name."""
    page, data = REPORT_FILES
    return {page: render(report).encode("utf-8", "replace"), data: as_json(report).encode("utf-8", "replace")}
