"""WordPiece: BERT's own token source, for baselines and for teachers. The words are those of the hashed models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from eelbert_tf.config import PACKAGE
from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import VOCABULARY_FILE
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import StoredModel
from eelbert_tf.text import strings
from eelbert_tf.text.words import split_words

from .base import SMALLEST_SLOTS, Preprocessor

RESERVED = (b"[PAD]", b"[UNK]", b"[CLS]", b"[SEP]", b"[MASK]")
UNKNOWN = b"[UNK]"
_LONGEST = 100  # bytes; longer words are [UNK], as in BERT
_JOINER = b"##"


def encode_word(word: bytes, vocabulary: dict[bytes, int]) -> list[int]:
    """The ids of a word's pieces: the longest that fits, again and again; [UNK] where none does."""
    ids: list[int] = []
    start = 0
    while start < len(word) <= _LONGEST:
        prefix = _JOINER if start else b""
        for end in range(len(word), start, -1):
            found = vocabulary.get(prefix + word[start:end])
            if found is not None:
                ids.append(found)
                start = end
                break
        else:
            return [vocabulary[UNKNOWN]]
    return ids or [vocabulary[UNKNOWN]]


@keras.saving.register_keras_serializable(package=PACKAGE)
class WordPiece(Preprocessor):
    """Texts as pieces of words, for an `EelbertBackbone` with a vocabulary.

    Args:
        vocabulary: the pieces by id, among them BERT's reserved ones.
        max_tokens: T, token slots of one input; a longer pair loses the end of its longer side first.
        pair: whether each example is two texts.

    Attributes:
        ids: the id of each piece.

    Raises:
        ValueError: a reserved piece is missing.

    Example:

    >>> pieces = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "light", "##s"], max_tokens=16)
    >>> pieces(["Lights"])["token_ids"][0, :4].tolist()
    [2, 5, 6, 3]
    """

    input_names = ("token_ids", "segment_ids", "padding_mask")

    def __init__(self, vocabulary: Sequence[strings.Text], max_tokens: int = 128, pair: bool = False) -> None:
        super().__init__(max_tokens, pair)
        self.vocabulary = [strings.to_bytes(piece) for piece in vocabulary]
        self.ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        missing = [piece.decode() for piece in RESERVED if piece not in self.ids]
        if missing:
            raise ValueError(f"A vocabulary needs the pieces {[p.decode() for p in RESERVED]}. Missing: {missing}")

    @classmethod
    def _suits(cls, info: ModelInfo) -> bool:
        """Whether a model of this description has a vocabulary."""
        return info.config.hash is None

    @classmethod
    def _arguments(cls, stored: StoredModel) -> dict[str, Any]:
        if stored.vocabulary is None:
            path = stored.path.parent / VOCABULARY_FILE
            raise InputError(f"{path}: missing: a model with a vocabulary needs its pieces")
        return {"vocabulary": stored.vocabulary, "max_tokens": stored.info.config.max_tokens}

    def encode(self, texts: Sequence[strings.TextOrPair]) -> EncodedPieces:
        """Texts ready for batching.

        Args:
            texts: strings, byte strings, or pairs of them.
        """
        return EncodedPieces(texts, self.max_tokens, self.ids)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        pieces = [piece.decode("utf-8", "surrogateescape") for piece in self.vocabulary]
        return {"vocabulary": pieces, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WordPiece:
        """The inverse of `get_config`; pieces may be any bytes."""
        pieces = [piece.encode("utf-8", "surrogateescape") for piece in config["vocabulary"]]
        return cls(**{**config, "vocabulary": pieces})


class EncodedPieces:
    """Texts as ids of pieces; batches hold `token_ids`, `segment_ids` and `padding_mask`, all int32 `[B, T]`.

    Args:
        texts: strings, byte strings, or pairs of them.
        max_tokens: T, token slots of one input; a longer pair loses the end of its longer side first.
        vocabulary: ids of pieces.

    Attributes:
        ids: int32 arrays, the pieces of each text, special ones included.
        token_counts: int32 `[n]`, pieces of each text.
        levels: int64 `[n]`, index into `shapes` of the narrowest batch that holds the text.
        shapes: `(token slots, token slots)` of each level.
    """

    def __init__(self, texts: Sequence[strings.TextOrPair], max_tokens: int, vocabulary: dict[bytes, int]) -> None:
        pad, _, cls, sep, _ = (vocabulary[piece] for piece in RESERVED)
        known: dict[bytes, list[int]] = {}
        self._pad = pad
        self.ids: list[np.ndarray] = []
        self._segments: list[np.ndarray] = []
        for text in texts:
            sides = []
            for side in [text] if isinstance(text, str | bytes) else text:
                words = split_words(strings.to_bytes(side))
                for word in words:
                    if word not in known:
                        known[word] = encode_word(word, vocabulary)
                sides.append([piece for word in words for piece in known[word]])
            while sum(map(len, sides)) > max_tokens - 1 - len(sides):
                max(sides, key=len).pop()
            ids = [[cls, *sides[0], sep], *([*side, sep] for side in sides[1:])]
            self.ids.append(np.concatenate(ids).astype(np.int32))
            self._segments.append(np.repeat(np.arange(len(ids), dtype=np.int32), [len(side) for side in ids]))
        self.token_counts = np.array([len(row) for row in self.ids], np.int32)
        widths: list[int] = []
        while (SMALLEST_SLOTS << len(widths)) < max_tokens:
            widths.append(SMALLEST_SLOTS << len(widths))
        self.shapes = [(width, width) for width in [*widths, max_tokens]]
        self.levels = np.searchsorted([width for width, _ in self.shapes], self.token_counts).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input for some texts."""
        width, _ = self.shapes[int(self.levels[indices].max()) if len(indices) else 0]
        ids, segments = np.full((2, len(indices), width), self._pad, np.int32)
        for row, i in enumerate(indices):
            ids[row, : len(self.ids[i])] = self.ids[i]
            segments[row, : len(self.ids[i])] = self._segments[i]
        mask = np.arange(width)[None] < self.token_counts[indices][:, None]
        return {"token_ids": ids, "segment_ids": segments, "padding_mask": mask.astype(np.int32)}
