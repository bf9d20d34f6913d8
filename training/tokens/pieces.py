"""WordPieces as tokens, for BERT baselines with a learned table.

The vocabulary is learned from the words' counts by tensorflow-text, once for each corpus. It is kept in the corpus's
cache folder together with the pieces of every distinct word. The first ids are [PAD], [UNK], [CLS], [SEP] and [MASK];
the others are pieces by falling frequency.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.files import replace_file
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.wordpiece import RESERVED, encode_word
from eelbert_tf.training.corpus.parts import read_arrays
from eelbert_tf.training.corpus.reader import Corpus

from .masking import PieceMasking, Specials
from .source import TokenSource
from .stream import Corruption

Tensor = Any

_MIN_COUNT = 5  # the vocabulary is learned from words that occur at least this often
_ROOM = 1.08  # rows hold a little less than what fits on average, so that few are cut


@dataclass(frozen=True)
class Pieces:
    """The pieces of every distinct word.

    Args:
        vocabulary: the pieces by id.
        ids: int32 `[n]`, pieces of all words, one word after the other.
        ends: int64 `[words]`, where the pieces of each word end.
    """

    vocabulary: list[bytes]
    ids: np.ndarray
    ends: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Pieces of each word: int64 `[words]`."""
        return np.diff(self.ends, prepend=0)


def corpus_pieces(corpus: Corpus, vocab_size: int) -> Pieces:
    """A WordPiece vocabulary of at most `vocab_size` pieces, and each word in pieces; computed once, then read.

    Raises:
        InputError: tensorflow-text is not installed, or the cache cannot be written.
    """
    path = corpus.directory / "cache" / f"pieces-{corpus.fingerprint}-{vocab_size}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        counts = corpus.counts
        vocabulary = learn_vocabulary(corpus, vocab_size)
        ids, ends = encode_words(corpus, {piece: i for i, piece in enumerate(vocabulary)})
        # By falling frequency, so that an output vocabulary is a prefix of this one.
        frequency = np.bincount(ids, np.repeat(counts, np.diff(ends, prepend=0)), len(vocabulary))
        frequency[: len(RESERVED)] = np.inf
        order = np.argsort(-frequency, kind="stable")
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        blob = b"\n".join(vocabulary[i] for i in order)
        arrays = {"vocabulary": np.frombuffer(blob, np.uint8), "ids": rank[ids], "ends": ends}
        with replace_file(path) as temporary:
            np.savez(temporary, vocabulary=arrays["vocabulary"], ids=arrays["ids"], ends=arrays["ends"])
    return Pieces(arrays["vocabulary"].tobytes().split(b"\n"), arrays["ids"], arrays["ends"])


def learn_vocabulary(corpus: Corpus, vocab_size: int) -> list[bytes]:
    """Learns a WordPiece vocabulary; the reserved tokens come first.

    Raises:
        InputError: tensorflow-text is not installed.
    """
    learner = _learner()
    words = corpus.words[: corpus.vocabulary_size(min_count=_MIN_COUNT) or corpus.vocabulary_size()]
    counted = [(word.decode("utf-8", "ignore"), int(count)) for word, count in zip(words, corpus.counts, strict=False)]
    reserved = [token.decode() for token in RESERVED]
    counted = [(word, count) for word, count in counted if word and word not in reserved]
    learned = learner.learn(counted, vocab_size, reserved, lower_thresh=2)
    pieces = dict.fromkeys(piece.encode() for piece in learned if piece not in reserved)
    return [*RESERVED, *pieces][:vocab_size]


def _learner() -> Any:
    """tensorflow-text's learner. It is one file of plain Python, loaded by itself so that TensorFlow is not needed.

    Raises:
        InputError: tensorflow-text is not installed.
    """
    package = importlib.util.find_spec("tensorflow_text")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder, "tools", "wordpiece_vocab", "wordpiece_tokenizer_learner_lib.py")
        spec = importlib.util.spec_from_file_location("wordpiece_tokenizer_learner_lib", path)
        if path.is_file() and spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise InputError(
        'a model with a vocabulary learns it with tensorflow-text; install it (pip install "eelbert-tf[text]"), or '
        "take a configuration with a hash"
    )


def encode_words(corpus: Corpus, vocabulary: dict[bytes, int]) -> tuple[np.ndarray, np.ndarray]:
    """Splits every distinct word into pieces: ids of all pieces, int32 `[n]`, and where each word ends, int64 `[V]`."""
    encoded = [encode_word(word, vocabulary) for word in corpus.words]
    ids = np.fromiter((i for word in encoded for i in word), np.int32)
    return ids, np.cumsum([len(word) for word in encoded], dtype=np.int64)


class PieceTokens(TokenSource):
    """Token ids of a WordPiece vocabulary; the encoder itself holds the table.

    Args:
        corpus: gives the words.
        config: a configuration with a vocabulary size.

    Call arguments:
        ids: int32 `[B, T]`.

    Returns:
        What `EelbertBackbone` takes: `token_ids` and `padding_mask`, both int32 `[B, T]`.

    Raises:
        InputError: the vocabulary cannot be learned.
    """

    def __init__(self, corpus: Corpus, config: EelbertConfig, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.corpus = corpus
        self.pieces = corpus_pieces(corpus, int(config.vocab_size or 0))
        self.vocabulary = self.pieces.vocabulary
        pad, _, cls, sep, mask = range(len(RESERVED))
        self.specials = Specials(cls, sep, mask, pad)
        weights = np.repeat(corpus.counts, self.pieces.lengths)
        self.counts = np.bincount(self.pieces.ids, weights, len(self.pieces.vocabulary)).astype(np.int64)
        self.pieces_per_word = weights.sum() / corpus.counts.sum()
        self.output_scale = 1.0  # a learned table has small numbers at the start
        self.built = True

    def size(self, max_size: int | None = None, min_count: int = 1) -> int:
        return min(len(self.pieces.vocabulary), max_size or len(self.pieces.vocabulary))

    def words_per_row(self, sequence_length: int) -> int:
        return max(1, int((sequence_length - 2) / (self.pieces_per_word * _ROOM)))

    def masking(self, rate: float, max_masked: int, words: int, sequence_length: int) -> Corruption:
        pieces = self.pieces
        return PieceMasking(self.specials, rate, max_masked, words, sequence_length - 2, pieces.ids, pieces.ends)

    def look_up(self, ids: Tensor, backbone: Any) -> tuple[Tensor, Tensor | None]:
        return ops.take(ops.convert_to_tensor(backbone.token_embedding.embeddings), ids, axis=0), None

    def first(self, count: int, backbone: Any) -> tuple[Tensor, Tensor | None]:
        return ops.convert_to_tensor(backbone.token_embedding.embeddings)[:count], None

    def call(self, ids: Tensor) -> dict[str, Tensor]:
        return {"token_ids": ids, "padding_mask": ops.cast(ops.not_equal(ids, self.specials.pad), "int32")}
