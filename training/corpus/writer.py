"""Builds a corpus: reads text, writes shards of word ids and the list of distinct words.

There are two passes. The first (`parts`) cuts the text into parts of 16 MB and numbers the words of each part by
itself, in several processes. The second counts the words of all parts, orders them by frequency, and writes the parts
as shards with the final word ids. It takes about 100 MB of memory for each process, and the table of distinct words,
whose size `max_words` limits.

An interrupted run can be continued. A finished part is recognized by a hash of its text, so only reading (and
decompressing) is done again. `index.json` is written last; a folder without it is no corpus. The result depends on the
text alone, not on the number of processes or on interrupts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eelbert_tf.disk.files import make_folder, only_process, replace_file
from eelbert_tf.disk.refusals import read_if_any
from eelbert_tf.disk.workspaces import is_workspace, remove
from eelbert_tf.errors import InputError
from eelbert_tf.saving.checksum import has_valid_checksum, with_checksum

from .counting import NEWLINE
from .parts import PartDone, cut_parts, read_part, read_part_words, write_parts
from .reader import FORMAT, FORMAT_VERSION, INDEX, UNKNOWN
from .sources import Source

PART_BYTES = 16 << 20
MAX_WORDS = 4_000_000

_PARTS = "parts"
_CACHE = "cache"
_WRITTEN = "written.json"  # in the folder of parts: every file of the corpus that a run has written, or soon will
_FILES = ("words.txt", "word_ends.u64", "counts.u64", "documents.u64")
_SHARD = re.compile(r"shard-\d{5,}\.u32")
_PART = re.compile(r"part-\d{5,}\.npz")
# Tables that were computed from a corpus (tokens/, distill/).
_CACHED = re.compile(r"(embeddings|lexicon|pieces|teacher)-[0-9a-f-]+\.(f32|f16|i32|npz)")


class Listener(Protocol):
    """Receives reports about the work."""

    def add(self, part: PartDone) -> None:
        """A part was written."""

    def note(self, message: str) -> None:
        """Something that the user should know."""


class _Silent:
    def add(self, part: PartDone) -> None: ...

    def note(self, message: str) -> None: ...


def build_corpus(
    sources: Sequence[Source],
    output: str | os.PathLike[str],
    workers: int | None = None,
    max_words: int = MAX_WORDS,
    part_bytes: int = PART_BYTES,
    overwrite: bool = False,
    listener: Listener | None = None,
    normalization: int = 0,
) -> dict[str, Any]:
    """Builds a corpus, or finishes an interrupted one. A finished corpus of the same inputs is not changed.

    Args:
        sources: the inputs, in order.
        output: the folder to write.
        workers: number of processes; by default the number of usable cores.
        max_words: how many distinct words to keep. All rarer words are stored as `[UNK]`.
        part_bytes: bytes of text in a shard.
        overwrite: whether to replace a corpus of other inputs in `output`.
        listener: receives reports about the work.
        normalization: that of the models to be trained, as in `HashConfig`.

    Returns:
        `documents`, `words` (punctuation marks included), `distinct_words`, `bytes` (of text, decompressed), `shards`,
        `reused_shards` (finished by an earlier run), `unknown_words` (occurrences of pruned words),
        `bytes_on_disk`, `seconds`, `cpu_seconds` (of all processes), `words_per_second` (of those that this run
        split), `workers`, `output`.

    Raises:
        InputError: the inputs have no words, one of them cannot be read, `output` holds something else, or the disk
            is full.
    """
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    folder, listener = Path(output), listener or _Silent()
    workers = usable_cores() if workers is None else workers
    if workers < 1 or max_words < 1 or part_bytes < 1:
        raise InputError(
            "`workers`, `max_words` and `part_bytes` must be positive. "
            f"Received: workers={workers}, max_words={max_words}, part_bytes={part_bytes}"
        )
    wanted = {
        "inputs": [source.identity() for source in sources],
        "max_words": max_words,
        "part_bytes": part_bytes,
        "normalization": normalization,
    }
    with _alone(folder):
        index, reused, counted = _build(folder, sources, wanted, workers, overwrite, listener)
    seconds = time.perf_counter() - began
    return {
        "documents": index["documents"],
        "words": index["words"],
        "distinct_words": index["distinct_words"],
        "bytes": index["text_bytes"],
        "shards": len(index["shards"]),
        "reused_shards": reused,
        "unknown_words": index["unknown_words"],
        "bytes_on_disk": sum(entry["bytes"] for entry in [*index["shards"], *index["files"]]),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(_cpu_seconds() - cpu_began, 2),
        "words_per_second": round(counted / seconds),
        "workers": workers,
        "output": str(folder),
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other processes from building a corpus there; empty, it does not outlive the block.

    Raises:
        InputError: it cannot be made, or another process is building a corpus there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give the name of a folder to write")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder, folder)
        with only_process(folder, f"{folder}: another process is building a corpus here; wait for it, or stop it"):
            yield
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()  # which fails where there is anything in it


def _build(
    folder: Path,
    sources: Sequence[Source],
    wanted: dict[str, Any],
    workers: int,
    overwrite: bool,
    listener: Listener,
) -> tuple[dict[str, Any], int, int]:
    """The index of the corpus, the number of shards from earlier runs, and of the words that this run split.

    Raises:
        InputError: as `build_corpus`.
    """
    index = _finished(folder, wanted, overwrite)
    reused, counted = len(index["shards"]) if index else 0, 0
    if index is None:
        parts = folder / _PARTS
        _note_written(parts, [])  # by which an unfinished corpus is known
        done = []
        for part in write_parts(cut_parts(sources, wanted["part_bytes"], wanted["normalization"]), parts, workers):
            done.append(part)
            listener.add(part)
        reused = sum(part.reused for part in done)
        counted = sum(part.words for part in done if not part.reused)
        if not sum(part.words for part in done):
            _remove_parts(parts)
            names = ", ".join(source.name for source in sources[:3]) + (", ..." if len(sources) > 3 else "")
            raise InputError(f"{names}: not one word of text; a corpus needs some")
        index = _write_shards(folder, done, wanted, listener)
    _remove_parts(folder / _PARTS)  # also if an earlier run ended just before this line
    return index, reused, counted


def _cpu_seconds() -> float:
    """Processor time of this process and of its finished child processes."""
    return sum(os.times()[:4])


def usable_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finished(folder: Path, wanted: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The index of a finished corpus of the same inputs; `None` if there is none and one can be written.

    Raises:
        InputError: the folder holds something else.
    """
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    if names and not _is_corpus(folder):
        raise InputError(f"{folder}: holds something else ({names[0]}); choose another folder, or empty this one")
    if INDEX not in names:
        return None
    written = list(filter(_is_name, names))
    content = read_if_any(folder / INDEX) or b""
    try:
        index: dict[str, Any] = json.loads(content.decode("utf-8"))
        found = {"normalization": 0, **index}  # which older ones do not name
        same = index["format_version"] == FORMAT_VERSION and all(found[key] == wanted[key] for key in wanted)
        entries = [*index["shards"], *index["files"]]
        whole = has_valid_checksum(index)
        written = [entry["file"] for entry in entries] if whole else written
        whole = whole and all((folder / e["file"]).stat().st_size == e["bytes"] for e in entries)
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        same = whole = False
    if same and whole:
        return index
    if not overwrite:
        what = "a damaged corpus" if same else "a corpus of other inputs or options"
        raise InputError(f"{folder}: holds {what}; choose another folder, or replace it with --overwrite")
    _note_written(folder / _PARTS, written)
    (folder / INDEX).unlink()  # first, since a folder without it is no corpus
    _remove_matching(folder / _CACHE, _CACHED)
    return None


