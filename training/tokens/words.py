"""Whole words as tokens: frozen tables on the device, looked up by id in the training step, never saved as weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.config import EelbertConfig
from eelbert_tf.text.reference import CLS, MASK, SEP, embed_token
from eelbert_tf.training.corpus.reader import Corpus

from .masking import Specials, WordMasking
from .source import TokenSource
from .stream import Corruption
from .tables import check_normalization, embedding_table, lexicon_table

Tensor = Any


class WordTables(TokenSource):
    """The hash embedding of every word of a corpus, and its lexicon row if the model has a lexicon.

    Args:
        corpus: gives the words; their ids are followed by those of [CLS], [SEP], [MASK] and padding.
        config: a configuration with a hash.

    Call arguments:
        ids: int32 `[B, T]`.

    Returns:
        What `EelbertBackbone` takes: `embeddings` float `[B, T, hash.size]`, `padding_mask` int32 `[B, T]`, and
        `lexicon_rows` int32 `[B, T]` for a model with a lexicon.

    Raises:
        InputError: the corpus was built for another normalization.
    """

    def __init__(self, corpus: Corpus, config: EelbertConfig, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        assert config.hash is not None
        check_normalization(corpus, config.hash)
        self.corpus = corpus
        self.counts = corpus.counts
        self.output_scale = config.hidden_size**-0.5
        self.specials = Specials.after(len(corpus.words))
        ends = [embed_token(token, config.hash) for token in (CLS, SEP, MASK)]
        table = np.concatenate(
            [embedding_table(corpus, config.hash), np.stack(ends), np.zeros((1, config.hash.size), np.float32)]
        )
        self.embeddings = self._frozen("embeddings", table, self.compute_dtype)
        self.lexicon_rows = None
        if config.lexicon_size:
            rows = lexicon_table(corpus, config.hash, config.lexicon_combinations)
            self.lexicon_rows = self._frozen("lexicon_rows", np.concatenate([rows, np.full(4, -1, np.int32)]), "int32")
        self.built = True

    def _frozen(self, name: str, array: np.ndarray, dtype: str) -> Any:
        """A variable that holds the array and is not trained."""
        return self.add_weight(
            name=name,
            shape=array.shape,
            dtype=dtype,
            initializer=lambda shape, dtype: ops.cast(ops.convert_to_tensor(array), dtype),
            trainable=False,
        )

    def size(self, max_size: int | None = None, min_count: int = 1) -> int:
        return self.corpus.vocabulary_size(min_count, max_size)

    def words_per_row(self, sequence_length: int) -> int:
        return sequence_length - 2

    def masking(self, rate: float, max_masked: int, words: int, sequence_length: int) -> Corruption:
        return WordMasking(self.specials, rate, max_masked, words)

    def look_up(self, ids: Tensor, backbone: Any = None) -> tuple[Tensor, Tensor | None]:
        embeddings = ops.take(ops.convert_to_tensor(self.embeddings), ids, axis=0)
        rows = None if self.lexicon_rows is None else ops.take(ops.convert_to_tensor(self.lexicon_rows), ids, axis=0)
        return embeddings, rows

    def first(self, count: int, backbone: Any = None) -> tuple[Tensor, Tensor | None]:
        rows = None if self.lexicon_rows is None else ops.convert_to_tensor(self.lexicon_rows)[:count]
        return ops.convert_to_tensor(self.embeddings)[:count], rows

    def call(self, ids: Tensor) -> dict[str, Tensor]:
        embeddings, rows = self.look_up(ids)
        inputs = {"embeddings": embeddings, "padding_mask": ops.cast(ops.not_equal(ids, self.specials.pad), "int32")}
        return inputs if rows is None else {**inputs, "lexicon_rows": rows}
