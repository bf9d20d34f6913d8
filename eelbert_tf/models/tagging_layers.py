"""Layers of a tagger: tables by words, beginnings and endings of words, what lies beside a token, and its loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE, HashConfig
from eelbert_tf.text import hashing, positions, splitting
from eelbert_tf.text.reference import multipliers

Tensor = Any

AFFIXES = (2, 3)  # bytes of a beginning or an ending
_IMPOSSIBLE = -1e4


@keras.saving.register_keras_serializable(package=PACKAGE)
class TokenFeatures(keras.layers.Layer):
    """What a conditional random field would see of each token: the word, its beginnings and endings, its spelling.

    Words and affixes are rows of small learned tables, found by their signatures; nothing is stored of them, and a
    word that training has shown is known by itself, whatever its letters are.

    Args:
        hash: the hash whose signatures are used.
        word_rows: rows of the table of words, a power of two; each word has two of them.
        word_width: numbers per row.
        affix_rows: rows of the table of each kind of affix, a power of two.
        affix_width: numbers per row.
        dropout: share of the words whose rows are left out in training, so that unknown ones are learned too.

    Call arguments:
        data: int32 `[B, L]`, bytes of texts as they came.
        tokens: `splitting.Split` of them.
        layout: where they go.
        num_slots: T.
        training: whether dropout applies.

    Returns:
        float32 `[B, T, size]`, zero in slots without a word; and float32 `[B, T, 2]`, positions of the tokens.
    """

    def __init__(
        self,
        hash: HashConfig | dict[str, Any],
        word_rows: int = 4096,
        word_width: int = 32,
        affix_rows: int = 1024,
        affix_width: int = 16,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hash = HashConfig(**hash) if isinstance(hash, dict) else hash
        self.word_rows = word_rows
        self.word_width = word_width
        self.affix_rows = affix_rows
        self.affix_width = affix_width
        self.dropout = dropout
        self.seeds = keras.random.SeedGenerator()

    @property
    def size(self) -> int:
        """Width of the result."""
        return 2 * self.word_width + 2 * len(AFFIXES) * self.affix_width + positions.NUM_SPELLING

    def build(self, input_shape: Any = None) -> None:
        """Creates the tables."""

        def table(name: str, rows: int, width: int) -> Any:
            # Of zeros, so that a row that training does not reach says nothing.
            return self.add_weight(name=name, shape=(rows, width), initializer="zeros")

        self.words = table("words", self.word_rows, self.word_width)
        self.affixes = [
            table(f"{kind}_{order}", self.affix_rows, self.affix_width)
            for order in AFFIXES
            for kind in ("first", "last")
        ]
        self.built = True

    def call(
        self,
        data: Tensor,
        tokens: splitting.Split,
        layout: splitting.Layout,
        num_slots: int | Tensor,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        first, last = positions.marks(tokens, layout, num_slots)
        places = positions.token_positions(data, first, last, self.hash.normalization)
        units = hashing.token_units(*tokens[:3], self.hash)
        factors = [int(h) for h in multipliers(self.hash.seed + 1, 2 + 2 * len(AFFIXES))]
        word, _ = hashing.word_signatures(units, tokens.starts, tokens.continues)
        ones = ops.ones_like(word)
        parts = [self._look_up(self.words, word * h, last, ones, training) for h in factors[:2]]
        grams = hashing.ngram_signatures(units, tokens.starts, tokens.continues, max(AFFIXES))
        for i, order in enumerate(AFFIXES):
            signature, valid = grams[order - 1]
            beginning, ending = self.affixes[2 * i : 2 * i + 2]
            parts.append(self._look_up(beginning, signature * factors[2 + 2 * i], first, valid, training))
            signature, valid = (hashing.shift_right(x, order - 1) for x in (signature, valid))
            parts.append(self._look_up(ending, signature * factors[3 + 2 * i], last, valid, training))
        parts.append(ops.cast(positions.spelling(data, places), self.compute_dtype))
        there = ops.expand_dims(ops.sum(first, axis=-1), -1)
        return ops.concatenate(parts, axis=-1) * ops.cast(there, self.compute_dtype), places

    def _look_up(self, table: Any, product: Tensor, where: Tensor, valid: Tensor, training: bool | None) -> Tensor:
        """Rows of a table by the signature at one byte of each token, zero where there is none: `[B, T, width]`."""
        rows = hashing.top_rows(product, table.shape[0])
        from_one = positions.pick(where, (rows + 1) * valid)  # [B, T]
        found = ops.take(ops.convert_to_tensor(table), ops.cast(ops.maximum(from_one - 1.0, 0.0), "int32"), axis=0)
        there = ops.minimum(from_one, 1.0)
        if training and self.dropout:
            there = there * ops.cast(
                keras.random.uniform(ops.shape(there), seed=self.seeds) >= self.dropout, there.dtype
            )
        return ops.cast(found, self.compute_dtype) * ops.cast(ops.expand_dims(there, -1), self.compute_dtype)

    def sizes(self) -> dict[str, Any]:
        """The constructor's arguments but for the hash."""
        return {
            "word_rows": self.word_rows,
            "word_width": self.word_width,
            "affix_rows": self.affix_rows,
            "affix_width": self.affix_width,
            "dropout": self.dropout,
        }

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "hash": dataclasses.asdict(self.hash), **self.sizes()}


