"""Metrics of classification and regression, in NumPy."""

from __future__ import annotations

import numpy as np


def accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Share of equal entries; both int `[n]`."""
    return float(np.mean(targets == predictions))


def f1(targets: np.ndarray, predictions: np.ndarray, positive: int = 1) -> float:
    """Harmonic mean of precision and recall of one class; 0 where it is neither present nor predicted."""
    hits = np.sum((targets == positive) & (predictions == positive))
    total = np.sum(targets == positive) + np.sum(predictions == positive)
    return float(2 * hits / total) if total else 0.0


def macro_f1(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Mean F1 over the classes that are present or predicted; both int `[n]`."""
    classes = np.union1d(targets, predictions)
    return float(np.mean([f1(targets, predictions, c) for c in classes]))


def matthews(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation of two classes, 0 and 1; 0 where a side is constant."""
    if np.ptp(targets) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(np.corrcoef(targets, predictions)[0, 1])


def pearson(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Linear correlation of two float `[n]`; 0 where a side is constant."""
    if len(targets) < 2 or np.ptp(targets) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(np.corrcoef(targets, predictions)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values sharing their mean rank: float `[n]`."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def spearman(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Linear correlation of the ranks of two float `[n]`."""
    return pearson(_ranks(targets), _ranks(predictions))


def classification_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """What commands report of a classifier."""
    return {
        "accuracy": round(accuracy(targets, predictions), 4),
        "macro_f1": round(macro_f1(targets, predictions), 4),
    }


def regression_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """What commands report of a regression."""
    return {
        "pearson": round(pearson(targets, predictions), 4),
        "spearman": round(spearman(targets, predictions), 4),
        "rmse": round(float(np.sqrt(np.mean((targets - predictions) ** 2))), 4),
    }
