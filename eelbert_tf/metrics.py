"""Scores of predictions, in NumPy: the ones that GLUE and text classification report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from eelbert_tf.scores import Outputs

_BINS = 15  # of the expected calibration error, as in Guo et al. 2017


def accuracy(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """The share of predictions that are right.

    Args:
        truth: integers `[n]`.
        predicted: integers `[n]`.
    """
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def confusion(truth: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> np.ndarray:
    """Counts, int64 `[num_classes, num_classes]`: the true class by row, the predicted one by column."""
    cells = np.asarray(truth, np.int64) * num_classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1_scores(truth: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> np.ndarray:
    """F1 of each class, float64 `[num_classes]`; 0 for a class that neither occurs nor is predicted."""
    table = confusion(truth, predicted, num_classes)
    right, total = table.diagonal(), table.sum(axis=0) + table.sum(axis=1)
    return np.divide(2.0 * right, total, out=np.zeros(num_classes), where=total > 0)


def macro_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> float:
    """The mean F1 of the classes that occur or are predicted."""
    occurs = np.union1d(np.asarray(truth), np.asarray(predicted))
    return float(f1_scores(truth, predicted, num_classes)[occurs].mean())


def matthews(truth: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int = 2) -> float:
    """Matthews's correlation coefficient, for two classes or more (Gorodkin 2004); 0 where one side is constant."""
    table = confusion(truth, predicted, num_classes).astype(np.float64)
    n, right, actual, guessed = table.sum(), np.trace(table), table.sum(axis=1), table.sum(axis=0)
    spread = np.sqrt((n**2 - guessed @ guessed) * (n**2 - actual @ actual))
    return float((right * n - actual @ guessed) / spread) if spread > 0 else 0.0


