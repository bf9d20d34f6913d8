"""Labelled texts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels: class names or float `[n, classes]` of probabilities, tuples of names, or numbers.

    Args:
        texts: strings, or pairs.
        labels: one for each.
        rows: the line of its file at which each begins, for reports; numbers from 1 where there is no file.
        ready: the same texts ready for batching, once they are.
    """

    texts: Any
    labels: Any
    rows: Sequence[int] | None = None
    ready: Any = None

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, chosen: np.ndarray) -> Labelled:
        """Some of the texts, by their indices."""
        soft = isinstance(self.labels, np.ndarray)
        labels: Any = self.labels[chosen] if soft else [self.labels[i] for i in chosen]
        rows = None if self.rows is None else [self.rows[i] for i in chosen]
        ready = self.ready.part(chosen) if hasattr(self.ready, "part") else None
        return Labelled([self.texts[i] for i in chosen], labels, rows, ready)
