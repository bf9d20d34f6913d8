"""Held-out parts of labelled texts: every class in proportion, equal texts on one side, fixed by a seed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf.text.strings import TextOrPair

FEWEST = 20  # texts: of fewer none are held out
SMALL = 200  # texts: up to so many are cross-validated
FOLDS = 5
MOST = 2000  # texts that a split holds out
LEAST = 36  # likewise, of more than `SMALL`: a few more than calibration needs, since classes are dealt by themselves


def folds(texts: Sequence[TextOrPair], labels: Sequence[Any], count: int, seed: int = 0) -> np.ndarray:
    """Deals texts into parts of about one size, in each of which every class has its share.

    Equal texts, whatever their capitals and spaces, go into one part: otherwise a model would be scored on what it has
    learned by heart. The only text of a class is never in part 0, which `split` holds out.

    Args:
        texts: strings, or pairs.
        labels: classes as strings; tuples of them, of which the rarest counts; numbers are divided by their size.
        count: parts.
        seed: fixes the draw.

    Returns:
        int64 `[n]`: the part of each text.
    """
    rng = np.random.default_rng(seed)
    equal = defaultdict(list)
    for i, text in enumerate(texts):
        equal[_key(text)].append(i)
    groups = list(equal.values())
    strata = _strata([labels[group[0]] for group in groups], count, rng)
    found: np.ndarray = np.zeros(len(texts), np.int64)
    for stratum in strata:
        part = int(rng.integers(1, count)) if len(stratum) == 1 else int(rng.integers(count))
        for group in stratum:
            found[groups[group]] = part
            part = (part + 1) % count
    return found


def _strata(labels: list[Any], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Groups of indices that are to be dealt evenly, each in random order."""
    first = [label[0] if isinstance(label, tuple) and label else label for label in labels]
    if all(isinstance(label, int | float) for label in first):
        order = np.lexsort((rng.permutation(len(labels)), np.asarray(first, np.float64)))
        return [rng.permutation(order[i : i + count]) for i in range(0, len(order), count)]
    counts = Counter(name for label in labels if isinstance(label, tuple) for name in label)
    by_class = defaultdict(list)
    for i, label in enumerate(labels):
        rarest = min(label, key=lambda name: (counts[name], name), default="") if isinstance(label, tuple) else label
        by_class[str(rarest)].append(i)
    return [rng.permutation(by_class[name]) for name in sorted(by_class)]


def split(
    texts: Sequence[TextOrPair], labels: Sequence[Any], share: float = 0.1, seed: int = 0, most: int = MOST
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of texts to learn from, and of those that are held out.

    Args:
        texts: as in `folds`.
        labels: as in `folds`.
        share: of the texts that are held out.
        seed: fixes the draw.
        most: texts that are held out.
    """
    count = max(2, round(1 / share), math.ceil(len(texts) / most))
    held_out = folds(texts, labels, count, seed) == 0
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _key(text: TextOrPair) -> Any:
    sides = (text,) if isinstance(text, str | bytes) else text
    return tuple(tuple(side.casefold().split() if isinstance(side, str) else side.lower().split()) for side in sides)