def _is_corpus(folder: Path) -> bool:
    """Whether a folder holds a corpus, finished or not. There may be other files in it, and they stay."""
    if (folder / _PARTS / _WRITTEN).is_file():
        return True
    names = os.listdir(folder)
    if INDEX not in names:  # as a process leaves it that was killed in its first moments
        begun = [*names, *(os.listdir(folder / _PARTS) if (folder / _PARTS).is_dir() else ())]
        return all(name == _PARTS or is_workspace(name) or _PART.fullmatch(name) for name in begun)
    content = read_if_any(folder / INDEX) or b""
    try:
        index = json.loads(content.decode("utf-8"))
        return isinstance(index, dict) and index.get("format") == FORMAT
    except (ValueError, RecursionError):  # damaged, where nothing else is there
        return {*_FILES} <= {*names} and all(n in (INDEX, _PARTS, _CACHE) or _is_name(n) for n in names)


def _written(parts: Path) -> list[str]:
    """Names of the files that earlier runs wrote beside the folder of parts."""
    content = read_if_any(parts / _WRITTEN) or b"[]"
    try:
        names = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return []
    return [name for name in names if isinstance(name, str) and _is_name(name)] if isinstance(names, list) else []


def _note_written(parts: Path, names: Iterable[str]) -> None:
    """Notes what is to be written, before it is, so that a later run can tell it from a user's files."""
    with replace_file(parts / _WRITTEN) as temporary:
        temporary.write_text(json.dumps(sorted({*_written(parts), *names})), "utf-8")


def _is_name(name: str) -> bool:
    return name in _FILES or _SHARD.fullmatch(name) is not None


