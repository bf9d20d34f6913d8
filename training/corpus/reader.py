"""Reads a corpus: memory-mapped shards of word ids, the list of distinct words, and where documents end.

    corpus = Corpus("/data/corpus")
    corpus.words[:3], corpus.counts[:3]                       # [b'the', b',', b'.'], most frequent first
    sequences = corpus.sequences(sequence_length=128, seed=1)
    sequences.batch(step=0, batch_size=256)                   # int32 [256, 126], -1 where a sequence is shorter

Only NumPy is needed. The folder, all numbers little-endian:
    index.json       format version, figures, size and CRC-32 of every other file, and its own checksum; written last
    shard-00000.u32  word ids of about 16 MB of text, document after document; a document never spans two shards
    words.txt        the distinct words, one per line, in the order of their ids: by falling frequency, ties by bytes
    word_ends.u64    where each line of words.txt ends
    counts.u64       how often each word occurs
    documents.u64    position of each document's first word, and last the number of words
    cache/           tables computed from the corpus (tokens/); may be deleted
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from eelbert_tf.disk.refusals import read_error
from eelbert_tf.disk.settled import settled
from eelbert_tf.errors import InputError
from eelbert_tf.saving.checksum import has_valid_checksum

from .sequences import Sequences

FORMAT = "eelbert-corpus"
FORMAT_VERSION = 1
INDEX = "index.json"
UNKNOWN = b"[UNK]"

_FILES = {"words.txt", "word_ends.u64", "counts.u64", "documents.u64"}
_CHECK_BYTES = 1 << 24


class Words(Sequence[bytes]):
    """The distinct words by id, read from the disk when they are needed.

    Attributes:
        blob: uint8 `[bytes]`, the words with a line feed after each.
        starts: int64 `[V]`, where each word begins in `blob`.
        lengths: int64 `[V]`, bytes of each word.
    """

    def __init__(self, blob: np.ndarray, ends: np.ndarray) -> None:
        self.blob = blob
        ends = ends.astype(np.int64)
        self.starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        self.lengths = ends - self.starts - 1

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start = int(self.starts[index])
        return self.blob[start : start + int(self.lengths[index])].tobytes()


class Corpus:
    """A corpus on the disk.

    Args:
        directory: what `eelbert corpus` wrote.
        verify: whether to check every file's checksum (about 1 GB/s); sizes are always checked.

    Attributes:
        words: the distinct words, most frequent first. If rare words were pruned, the last one is `[UNK]`.
        counts: int64 `[V]`, how often each word occurs.
        num_tokens: number of words in all documents.
        num_documents: number of documents.
        documents: int64 `[num_documents + 1]`, position of each document's first word, and last `num_tokens`.
        shards: uint32 `[n]` each, ids of the words.
        fingerprint: differs between lists of words.
        normalization: what was done to the text's characters, as in `HashConfig`.

    Raises:
        InputError: the folder is no corpus, of another format version, empty, or has a missing or damaged file.
    """

    def __init__(self, directory: str | os.PathLike[str], verify: bool = True) -> None:
        self.directory = Path(directory)
        index, entries, arrays = settled(self.directory, [INDEX], lambda: _open(self.directory, verify))
        try:
            self.words = Words(arrays["words.txt"], arrays["word_ends.u64"].view("<u8"))
            self.counts = arrays["counts.u64"].view("<u8").astype(np.int64)
            self.documents = arrays["documents.u64"].view("<u8").astype(np.int64)
            self.shards = [arrays[entry["file"]].view("<u4") for entry in index["shards"]]
        except ValueError as error:  # bytes that are no whole number of numbers
            raise InputError(f"{self.directory}: a file of it is damaged: {error}; build the corpus again") from None
        self._shard_starts = np.cumsum([0, *map(len, self.shards)])
        self.num_tokens = int(self._shard_starts[-1])
        self.num_documents = len(self.documents) - 1
        self.fingerprint = f"{entries['words.txt']['crc32']:08x}{len(self.words):x}"
        self.normalization: int = index.get("normalization", 0)
        self._has_unknown = index["unknown_words"] > 0
        if not (self.num_tokens == index["words"] > 0 and self._fits(verify)):
            raise InputError(f"{self.directory / INDEX}: does not agree with its files; build the corpus again")

    def _fits(self, verify: bool) -> bool:
        """Whether the files belong together; with `verify` every word id is looked at too."""
        lengths, documents = self.words.lengths, self.documents
        return bool(
            len(self.words) == len(self.counts) > 0
            and lengths.min() >= 0
            and self.words.starts.min() == 0
            and self.words.starts[-1] + lengths[-1] + 1 == len(self.words.blob)
            and self.counts.min() >= 0
            and self.counts.sum() == self.num_tokens
            and len(documents) > 1
            and documents[0] == documents.min() == 0  # differences alone may have wrapped
            and documents[-1] == documents.max() == self.num_tokens
            and np.diff(documents).min() >= 0
            and np.isin(self._shard_starts, documents).all()  # no document spans two shards
            and (not verify or all(shard.max(initial=0) < len(self.words) for shard in self.shards))
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus, (self.directory, False)  # a copy in another process maps the same files

    def vocabulary_size(self, min_count: int = 1, max_size: int | None = None) -> int:
        """V, the number of words that occur at least `min_count` times, but at most `max_size`.

        The ids of these words are 0 to V - 1. `[UNK]` is never among them. The text keeps all its words.
        """
        counts = self.counts[:-1] if self._has_unknown else self.counts
        size = len(counts) - int(np.searchsorted(counts[::-1], min_count))
        return size if max_size is None else min(size, max_size)

    def document(self, number: int) -> np.ndarray:
        """The word ids of one document: int32 `[words]`."""
        start, end = self.documents[number], self.documents[number + 1]
        return self.take(np.array([start]), np.array([end - start]), int(end - start))[0]

    def take(self, starts: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
        """Some ranges of the text, each within one document.

        Args:
            starts: int64 `[n]`, positions of the first words.
            lengths: int64 `[n]`, words of each, `width` at most.
            width: columns of the result.

        Returns:
            int32 `[n, width]`, -1 after the end of each range.
        """
        columns = np.arange(width)
        shards = np.searchsorted(self._shard_starts, starts, side="right") - 1
        rows = np.empty((len(starts), width), np.int32)
        for shard in np.unique(shards):
            chosen = np.flatnonzero(shards == shard)
            local = (starts[chosen] - self._shard_starts[shard])[:, None] + columns  # [m, width]
            rows[chosen] = self.shards[shard].take(local, mode="clip")
        rows[columns >= lengths[:, None]] = -1
        return rows

    def sequences(self, sequence_length: int, seed: int = 0, split: str = "train") -> Sequences:
        """The text cut into shuffled sequences; see `Sequences`."""
        return Sequences(self, sequence_length, seed, split)


def _open(directory: Path, verify: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """The index, its entries by the names of their files, and the files' bytes."""
    index = _read_index(directory)
    entries = {entry["file"]: entry for entry in [*index["files"], *index["shards"]]}
    return index, entries, {name: _map(directory, entry, verify) for name, entry in entries.items()}


