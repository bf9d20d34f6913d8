"""Sources of text, read as a stream: plain, gzip and xz files, folders of these, and tensorflow-datasets."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError
from eelbert_tf.text.words import clean

from .counting import BREAK

TFDS = "tfds:"

_SUFFIXES = (".txt", ".gz", ".xz")
_BLOCK_BYTES = 1 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Block:
    """A block of text from a source."""

    text: bytes  # cleaned
    read: int  # bytes that were read for it from the (compressed) file


@dataclass(frozen=True)
class Source:
    """One input.

    Args:
        name: a file, or `tfds:NAME[/CONFIG][:SPLIT]`.
        kind: how the text is divided. "documents": a blank line ends a document. "paragraphs": a blank line ends a
            paragraph, and paragraphs are joined to longer passages. "lines": each line is a document.
    """

    name: str
    kind: str = "documents"

    @property
    def segment_kind(self) -> str:
        """The kind of its segments."""
        return "marked" if self.name.startswith(TFDS) else self.kind

    @property
    def size(self) -> int:
        """Bytes on the disk; 0 if unknown."""
        return 0 if self.name.startswith(TFDS) else os.path.getsize(self.name)

    def identity(self) -> dict[str, Any]:
        """What identifies the source in a finished corpus: the file's name, size and time of change."""
        if self.name.startswith(TFDS):
            return {"name": self.name, "kind": self.kind}
        stat = os.stat(self.name)
        return {"name": Path(self.name).name, "kind": self.kind, "bytes": stat.st_size, "changed": stat.st_mtime_ns}

    def blocks(self) -> Iterator[Block]:
        """The cleaned text, in blocks of about 1 MB.

        Raises:
            InputError: the file is cut off, damaged or not text, or the data set or its package is missing.
        """
        return _dataset_blocks(self.name) if self.name.startswith(TFDS) else _file_blocks(self.name)


def find_sources(inputs: dict[str, list[str]]) -> list[Source]:
    """Turns names of files, folders and data sets into sources.

    Args:
        inputs: the names of each kind. A folder stands for all .txt, .gz and .xz files below it, sorted by name.

    Raises:
        InputError: a name does not exist, or a folder has no text files.
    """
    sources = []
    for kind, names in inputs.items():
        for name in names:
            path = Path(name)
            if name.startswith(TFDS) or path.is_file():
                sources.append(Source(name, kind))
            elif path.is_dir():
                files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in _SUFFIXES)
                if not files:
                    raise InputError(
                        f"{name}: no {', '.join(_SUFFIXES)} file in this folder; name the files one by one"
                    )
                sources += [Source(str(p), kind) for p in files]
            else:
                raise InputError(f"{name}: no such file or folder")
    if not sources:
        raise InputError("No input: name at least one file, folder or tfds:NAME")
    return sources


def _file_blocks(name: str) -> Iterator[Block]:
    try:
        with open(name, "rb") as raw:
            stream: io.BufferedIOBase = raw
            if name.endswith(".gz"):
                stream = gzip.GzipFile(fileobj=raw)
            elif name.endswith(".xz"):
                stream = lzma.LZMAFile(raw)  # noqa: SIM115 - `raw` is closed above
            position, first = 0, True
            while data := stream.read(_BLOCK_BYTES):
                if first:
                    if data.startswith(_UTF16_MARKS):
                        raise InputError(
                            f"{name}: is UTF-16 text; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"
                        )
                    data, first = data.removeprefix(_UTF8_MARK), False
                yield Block(clean(data), raw.tell() - position)
                position = raw.tell()
    except EOFError as error:
        raise InputError(f"{name}: the compressed file is cut off; fetch it again") from error
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{name}: not a whole {Path(name).suffix} file ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def _dataset_blocks(name: str) -> Iterator[Block]:
    """The texts of a tensorflow-datasets split, each of them a document.

    Raises:
        InputError: tensorflow-datasets is not installed, or fails.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"{name}: needs tensorflow-datasets; install it with: pip install 'eelbert-tf[datasets]'"
        ) from error
    dataset, _, split = name.removeprefix(TFDS).partition(":")
    try:
        builder = tfds.builder(dataset)
        builder.download_and_prepare()
        feature = _text_feature(name, builder.info.features)
        one_by_one = tfds.ReadConfig(interleave_cycle_length=1)  # the same order on every machine
        examples = builder.as_dataset(split=split or "train", shuffle_files=False, read_config=one_by_one)
    except InputError:
        raise
    except Exception as error:  # the library raises many types, each with a message for the user
        raise InputError(f"{name}: {str(error).strip().partition(chr(10))[0][:300]}") from error
    texts: list[bytes] = []
    size = 0
    for example in tfds.as_numpy(examples):
        text = clean(example[feature])
        texts.append(text)
        size += len(text)
        if size >= _BLOCK_BYTES:
            yield Block(BREAK.join([*texts, b""]), 0)
            texts, size = [], 0
    if texts:
        yield Block(BREAK.join([*texts, b""]), 0)


def _text_feature(name: str, features: Any) -> str:
    """The name of a data set's text feature: `text`, or else its only one.

    Raises:
        InputError: there is no `text`, and no or several others.
    """
    texts = [key for key, feature in features.items() if type(feature).__name__ == "Text"]
    if "text" in texts:
        return "text"
    if len(texts) != 1:
        names = ", ".join(texts) or "none"
        raise InputError(f"{name}: expected a text feature named 'text', or a single one; found {names}")
    return texts[0]