def _remove_matching(folder: Path, names: re.Pattern[str]) -> None:
    """Removes files of some names, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if names.fullmatch(name) or is_workspace(name):
                remove(folder / name)
        folder.rmdir()


def _remove_parts(parts: Path) -> None:
    """Removes the parts, and what tells of them last."""
    with contextlib.suppress(OSError):
        for name in os.listdir(parts):
            if _PART.fullmatch(name) or is_workspace(name):
                remove(parts / name)
        (parts / _WRITTEN).unlink(missing_ok=True)
        parts.rmdir()


def _write_shards(folder: Path, done: list[PartDone], wanted: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """The second pass: writes shards, words and index. Returns the index."""
    parts = folder / _PARTS
    listener.note("all text is read; numbering the words by frequency and writing the shards")
    totals = _count(parts, done, wanted["max_words"], listener)
    ordered, counts = list(totals), list(totals.values())
    ids = {word: i for i, word in enumerate(ordered)}
    words = sum(part.words for part in done)
    unknown_words = words - sum(counts)
    if unknown_words:
        listener.note(
            f"more than {len(ids):,} distinct words: {unknown_words:,} occurrences of rarer ones are stored as "
            f"{UNKNOWN.decode()}; --max-words keeps more"
        )
        ordered.append(UNKNOWN)  # text never gives this word, since each bracket is a word by itself
        counts.append(unknown_words)

    _check_free(folder, _written(parts), [*map(shard_name, range(len(done))), *_FILES])
    shards: list[dict[str, Any]] = []
    ends, document_start = [np.zeros(1, np.uint64)], 0
    for part in done:
        counted = read_part(parts, part.number)
        if not len(counted.ids):
            continue
        new_ids = np.fromiter((ids.get(word, len(ids)) for word in counted.words), np.uint32, len(counted.words))
        entry = _write(folder, shard_name(len(shards)), new_ids[counted.ids].astype("<u4"))
        shards.append({**entry, "words": len(counted.ids), "documents": len(counted.lengths)})
        ends.append((np.cumsum(counted.lengths) + document_start).astype(np.uint64))
        document_start += len(counted.ids)
    documents = np.concatenate(ends)

    blob = b"".join(word + NEWLINE for word in ordered)
    lengths = np.fromiter(map(len, ordered), np.uint64, len(ordered)) + 1
    files = [
        _write(folder, "words.txt", np.frombuffer(blob, np.uint8)),
        _write(folder, "word_ends.u64", np.cumsum(lengths).astype("<u8")),
        _write(folder, "counts.u64", np.array(counts, "<u8")),
        _write(folder, "documents.u64", documents.astype("<u8")),
    ]
    for name in {*_written(parts)} - {entry["file"] for entry in [*shards, *files]}:
        remove(folder / name)  # of an earlier corpus in this folder
    index = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **wanted,
        "words": words,
        "documents": len(documents) - 1,
        "distinct_words": len(ordered),
        "unknown_words": unknown_words,
        "text_bytes": sum(part.text_bytes for part in done),
        "shards": shards,
        "files": files,
    }
    with replace_file(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(with_checksum(index), indent=1) + "\n")
    return index


def _count(parts: Path, done: list[PartDone], max_words: int, listener: Listener) -> dict[bytes, int]:
    """How often each of the `max_words` most frequent words occurs, in the order of their ids.

    Whenever there are more than twice as many words, the rarest are dropped. The words that remain are then counted a
    second time, so that their numbers are exact.
    """
    totals: dict[bytes, int] = {}
    pruned = False
    for part in done:
        for word, count in zip(*read_part_words(parts, part.number), strict=True):
            totals[word] = totals.get(word, 0) + count
        if len(totals) > 2 * max_words:
            totals, pruned = _most_frequent(totals, max_words), True
    if pruned:
        listener.note("counting the remaining words once more")
        totals = dict.fromkeys(_most_frequent(totals, max_words), 0)
        for part in done:
            for word, count in zip(*read_part_words(parts, part.number), strict=True):
                if word in totals:
                    totals[word] += count
    return _most_frequent(totals, max_words)


def _most_frequent(totals: dict[bytes, int], number: int) -> dict[bytes, int]:
    """Some most frequent words by falling frequency, ties by their bytes."""
    kept = sorted(totals, key=lambda word: (-totals[word], word))[:number]
    return {word: totals[word] for word in kept}


def _write(folder: Path, name: str, array: np.ndarray) -> dict[str, Any]:
    """Writes an array's bytes and returns the file's entry for the index."""
    with replace_file(folder / name) as temporary:
        temporary.write_bytes(array.data)  # `tofile` does not report a full disk
    return {"file": name, "bytes": array.nbytes, "crc32": zlib.crc32(array.data)}


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:05d}.u32"


def _check_free(folder: Path, written: Sequence[str], names: Sequence[str]) -> None:
    """Notes the files that are to be written, unless one of them is there already and not ours.

    Raises:
        InputError: one is.
    """
    for name in names:
        if name not in written and (folder / name).exists():
            raise InputError(f"{folder / name}: exists, and `eelbert corpus` did not write it; choose another folder")
    _note_written(folder / _PARTS, names)
