"""Texts put aside to choose a recipe by, such that what is left does not give their labels away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eelbert_tf.disk.tables import Table


def split_off(table: Table, share: float = 0.1, most: int = 1000, seed: int = 0) -> tuple[Table, Table]:
    """A table without some of its rows, drawn at random, and those rows.

    Sets like SST-2 hold sentences and their phrases. Only texts that stand in no longer one are drawn, and what stands
    within one that was drawn is in neither part: else a recipe would be chosen that learns the texts by heart. Pairs
    of texts are drawn as they are.

    Args:
        table: labelled texts.
        share: of the rows.
        most: rows to take at most.
        seed: fixes the draw.
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
    """For each text that stands in longer ones, word for word: the places of those."""
    spaced = [f" {' '.join(text.split())} " for text in texts]
    words = [text.split() for text in texts]
    holders: dict[str, list[int]] = {}
    for i, row in enumerate(words):
        for word in set(row):
            holders.setdefault(word, []).append(i)
    found = {}
    for i, row in enumerate(words):
        if row:
            rarest = min(row, key=lambda word: len(holders[word]))
            longer = [j for j in holders[rarest] if len(spaced[j]) > len(spaced[i]) and spaced[i] in spaced[j]]
            if longer:
                found[i] = longer
    return found
