"""The lexical head: weights of the very words and word pairs that a task needs, beside the encoder."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import BOOK_ENTRIES, PACKAGE, HashConfig, LexicalConfig
from eelbert_tf.linear.tables import LexicalTable
from eelbert_tf.text import ngrams

Tensor = Any

_BYTE = 2**8
_LEAST = -128  # of int8


@keras.saving.register_keras_serializable(package=PACKAGE)
class LexicalHead(keras.layers.Layer):
    """A linear model on the words and word pairs of a text, in a table of bytes without a vocabulary.

    An n-gram may lie in one of two rows of the table, and counts only where the row has its tag: the words of a task
    stay exact, and all others add nothing. The table is no weight that gradients change: `fit_head` writes it.

    Args:
        config: size of the table, or its fields as a dictionary.
        num_outputs: logits of a text.
        hash: the hash whose signatures are used.

    Call arguments:
        found: `ngrams.Ngrams` of texts.
        padding_mask: int32 `[B, T]`, 1 on filled token slots.

    Returns:
        float32 `[B, num_outputs]`: the sum of the n-grams' weights over the root of the number of filled slots.
    """

    def __init__(
        self, config: LexicalConfig | dict[str, Any], num_outputs: int, hash: HashConfig | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.config = LexicalConfig(**config) if isinstance(config, dict) else config
        self.num_outputs = num_outputs
        self.hash = HashConfig(**hash) if isinstance(hash, dict) else hash

    def build(self, input_shape: Any = None) -> None:
        """Creates an empty table."""
        rows, rank = self.config.rows, self.config.rank

        def add(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return self.add_weight(name=name, shape=shape, initializer="zeros", dtype=dtype, trainable=False)

        self.tags = add("tags", (rows, 2), "int8")
        self.table = add("table", (rows, rank), "int8")
        if self.config.coded:
            self.codes = add("codes", (rows, rank), "int8")
            self.book = add("book", (BOOK_ENTRIES, self.num_outputs), "int8")
        self.kernel = add("kernel", (1 if self.config.coded else rank, self.num_outputs), "float32")
        self.built = True

    def call(self, found: ngrams.Ngrams, padding_mask: Tensor) -> Tensor:
        rows, tags = ngrams.candidate_rows(found.keys, self.config.rows, self.hash)
        counts = ops.concatenate([found.counts, found.counts], axis=1)
        pair = ops.cast(ops.take(ops.convert_to_tensor(self.tags), rows, axis=0), "int32")  # [B, 2 N, 2]
        high, low = ops.unstack(pair, axis=-1)
        match = ops.cast(ops.equal(high * _BYTE + low - _LEAST * (_BYTE + 1), tags), "int32") * counts
        values = ops.cast(ops.take(ops.convert_to_tensor(self.table), rows, axis=0), "float32")  # [B, 2 N, rank]
        values = values * ops.cast(ops.expand_dims(match, -1), "float32")
        filled = ops.sum(ops.cast(padding_mask, "float32"), axis=1, keepdims=True)
        if self.config.coded:
            return self._of_book(values, rows) * self.kernel * ops.rsqrt(filled)
        return ops.matmul(ops.sum(values, axis=1) * ops.rsqrt(filled), self.kernel)

    def _of_book(self, values: Tensor, rows: Tensor) -> Tensor:
        """Sums of the entries that codes name, times numbers: float32 `[B, 2 N, rank]` to `[B, num_outputs]`."""
        codes = ops.cast(ops.take(ops.convert_to_tensor(self.codes), rows, axis=0), "int32") - _LEAST
        total = None
        for i in range(self.config.rank):  # one after another: devices have little memory
            entries = ops.cast(ops.take(ops.convert_to_tensor(self.book), codes[..., i], axis=0), "float32")
            part = ops.matmul(values[:, None, :, i], entries)[:, 0]
            total = part if total is None else total + part
        return total

    def set_table(self, table: LexicalTable) -> None:
        """Takes over the n-grams that were fitted.

        Args:
            table: of this head's size.
        """
        tags, values = np.zeros(self.tags.shape, np.int8), np.zeros(self.table.shape, np.int8)
        tags[table.rows] = np.stack([table.tags // _BYTE, table.tags % _BYTE], axis=1) + _LEAST
        values[table.rows] = table.values
        self.tags.assign(tags)
        self.table.assign(values)
        self.kernel.assign(table.kernel)
        if table.codes is not None:
            codes = np.zeros(self.codes.shape, np.int8)
            codes[table.rows] = table.codes
            self.codes.assign(codes)
            self.book.assign(table.book)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "num_outputs": self.num_outputs,
            "hash": dataclasses.asdict(self.hash),
        }
