"""An index: embeddings of texts as bytes, to be searched by exact products on any device (docs/embeddings.md)."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.refusals import read_error
from eelbert_tf.errors import InputError
from eelbert_tf.scores import shorten
from eelbert_tf.text.strings import Text, to_bytes

MAGIC = b"eelindex"
VERSION = 1
UNIT = 127  # what 1 is stored as

_HEADER = struct.Struct("<8s6I")  # magic, version, bytes, CRC-32, the model's CRC-32, texts, width
_CRC_AT = 16
_ROWS_AT_ONCE = 2**16


class Match(NamedTuple):
    """A text that was found."""

    id: int  # its place among the texts of the index, from 0
    score: float  # the cosine with what was searched for, within 0.02
    text: bytes
    label: bytes  # empty where the texts have none


def quantize(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings as bytes.

    Args:
        embeddings: float32 `[n, width]` of numbers from -1 to 1.

    Returns:
        int8 `[n, width]`: 127 times the numbers, rounded, halves upwards.
    """
    return np.floor(embeddings.astype(np.float64) * UNIT + 0.5).astype(np.int8)


@dataclass(frozen=True)
class Index:
    """Texts with their embeddings.

    Args:
        vectors: int8 `[n, width]`, as `quantize` gives them.
        texts: UTF-8 of each.
        labels: what belongs to each text, an answer or a class for example; empty where there is nothing.
        model_crc32: CRC-32 of the TFLite file that the embeddings come from; 0 for a model that is none.
    """

    vectors: np.ndarray
    texts: Sequence[bytes]
    labels: Sequence[bytes]
    model_crc32: int = 0

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def width(self) -> int:
        """Numbers of an embedding that are kept."""
        return self.vectors.shape[1]

    @classmethod
    def build(
        cls,
        embeddings: np.ndarray,
        texts: Sequence[Text],
        labels: Sequence[Text] | None = None,
        width: int | None = None,
        model_crc32: int = 0,
    ) -> Index:
        """An index of some texts.

        Args:
            embeddings: float32 `[n, d]`, as `EelbertRuntime.embed` gives them.
            texts: n strings or byte strings.
            labels: what belongs to each text; nothing by default.
            width: how many of the first numbers of an embedding to keep; all by default.
            model_crc32: `EelbertRuntime.crc32` of the model that gave the embeddings.

        Raises:
            ValueError: there are more or fewer texts or labels than embeddings, or these are narrower than `width`.
        """
        labels = [b""] * len(texts) if labels is None else labels
        if not len(embeddings) == len(texts) == len(labels):
            raise ValueError(
                f"Expected as many texts and labels as embeddings. Received: {len(embeddings)} embeddings, "
                f"{len(texts)} texts, {len(labels)} labels"
            )
        vectors = quantize(shorten(embeddings, width))
        return cls(vectors, list(map(to_bytes, texts)), list(map(to_bytes, labels)), model_crc32)

    def search(self, embeddings: np.ndarray, top: int = 5) -> list[list[Match]]:
        """The nearest texts.

        Args:
            embeddings: float32 `[n, d]` of the model that the index was made with; the first `width` numbers count.
            top: how many texts to find for each.

        Returns:
            For each row of `embeddings` its matches, the nearest first; of equally near ones the first of the index.

        Raises:
            ValueError: the embeddings are narrower than the index.
        """
        wanted = quantize(shorten(embeddings, self.width)).astype(np.float32)  # which has their small sums exactly
        parts = [
            self.vectors[start : start + _ROWS_AT_ONCE].astype(np.float32) @ wanted.T
            for start in range(0, len(self), _ROWS_AT_ONCE)
        ]
        products = np.concatenate(parts)  # [texts, n]
        return [
            [
                Match(int(i), float(column[i]) / UNIT**2, self.texts[i], self.labels[i])
                for i in np.argsort(-column, kind="stable")[:top]
            ]
            for column in products.T
        ]

    def to_bytes(self) -> bytes:
        """The index as a file.

        Raises:
            InputError: it is larger than 4 GB.
        """
        strings = [part for pair in zip(self.texts, self.labels, strict=True) for part in pair]
        ends = np.cumsum([0, *map(len, strings)])
        size = _HEADER.size + 4 * len(ends) + self.vectors.size + int(ends[-1])
        if size >= 2**32:
            raise InputError(f"The index would have {size:,} bytes; an index has at most 4 GB: divide the texts")
        header = _HEADER.pack(MAGIC, VERSION, size, 0, self.model_crc32, len(self), self.width)
        data = b"".join([header, ends.astype("<u4").tobytes(), self.vectors.tobytes(), *strings])
        return data[:_CRC_AT] + struct.pack("<I", zlib.crc32(data)) + data[_CRC_AT + 4 :]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the index to the disk, as a whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        data = self.to_bytes()
        with replace_file(path) as temporary:
            temporary.write_bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes, path: str | os.PathLike[str], model_crc32: int | None = None) -> Index:
        """The inverse of `to_bytes`.

        Args:
            data: the file.
            path: its name, for messages.
            model_crc32: of the model that will search it, `EelbertRuntime.crc32`; by default any may.

        Raises:
            InputError: the file is no index, of another version, damaged, or of another model.
        """
        name = os.fspath(path)
        if len(data) < _HEADER.size or not data.startswith(MAGIC):
            raise InputError(f"{name}: no index; expected a file that `eelbert index` wrote")
        _, version, size, crc32, made_with, count, width = _HEADER.unpack_from(data)
        if version != VERSION:
            raise InputError(
                f"{name}: an index of version {version}; this library reads version {VERSION}. Make it again"
            )
        if size != len(data) or crc32 != zlib.crc32(data[:_CRC_AT] + bytes(4) + data[_CRC_AT + 4 :]):
            raise InputError(f"{name}: damaged: its size or checksum differs. Copy it again, or make it again")
        if model_crc32 not in (None, made_with):
            raise InputError(
                f"{name}: was made with another model; make it again with eelbert index, or name the TFLite file that "
                "it was made with"
            )
        ends = np.frombuffer(data, "<u4", 2 * count + 1, _HEADER.size)
        place = _HEADER.size + ends.nbytes
        vectors = np.frombuffer(data, np.int8, count * width, place).reshape(count, width)
        start = place + vectors.size
        strings = [data[start + a : start + b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
        return cls(vectors, strings[::2], strings[1::2], made_with)

    @classmethod
    def read(cls, path: str | os.PathLike[str], model_crc32: int | None = None) -> Index:
        """An index from the disk.

        Args:
            path: the file.
            model_crc32: as for `from_bytes`.

        Raises:
            InputError: as `from_bytes`, or there is no such file.
        """  # noqa: DOC501, `read_error` makes an InputError
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise read_error(error, path, "one that `eelbert index` wrote") from None
        return cls.from_bytes(data, path, model_crc32)
