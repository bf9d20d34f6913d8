"""Distillation of a classifier: a small one learns a larger one's probabilities, on more texts than have labels.

After Hinton et al. 2015 and, for the texts that are made up, Tang et al. 2019.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

Text = str | tuple[str, str]

# A made-up text: each word is left out, or replaced by a random one of the training texts, with these chances; and with
# this chance only a stretch of it is kept.
_DROPPED, _REPLACED, _CUT = 0.05, 0.1, 0.25

_PART = 4096  # texts between two looks at the progress


def make_up(texts: Sequence[Text], copies: int, seed: int = 0) -> list[Text]:
    """Variants of texts, for a teacher to label.

    Args:
        texts: strings, or pairs; of a pair one side changes.
        copies: variants of each.
        seed: fixes them.

    Returns:
        `copies * len(texts)` texts, without those that came out empty or unchanged.
    """
    rng = np.random.default_rng(seed)
    sides = [side for text in texts for side in ([text] if isinstance(text, str) else text)]
    words = list(itertools.chain.from_iterable(side.split() for side in sides))
    found: list[Text] = []
    for _ in range(copies):
        for text in texts:
            if isinstance(text, str):
                variant: Text = _variant(text, words, rng)
            elif rng.random() < 0.5:
                variant = (_variant(text[0], words, rng), text[1])
            else:
                variant = (text[0], _variant(text[1], words, rng))
            if variant != text and all([variant] if isinstance(variant, str) else variant):
                found.append(variant)
    return found


def _variant(text: str, words: list[str], rng: np.random.Generator) -> str:
    own = text.split()
    if len(own) > 3 and rng.random() < _CUT:
        start, stop = sorted(rng.integers(0, len(own) + 1, 2))
        own = own[start:stop]
    chances = rng.random(len(own))
    others = rng.integers(0, len(words), len(own))
    return " ".join(
        words[other] if chance < _DROPPED + _REPLACED else word
        for word, chance, other in zip(own, chances, others, strict=True)
        if chance >= _DROPPED
    )


def probabilities(teacher: Any, texts: Sequence[Text]) -> np.ndarray:
    """What a classifier makes of texts: float32 `[n, classes]`; shows its progress."""
    from tqdm import tqdm

    parts = []
    with tqdm(total=len(texts), desc="teacher", unit="text", file=sys.stderr) as bar:
        for start in range(0, len(texts), _PART):
            part = list(texts[start : start + _PART])
            parts.append(teacher.predict(part, batch_size=64, verbose=0))
            bar.update(len(part))
    logits = np.concatenate(parts)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def soften(labels: Sequence[Any], classes: Sequence[str], taught: np.ndarray, trust: float) -> np.ndarray:
    """Targets of labelled texts: float32 `[n, classes]`, between the label and what the teacher says.

    Args:
        labels: the true ones.
        classes: in the order of the logits.
        taught: float `[n, classes]`, the teacher's probabilities.
        trust: share of the teacher's word, from 0 to 1.
    """
    index = {name: i for i, name in enumerate(classes)}
    truth = np.eye(len(classes), dtype=np.float32)[[index[str(label)] for label in labels]]
    return ((1 - trust) * truth + trust * taught).astype(np.float32)
