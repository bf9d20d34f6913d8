"""A model's source of tokens: the interface of whole words and of WordPiece."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from eelbert_tf.training.corpus.reader import Corpus

from .masking import Specials
from .stream import Corruption

Tensor = Any


class TokenSource(keras.layers.Layer):
    """Base class: turns token ids `[B, T]` into the encoder's input, and tells objectives what they need about tokens.

    Attributes:
        corpus: the text.
        specials: ids of the special tokens.
        counts: int64 `[V]`, how often each token occurs in the corpus, by id.
        output_scale: factor for output vectors, so that logits are near 1 at the start.
        vocabulary: the WordPieces by id, if the model has a table of them; else `None`.
    """

    corpus: Corpus
    specials: Specials
    counts: np.ndarray
    output_scale: float
    vocabulary: list[bytes] | None = None

    def size(self, max_size: int | None = None, min_count: int = 1) -> int:
        """V, the number of tokens that may be predicted, at most `max_size`: their ids are 0 to V - 1."""
        raise NotImplementedError

    def words_per_row(self, sequence_length: int) -> int:
        """How many words of the corpus make a row of `sequence_length` tokens, the two special tokens included."""
        raise NotImplementedError

    def masking(self, rate: float, max_masked: int, words: int, sequence_length: int) -> Corruption:
        """A function that masks whole words with ids below `words`, on the host."""
        raise NotImplementedError

    def look_up(self, ids: Tensor, backbone: Any) -> tuple[Tensor, Tensor | None]:
        """Input vectors of tokens, and their lexicon rows if there is a lexicon; `ids` may have any shape."""
        raise NotImplementedError

    def first(self, count: int, backbone: Any) -> tuple[Tensor, Tensor | None]:
        """The same as `look_up` for the ids 0 to `count - 1`."""
        raise NotImplementedError
