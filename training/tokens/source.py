"""Where a model's tokens come from: what whole words and WordPiece have in common."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from eelbert_tf.training.corpus.reader import Corpus

from .masking import Specials
from .stream import Corruption

Tensor = Any


class TokenSource(keras.layers.Layer):
    """Base class: turns token ids `[B, T]` into the encoder's input, and says what an objective must know of tokens.

    Attributes:
        corpus: the text.
        specials: ids of the special tokens.
        counts: int64 `[V]`, how often each token occurs in the corpus, by id.
        output_scale: factor of output vectors that gives logits near 1 at the start.
        vocabulary: the tokens by id, where the model's table depends on them; else `None`.
    """

    corpus: Corpus
    specials: Specials
    counts: np.ndarray
    output_scale: float
    vocabulary: list[bytes] | None = None

    def size(self, max_size: int | None = None, min_count: int = 1) -> int:
        """The number V of tokens that may be predicted, `max_size` at most: their ids are those below V."""
        raise NotImplementedError

    def words_per_row(self, sequence_length: int) -> int:
        """Words of the corpus that make a row of `sequence_length` tokens, the two special ones included."""
        raise NotImplementedError

    def masking(self, rate: float, slots: int, words: int, sequence_length: int) -> Corruption:
        """Masks whole words with ids below `words`, on the host."""
        raise NotImplementedError

    def look_up(self, ids: Tensor, backbone: Any) -> tuple[Tensor, Tensor | None]:
        """Input vectors of tokens, and their rows of the lexicon where there is one; ids of any shape."""
        raise NotImplementedError

    def first(self, count: int, backbone: Any) -> tuple[Tensor, Tensor | None]:
        """The same for the ids 0 to `count - 1`."""
        raise NotImplementedError
