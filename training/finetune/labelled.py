"""Labelled texts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eelbert_tf.text.strings import TextOrPair


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels: class names or float `[n, classes]` of probabilities, tuples of names, or numbers."""

    texts: Sequence[TextOrPair]
    labels: Sequence[str] | Sequence[float] | Sequence[tuple[str, ...]] | Sequence[tuple[float, ...]] | np.ndarray
