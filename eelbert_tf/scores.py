"""From logits to classes: probabilities, names and ranks, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, which sum to 1.

    Args:
        logits: float `[..., num_classes]`.

    Returns:
        float64 of the same shape.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def label_names(labels: Sequence[str] | None, num_classes: int) -> list[str]:
    """Names of the classes; their numbers where they have none.

    Args:
        labels: the names, or `None`.
        num_classes: how many classes there are.
    """
    return list(labels) if labels else [str(i) for i in range(num_classes)]


def rank(logits: np.ndarray, labels: Sequence[str] | None) -> list[tuple[str, float]]:
    """Classes with their probabilities, the likeliest first; of equal ones, the first stays first.

    Args:
        logits: float `[num_classes]`.
        labels: names of the classes; `None` for their numbers.
    """
    probabilities = softmax(logits)
    names = label_names(labels, len(probabilities))
    return [(names[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable")]