def shift_slots(x: Tensor, by: int) -> Tensor:
    """`x[:, t + by]` at every slot t, zero beyond the ends: `[B, T, d]`."""
    if not by:
        return x
    batch, length, width = ops.shape(x)
    padded = ops.pad(x, ((0, 0), (max(-by, 0), max(by, 0)), (0, 0)))
    return ops.slice(padded, (0, max(by, 0), 0), (batch, length, width))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Window(keras.layers.Layer):
    """A dense layer on a token and those beside it, as a sum: each distance has a kernel of its own.

    Args:
        units: width of the result.
        reach: tokens to either side.

    Call arguments:
        x: float `[B, T, d]`; what lies beyond the ends counts as zero.

    Returns:
        float `[B, T, units]`.
    """

    def __init__(self, units: int, reach: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.reach = reach
        self.kernels = [
            keras.layers.Dense(units, use_bias=not by, name=f"at_{by + reach}", dtype=self.dtype_policy)
            for by in range(-reach, reach + 1)
        ]

    def build(self, input_shape: Any) -> None:
        """Creates the kernels."""
        for kernel in self.kernels:
            kernel.build(input_shape)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        total = self.kernels[self.reach](x)
        for by in range(1, self.reach + 1):
            for sign in (-by, by):
                total = total + shift_slots(self.kernels[self.reach + sign](x), sign)
        return total

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "reach": self.reach}


def tags_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """The negative log-probability of each text's tags among all that `spans.best_tags` may give.

    A conditional random field (Lafferty et al. 2001) whose transitions are what BIO allows, and no more: nothing has to
    be stored for decoding, and a step costs as many operations as there are tags.

    Args:
        logits: float32 `[B, T, 2 n + 1]`.
        tags: int32 `[B, T]`, -1 in slots without a token. Tokens lie side by side.

    Returns:
        float32 `[B]`, sums over the tokens.
    """
    size = logits.shape[-1]
    count = size // 2
    there = ops.cast(ops.greater_equal(tags, 0), "float32")  # [B, T]
    gold = ops.sum(logits * ops.one_hot(ops.maximum(tags, 0), size), axis=-1) * there
    # Before the first token only O and B can follow: as if an O were there.
    start = ops.zeros_like(logits[:, 0]) + np.where(np.arange(size) == 0, 0.0, _IMPOSSIBLE).astype("float32")

    def step(scores: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        row, filled = row[:, :size], row[:, size:]
        anything = ops.logsumexp(scores, axis=-1, keepdims=True)
        same = ops.logaddexp(scores[:, 1 : 1 + count], scores[:, 1 + count :])
        after = ops.concatenate([anything + row[:, : 1 + count], same + row[:, 1 + count :]], axis=-1)
        after = ops.where(filled > 0, after, scores)
        return after, after  # Keras on TensorFlow wants results of the state's shape

    # One array, since Keras on TensorFlow cannot walk along two of a length that varies.
    by_slot = ops.transpose(ops.concatenate([logits, ops.expand_dims(there, -1)], axis=-1), (1, 0, 2))
    scores, _ = ops.scan(step, start, by_slot)
    total = ops.logsumexp(scores, axis=-1) * ops.max(there, axis=-1)
    return total - ops.sum(gold, axis=-1)
