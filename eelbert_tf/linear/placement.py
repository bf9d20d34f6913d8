"""Places n-grams in a table where each may lie in one of two rows (cuckoo hashing, Pagh and Rodler 2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def place(candidates: np.ndarray) -> np.ndarray:
    """Gives as many n-grams as possible a row of their own, earlier ones first.

    Rows are vertices of a graph and n-grams edges between their two rows. A set of edges can be placed where no
    component has more edges than vertices. Such sets are a matroid, so that taking each edge that still fits is best.
    An n-gram whose two rows are one would be counted twice, and has none.

    Args:
        candidates: int `[n, 2]`, the two rows of each n-gram, in the order of their importance.

    Returns:
        int64 `[n]`: the row of each, -1 for those that have none.
    """
    edges = [(int(a), int(b)) for a, b in candidates]
    kept = _independent(edges)
    placed = np.full(len(edges), -1, np.int64)
    for edge, row in _oriented(edges, kept):
        placed[edge] = row
    return placed


def _independent(edges: Sequence[tuple[int, int]]) -> list[int]:
    """The edges that are kept: those after which every component still has at most one cycle."""
    parent: dict[int, int] = {}
    has_cycle: set[int] = set()

    def find(vertex: int) -> int:
        root = vertex
        while (above := parent.setdefault(root, root)) != root:
            root = above
        while parent[vertex] != root:
            parent[vertex], vertex = root, parent[vertex]
        return root

    kept = []
    for edge, (a, b) in enumerate(edges):
        if a == b:
            continue
        a, b = find(a), find(b)
        if (a in has_cycle) + (b in has_cycle) + (a == b) > 1:
            continue
        if a == b or b in has_cycle:
            has_cycle.add(a)
        parent[b] = a
        kept.append(edge)
    return kept


def _oriented(edges: Sequence[tuple[int, int]], kept: Sequence[int]) -> list[tuple[int, int]]:
    """A row of its own for each edge that is kept: leaves first, then around what are cycles."""
    at: dict[int, set[int]] = {}
    for edge in kept:
        for vertex in edges[edge]:
            at.setdefault(vertex, set()).add(edge)
    oriented: list[tuple[int, int]] = []

    def give(edge: int, vertex: int) -> int:
        """Gives a vertex to an edge; returns the edge's other end."""
        a, b = edges[edge]
        other = b if vertex == a else a
        at[a].discard(edge)
        at[b].discard(edge)
        oriented.append((edge, vertex))
        return other

    leaves = [vertex for vertex, around in at.items() if len(around) == 1]
    for start in [*leaves, *at]:
        vertex = start
        # From a leaf inwards while there is one way; a cycle is entered anywhere, and then has one way.
        while at[vertex] and (vertex == start or len(at[vertex]) == 1):
            vertex = give(min(at[vertex]), vertex)
    return oriented
