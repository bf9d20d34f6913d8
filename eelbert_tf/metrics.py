"""Scores of predictions, in NumPy: the ones that GLUE and text classification report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


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
