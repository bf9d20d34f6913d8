"""Holds out texts for choosing a recipe, so that the remaining texts do not give their labels away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eelbert_tf.disk.tables import Table


def hold_out(table: Table, share: float = 0.1, most: int = 1000, seed: int = 0) -> tuple[Table, Table]:
    """Splits a table at random into rows to train on and held-out rows.

    Sets like SST-2 contain sentences and also phrases of these sentences. Only texts that are not part of a longer text
    are held out, and the parts of held-out texts are dropped: with them, the best recipe would be one that memorizes.
    Pairs of texts are drawn as they are.

    Args:
        table: labelled texts.
        share: share of the rows to hold out.
        most: the most rows to hold out.
        seed: fixes the draw.

    Returns:
        The rows to train on, and the held-out rows.
    """
    single = [text for text in table.texts if isinstance(text, str)]
    within = containers(single) if len(single) == len(table) else {}
    order = np.random.default_rng(seed).permutation(len(table)).tolist()
    count = max(1, min(most, round(share * len(table))))
    drawn = set([i for i in order if i not in within][:count])
    left = [i for i in range(len(table)) if i not in drawn and not drawn.intersection(within.get(i, ()))]

    def part(chosen: list[int]) -> Table:
        columns: dict[str, Any] = {
            name: [getattr(table, name)[i] for i in chosen] for name in ("texts", "labels", "lines")
        }
        return replace(table, **columns)

    return part(left), part(sorted(drawn))


def containers(texts: Sequence[str]) -> dict[int, list[int]]:
    """For each text that is part of longer texts, word for word: the indices of these."""
    spaced = [f" {' '.join(text.split())} " for text in texts]
    words = [text.split() for text in texts]
    holders: dict[str, list[int]] = {}
    for i, row in enumerate(words):
        for word in set(row):
            holders.setdefault(word, []).append(i)
    longer_texts = {}
    for i, row in enumerate(words):
        if row:
            rarest = min(row, key=lambda word: len(holders[word]))
            longer = [j for j in holders[rarest] if len(spaced[j]) > len(spaced[i]) and spaced[i] in spaced[j]]
            if longer:
                longer_texts[i] = longer
    return longer_texts
