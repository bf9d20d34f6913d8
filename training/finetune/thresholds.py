"""Thresholds of labels, chosen on held-out texts."""

from __future__ import annotations

import numpy as np

# So many right labels of all kinds together stand beside those of each label: a rare label has few of its own.
_PRIOR = 8.0
_STEPS = np.linspace(0.02, 0.98, 97)


def label_thresholds(truth: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """The probability from which on each label is best given.

    A label's threshold is the one with the greatest F1 on its own texts and, as if they were `_PRIOR` right ones, those
    of all labels: a frequent label is judged by itself, one that is hardly ever held out like the others.

    Args:
        truth: bool `[n, labels]`.
        probabilities: float `[n, labels]`.

    Returns:
        One for each label, in hundredths.
    """
    truth = np.asarray(truth, bool)
    given = probabilities[None] >= _STEPS[:, None, None]  # [steps, n, labels]
    right = (given & truth).sum(axis=1).astype(np.float64)  # [steps, labels]
    counts = given.sum(axis=1) + truth.sum(axis=0)  # given and true ones
    total = max(1, truth.sum())
    weight = _PRIOR / total
    right += weight * right.sum(axis=1, keepdims=True)
    counts = counts + weight * counts.sum(axis=1, keepdims=True)
    scores = 2 * right / np.maximum(counts, 1e-9)
    return [_middle(_STEPS[column >= column.max() - 1e-9]) for column in scores.T]


def binary_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The probability from which on the second of two classes is best taken, by the mean F1 of both.

    Args:
        truth: 0 or 1, `[n]`.
        probabilities: float `[n]`, of the second class.

    Returns:
        In hundredths; 0.5 unless another one is right for at least two texts more in a hundred.
    """
    second = np.asarray(truth) > 0.5
    given = probabilities[None] >= _STEPS[:, None]
    both = [_f1(given & second, given, second), _f1(~given & ~second, ~given, ~second)]
    scores = np.mean(both, axis=0)
    best = _middle(_STEPS[scores >= scores.max() - 1e-9])
    half = scores[np.argmin(np.abs(_STEPS - 0.5))]
    return best if scores.max() > half + 0.02 else 0.5


def _f1(right: np.ndarray, given: np.ndarray, true: np.ndarray) -> np.ndarray:
    return 2 * right.sum(axis=1) / np.maximum(given.sum(axis=1) + true.sum(), 1)


def _middle(values: np.ndarray) -> float:
    """The middle of the first run of equally good thresholds."""
    run = values[: 1 + next((i for i, step in enumerate(np.diff(values)) if step > 0.011), len(values) - 1)]
    return round(float(run[len(run) // 2]), 2)
