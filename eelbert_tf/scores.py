"""From logits to what a user reads: probabilities and names, the likeliest first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis: float64 of the same shape."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def label_names(labels: Sequence[str] | None, num_classes: int) -> list[str]:
    """Names of the classes; their numbers where they have none."""
    return list(labels) if labels else [str(i) for i in range(num_classes)]


def rank(logits: np.ndarray, labels: Sequence[str] | None = None) -> list[tuple[str, float]]:
    """Classes with their probabilities, the likeliest first.

    Args:
        logits: float32 `[num_classes]`.
        labels: names of the classes, in the order of the logits.
    """
    scores = softmax(logits)
    names = label_names(labels, len(scores))
    return [(names[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