def _read_index(directory: Path) -> dict[str, Any]:
    path = directory / INDEX
    if not directory.is_dir():
        raise InputError(
            f"{directory}: no such folder; build a corpus with `eelbert corpus --input F --output {directory}`"
        )
    if not path.is_file():
        raise InputError(
            f"{path}: missing: {directory} is no corpus, or an unfinished one; run `eelbert corpus` to finish it"
        )
    try:
        index = json.loads(path.read_text("utf-8"))
        version = index["format_version"] if index["format"] == FORMAT else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the index of a corpus; build the corpus again") from error
    except OSError as error:
        raise read_error(error, path) from None
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: expected {FORMAT} version {FORMAT_VERSION}, found {version}; build the corpus again")
    if not has_valid_checksum(index):
        raise InputError(f"{path}: its checksum differs: damaged; build the corpus again")
    if not _is_index(index):
        raise InputError(f"{path}: incomplete or damaged; build the corpus again")
    for entry in [*index["files"], *index["shards"]]:
        if Path(entry["file"]).name != entry["file"]:
            raise InputError(f"{path}: names a file outside of its folder ({entry['file']}); build the corpus again")
    if missing := _FILES.difference(entry["file"] for entry in index["files"]):
        raise InputError(f"{path}: does not name {min(missing)}; build the corpus again")
    return dict(index)


def _is_index(index: dict[str, Any]) -> bool:
    """Whether an index has all its fields, each of its type."""
    numbers = [index.get(name) for name in ("words", "unknown_words")] + [index.get("normalization", 0)]
    lists: list[Any] = [index.get("files"), index.get("shards")]
    if not all(isinstance(found, list) and all(isinstance(entry, dict) for entry in found) for found in lists):
        return False
    entries = [entry for found in lists for entry in found]
    numbers += [entry.get(name) for entry in entries for name in ("bytes", "crc32")]
    named = all(isinstance(entry.get("file"), str) for entry in entries)
    return named and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _map(directory: Path, entry: dict[str, Any], verify: bool) -> np.ndarray:
    """Maps a file of the corpus as uint8, and checks it.

    Raises:
        InputError: it is missing or damaged.
    """  # noqa: DOC501, `read_error` makes an InputError
    path = directory / entry["file"]
    try:
        size = path.stat().st_size if path.is_file() else None
        data = np.asarray(np.memmap(path, np.uint8, "r")) if size else np.zeros(0, np.uint8)
    except OSError as error:
        raise read_error(error, path) from None
    if size is None:
        raise InputError(f"{path}: missing; build the corpus again")
    if size != entry["bytes"]:
        raise InputError(f"{path}: has {size:,} bytes where {INDEX} says {entry['bytes']:,}; build the corpus again")
    if verify and crc32(data) != entry["crc32"]:
        raise InputError(f"{path}: its checksum is not the one in {INDEX}: damaged; build the corpus again")
    return data


def crc32(data: np.ndarray) -> int:
    """The CRC-32 of uint8 `[bytes]`, which may be larger than the memory."""
    checksum = 0
    for start in range(0, len(data), _CHECK_BYTES):
        checksum = zlib.crc32(data[start : start + _CHECK_BYTES].data, checksum)
    return checksum
