"""Sources of text, read as a stream: plain, gzip and xz files, folders of these, and tensorflow-datasets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.disk.refusals import read_error
from eelbert_tf.disk.texts import open_text
from eelbert_tf.errors import InputError
from eelbert_tf.text.words import clean

from .counting import BREAK

TFDS = "tfds:"

_SUFFIXES = (".txt", ".gz", ".xz")
_BLOCK_BYTES = 1 << 20


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
        """Bytes on the disk; 0 where that is not known.

        Raises:
            InputError: the file is gone, or may not be looked at.
        """
        return 0 if self.name.startswith(TFDS) else _stat(self.name).st_size

    def identity(self) -> dict[str, Any]:
        """What tells whether a finished corpus is of this source: the file's name, size and time of change.

        Raises:
            InputError: the file is gone, or may not be looked at.
        """
        if self.name.startswith(TFDS):
            return {"name": self.name, "kind": self.kind}
        found = _stat(self.name)
        return {"name": Path(self.name).name, "kind": self.kind, "bytes": found.st_size, "changed": found.st_mtime_ns}

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
            mode = stat.S_IFREG if name.startswith(TFDS) else _stat(name).st_mode
            if stat.S_ISREG(mode):
                sources.append(Source(name, kind))
            elif stat.S_ISDIR(mode):
                sources += [Source(str(path), kind) for path in _texts_below(name)]
            else:
                raise InputError(f"{name}: is a pipe or a device; expected a file, which can be read again on a resume")
    if not sources:
        raise InputError("No input: name at least one file, folder or tfds:NAME")
    return sources


def _stat(name: str) -> os.stat_result:
    """What the system knows of a file.

    Raises:
        InputError: there is none, or the system refuses.
    """
    try:
        return os.stat(name)
    except OSError as error:
        raise read_error(error, name, "a file or a folder") from None


def _texts_below(folder: str) -> list[Path]:
    """The text files below a folder, by name.

    Raises:
        InputError: there are none, or a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise read_error(error, error.filename or folder, "a folder")

    walk = os.walk(folder, onerror=refuse)
    files = sorted(Path(place, name) for place, _, names in walk for name in names if Path(name).suffix in _SUFFIXES)
    files = [path for path in files if stat.S_ISREG(_stat(str(path)).st_mode)]
    if not files:
        raise InputError(f"{folder}: no {', '.join(_SUFFIXES)} file in this folder; name the files one by one")
    return files


def _file_blocks(name: str) -> Iterator[Block]:
    with open_text(name) as stream:
        position = 0
        while data := stream.read(_BLOCK_BYTES):
            yield Block(clean(data), stream.taken - position)
            position = stream.taken


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
