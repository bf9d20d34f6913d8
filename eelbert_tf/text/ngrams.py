"""The words and word pairs of a text as numbers, and their rows in a table: docs/hash.md, "Lexical head".

All of it is int32 arithmetic that wraps, with operators that TFLite Micro has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from eelbert_tf.config import LEXICAL_TAGS, HashConfig

from .hashing import shift_right, top_rows
from .reference import lexical_multipliers
from .splitting import Layout

Tensor = Any

NEIGHBOURS = 1  # which T of the places hold pairs of neighbours


class Ngrams(NamedTuple):
    """The n-grams of texts, N places for each text."""

    keys: Tensor  # int32 [B, N]
    counts: Tensor  # int32 [B, N]: 1 where there is an n-gram


def find_ngrams(codes: Tensor, layout: Layout, config: HashConfig, pair: bool) -> Ngrams:
    """Words, pairs of neighbours, and in a pair of texts the words that both have.

    Args:
        codes: int32 `[B, T]`, codes of words; 0 in slots without a word, so that a text's edges are words too.
        layout: what the slots hold.
        config: the hash.
        pair: whether the texts are pairs.

    Returns:
        N = 2 T places, or 3 T for pairs.
    """
    neighbour, kind = (int(h) for h in lexical_multipliers(config)[:2])
    words = layout.padding_mask - layout.classify - layout.separate
    ends = layout.padding_mask - layout.classify
    side = layout.segment_ids * (2 * kind)
    keys = [codes + side, shift_right(codes, 1) * neighbour + codes + (side + kind)]
    counts = [words, ends]
    if pair:
        keys.append(codes + 4 * kind)
        counts.append(_shared(codes, words * (1 - layout.segment_ids), words * layout.segment_ids))
    return Ngrams(ops.concatenate(keys, axis=1), ops.concatenate(counts, axis=1))


def _shared(codes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """1 on words of the first text that the second has too: int32 `[B, T]`."""
    same = ops.cast(ops.equal(ops.expand_dims(codes, 2), ops.expand_dims(codes, 1)), "float32")
    found = ops.sum(same * ops.cast(ops.expand_dims(second, 1), "float32"), axis=2)
    return first * ops.cast(ops.minimum(found, 1.0), "int32")


def candidate_rows(keys: Tensor, rows: int, config: HashConfig) -> tuple[Tensor, Tensor]:
    """Where an n-gram may lie, and how it is known there.

    Args:
        keys: int32 `[B, N]`.
        rows: of the table, a power of two.
        config: the hash.

    Returns:
        int32 `[B, 2 N]`: the first row of each n-gram, then the second of each; int32 `[B, 2 N]`: its tag, twice.
    """
    first, second, tag = (int(h) for h in lexical_multipliers(config)[2:])
    tags = top_rows(keys * tag, LEXICAL_TAGS)
    places = top_rows(ops.concatenate([keys * first, keys * second], axis=1), rows)
    return places, ops.concatenate([tags, tags], axis=1)
