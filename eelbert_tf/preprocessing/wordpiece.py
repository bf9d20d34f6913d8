"""WordPiece: BERT's own token source, for baselines and for teachers. The words are those of the hashed models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier, as_texts
from eelbert_tf.saving.folders import CONFIG_FILE, VOCABULARY_FILE, VOCABULARY_SHA256
from eelbert_tf.text import strings
from eelbert_tf.text.words import split_words

from .batches import SMALLEST_SLOTS, EncodedTexts

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


def read_vocabulary(folder: str | Path, config: EelbertConfig) -> dict[bytes, int]:
    """The pieces of a pretrained model and their ids.

    Raises:
        InputError: the folder holds none, another one than the model's, or a damaged one.
    """
    path = Path(folder, VOCABULARY_FILE)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: a model with a vocabulary needs its pieces; cannot be read: {error.strerror}"
        ) from None
    expected = json.loads(Path(folder, CONFIG_FILE).read_text("utf-8")).get(VOCABULARY_SHA256)
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:  # earlier versions wrote none
        raise InputError(f"{path}: damaged: its checksum differs from the one in {CONFIG_FILE}.")
    return number_pieces(data, config, path)


def number_pieces(data: bytes, config: EelbertConfig, path: Path) -> dict[bytes, int]:
    """The pieces in a file, one a line, and their ids, which are the lines' numbers from 0.

    Args:
        data: the file's contents.
        config: of the model whose pieces they are.
        path: for messages.

    Raises:
        InputError: there are more than the model knows, or a reserved one is missing.
    """
    pieces = {piece: i for i, piece in enumerate(data.removesuffix(b"\n").split(b"\n"))}
    missing = [piece.decode() for piece in RESERVED if piece not in pieces]
    if missing or len(pieces) > (config.vocab_size or 0):
        fault = f"without {missing[0]}" if missing else f"more than the {config.vocab_size} of the model"
        raise InputError(f"{path}: {len(pieces)} pieces, {fault}")
    return pieces


class PieceTexts(EncodedTexts):
    """`EncodedTexts` whose batches hold `token_ids`, `segment_ids` and `padding_mask`, all int32 `[B, T]`.

    Args:
        texts: strings, byte strings, or pairs of them.
        config: gives `max_tokens`; a longer pair loses the end of its longer side first.
        vocabulary: ids of pieces.
    """

    def __init__(
        self, texts: Sequence[strings.TextOrPair], config: EelbertConfig, vocabulary: dict[bytes, int]
    ) -> None:
        pad, _, cls, sep, _ = (vocabulary[piece] for piece in RESERVED)
        known: dict[bytes, list[int]] = {}
        self._pad = pad
        self.config = config
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
            while sum(map(len, sides)) > config.max_tokens - 1 - len(sides):
                max(sides, key=len).pop()
            ids = [[cls, *sides[0], sep], *([*side, sep] for side in sides[1:])]
            self.ids.append(np.concatenate(ids).astype(np.int32))
            self._segments.append(np.repeat(np.arange(len(ids), dtype=np.int32), [len(side) for side in ids]))
        self.token_counts = np.array([len(row) for row in self.ids], np.int32)
        widths: list[int] = []
        while (SMALLEST_SLOTS << len(widths)) < config.max_tokens:
            widths.append(SMALLEST_SLOTS << len(widths))
        self.shapes = [(width, width) for width in [*widths, config.max_tokens]]
        self.levels = np.searchsorted([width for width, _ in self.shapes], self.token_counts).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input for some texts."""
        width, _ = self.shapes[int(self.levels[indices].max())]
        ids, segments = np.full((2, len(indices), width), self._pad, np.int32)
        for row, i in enumerate(indices):
            ids[row, : len(self.ids[i])] = self.ids[i]
            segments[row, : len(self.ids[i])] = self._segments[i]
        mask = np.arange(width)[None] < self.token_counts[indices][:, None]
        return {"token_ids": ids, "segment_ids": segments, "padding_mask": mask.astype(np.int32)}


class BertClassifier(EelbertClassifier):
    """`EelbertClassifier` for an encoder with a vocabulary.

    Args:
        backbone: an `EelbertBackbone` with `config.vocab_size`.
        vocabulary: ids of pieces.
        kwargs: further arguments of `EelbertClassifier`.
    """

    def __init__(self, backbone: EelbertBackbone, *args: Any, vocabulary: dict[bytes, int], **kwargs: Any) -> None:
        super().__init__(backbone, *args, **kwargs)
        self.vocabulary = vocabulary

    def encode(self, texts: Any) -> EncodedTexts | None:
        found = as_texts(texts, self.backbone.pair)
        return None if found is None else PieceTexts(found, self.backbone.config, self.vocabulary)