def pearson(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Pearson's correlation of two float arrays `[n]`; 0 where one of them is constant."""
    x, y = (np.asarray(a, np.float64) for a in (truth, predicted))
    x, y = x - x.mean(), y - y.mean()
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread > 0 else 0.0


def ranks(values: npt.ArrayLike) -> np.ndarray:
    """Ranks from 1, float64 `[n]`; equal values share their mean rank."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse.reshape(-1)]


def spearman(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Spearman's rank correlation of two float arrays `[n]`, with mean ranks for ties."""
    return pearson(ranks(truth), ranks(predicted))


def rmse(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """The root of the mean squared difference."""
    return float(np.sqrt(np.mean((np.asarray(truth, np.float64) - np.asarray(predicted, np.float64)) ** 2)))


def label_table(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> np.ndarray:
    """Precision, recall and F1 of each label by itself, float64 `[labels, 3]`; 0 where there is nothing to divide by.

    Args:
        truth: bool `[n, labels]`, any number of labels a text.
        predicted: likewise.
    """
    actual, guessed = (np.asarray(a, bool) for a in (truth, predicted))
    right, given, there = (actual & guessed).sum(axis=0), guessed.sum(axis=0), actual.sum(axis=0)
    parts = ((right, given), (right, there), (2 * right, given + there))
    return np.stack([_shares(a, b) for a, b in parts], axis=-1)


def average_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The mean precision at the rank of each right text, texts of equal scores taken together; 0 where none is right.

    Args:
        truth: bool `[n]`.
        scores: float `[n]`.
    """
    right, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    right, values = right[order], values[order]
    ends = np.flatnonzero(np.append(np.diff(values) != 0, True))  # the last text of each score
    found = np.cumsum(right)[ends]
    gained = np.diff(found, prepend=0)
    return float((gained * found / (ends + 1)).sum() / found[-1]) if len(found) and found[-1] else 0.0


def multilabel_figures(truth: npt.ArrayLike, predicted: npt.ArrayLike, scores: npt.ArrayLike) -> dict[str, float]:
    """F1 of all labels of all texts, mean F1 of the labels, and the mean average precision of those that occur.

    Args:
        truth: bool `[n, labels]`.
        predicted: likewise.
        scores: float `[n, labels]`, greater for likelier labels.
    """
    actual, guessed = (np.asarray(a, bool) for a in (truth, predicted))
    total = actual.sum() + guessed.sum()
    occurs = np.flatnonzero(actual.any(axis=0))
    precisions = [average_precision(actual[:, i], np.asarray(scores)[:, i]) for i in occurs]
    return {
        "micro_f1": float(2 * (actual & guessed).sum() / total) if total else 0.0,
        "macro_f1": float(label_table(actual, guessed)[:, 2].mean()),
        "map": float(np.mean(precisions)) if precisions else 0.0,
    }


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def classification_figures(truth: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> dict[str, float]:
    """Accuracy and macro F1 of integers `[n]`."""
    return {"accuracy": accuracy(truth, predicted), "macro_f1": macro_f1(truth, predicted, num_classes)}


def regression_figures(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, float]:
    """Correlations and error of floats `[n]`."""
    return {
        "pearson": pearson(truth, predicted),
        "spearman": spearman(truth, predicted),
        "rmse": rmse(truth, predicted),
    }


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities in BIO tags: label, first word, and the one behind the last.

    Args:
        tags: of one text; an I of another label than the tag before it begins an entity, as in CoNLL's own script.
    """
    found = set()
    begin, label = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        kind, _, name = tag.partition("-")
        if label and (kind != "I" or name != label):
            found.add((label, begin, i))
            label = ""
        if name and not label:
            begin, label = i, name
    return found


def tagging_figures(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """F1, precision and recall of whole entities over all texts, and the share of words with the right tag.

    Args:
        truth: BIO tags of the words of each text.
        predicted: likewise.
    """
    wanted = [entities(tags) for tags in truth]
    found = [entities(tags) for tags in predicted]
    right = sum(len(a & b) for a, b in zip(wanted, found, strict=True))
    in_truth, in_answers = (sum(map(len, sets)) for sets in (wanted, found))
    words = [a == b for one, other in zip(truth, predicted, strict=True) for a, b in zip(one, other, strict=True)]
    return {
        "entity_f1": 2 * right / max(in_truth + in_answers, 1),
        "entity_precision": right / max(in_answers, 1),
        "entity_recall": right / max(in_truth, 1),
        "token_accuracy": float(np.mean(words)) if words else 0.0,
    }


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """The chance that a random positive has a greater score than a random negative; equal scores count half.

    Args:
        positive: float `[n]`.
        negative: float `[m]`.
    """
    above, below = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    order = ranks(np.concatenate([above, below]))[: len(above)]
    return float((order.sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def calibration_error(right: npt.ArrayLike, confidence: npt.ArrayLike) -> float:
    """The expected calibration error (Guo et al. 2017): how far confidence is from accuracy, in the mean.

    Args:
        right: bool `[n]`, whether each prediction is right.
        confidence: float `[n]`, its probability.
    """
    probabilities = np.asarray(confidence, np.float64)
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, np.asarray(right, np.float64) - probabilities, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(probabilities))


def task_figures(outputs: Outputs, truth: npt.ArrayLike, logits: np.ndarray) -> dict[str, float]:
    """The figures of a task.

    Args:
        outputs: how the logits are read.
        truth: class indices `[n]`; bool `[n, labels]`; or numbers `[n]` or `[n, outputs]`. Classes and labels that the
            model does not know come last; it is never right about them.
        logits: float `[n, outputs]`.

    Returns:
        `accuracy`, `macro_f1` and `ece`; `micro_f1`, `macro_f1` and `map` of several labels a text; `pearson`,
        `spearman` and `rmse` of a regression, of several numbers their means.
    """
    truth = np.asarray(truth)
    if outputs.task == "regression":
        columns = truth.reshape(len(truth), -1)
        each = [regression_figures(columns[:, i], logits[:, i]) for i in range(columns.shape[1])]
        return {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}
    if outputs.can_refuse:  # counted apart: what it would say of these texts if it had to choose
        logits, outputs = outputs.forced(logits)
    decided, probabilities = outputs.decide(logits), outputs.probabilities(logits)
    if outputs.task == "multilabel":
        unknown = ((0, 0), (0, truth.shape[1] - decided.shape[1]))
        return multilabel_figures(truth, np.pad(decided, unknown), np.pad(probabilities, unknown))
    count = max(len(outputs.names), int(truth.max()) + 1)
    confidence = np.take_along_axis(probabilities, decided[:, None], axis=1)[:, 0]
    figures = classification_figures(truth, decided, count)
    return {**figures, "ece": calibration_error(truth == decided, confidence)}
