"""Labelled texts in memory, and their labels as the loss takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eelbert_tf.text.strings import TextOrPair


@dataclass(frozen=True)
class Labelled:
    """Texts with their targets: class names, float `[n, classes]` of their probabilities, or numbers for regression."""

    texts: Sequence[TextOrPair]
    labels: Sequence[str] | Sequence[float] | np.ndarray


def as_targets(data: Labelled, classes: Sequence[str] | None) -> np.ndarray:
    """Labels as numbers: int32 `[n]` of classes, float32 `[n, classes]` of probabilities, or float32 `[n]`."""
    if classes is None or isinstance(data.labels, np.ndarray):
        return np.asarray(data.labels, np.float32)
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[str(label)] for label in data.labels], np.int32)
