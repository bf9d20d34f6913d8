"""The first pass over the text: cuts it into parts, and writes each part's numbered words to the disk."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import signal
import threading
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.refusals import read_if_any
from eelbert_tf.errors import InputError

from .counting import BREAK, MAX_WORD_LENGTH, NEWLINE, PASSAGE_WORDS, CountedText, Segment, count_words
from .sources import Source

# To be raised whenever the same text would give different parts.
_VERSION = 1


@dataclass(frozen=True)
class TextPart:
    """The text that becomes one shard."""

    number: int
    segments: list[Segment]
    text_bytes: int
    read: int  # bytes of the files, as they lie on the disk

    def digest(self) -> bytes:
        """A hash of the text, by which a part on the disk is recognized."""
        state = hashlib.blake2b(repr((_VERSION, MAX_WORD_LENGTH, PASSAGE_WORDS)).encode(), digest_size=16)
        for segment in self.segments:
            version = f" {segment.normalization}" if segment.normalization else ""
            state.update(f"{segment.kind} {len(segment.text)}{version}\n".encode())
            state.update(segment.text)
        return state.digest()


@dataclass(frozen=True)
class PartDone:
    """Figures of a part that is on the disk."""

    number: int
    words: int
    text_bytes: int
    read: int
    reused: bool  # written by an earlier run


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / f"part-{number:05d}.npz"


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz file; `None` if the file is missing or its checksums do not fit.

    Raises:
        InputError: it cannot be read.
    """
    data = read_if_any(path)  # at once: readers of zip files take what the system refuses for damage
    if data is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(io.BytesIO(data)) as arrays:
            return dict(arrays)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None


def _load(path: Path) -> Any:
    """An .npz file that was whole before.

    Raises:
        InputError: it is missing by now, or cannot be read.
    """
    data = read_if_any(path)
    if data is None:
        raise InputError(f"{path}: is missing by now; run the same command again")
    return np.load(io.BytesIO(data))


def read_part(folder: Path, number: int) -> CountedText:
    """Reads a part from the disk."""
    with _load(part_path(folder, number)) as part:
        words = part["words"].tobytes().split(NEWLINE)[:-1]
        return CountedText(part["ids"], words, part["counts"], part["lengths"])


def read_part_words(folder: Path, number: int) -> tuple[list[bytes], list[int]]:
    """The distinct words of a part and how often each occurs."""
    with _load(part_path(folder, number)) as part:
        return part["words"].tobytes().split(NEWLINE)[:-1], part["counts"].tolist()


def cut_parts(sources: Iterable[Source], part_bytes: int, normalization: int = 0) -> Iterator[TextPart]:
    """Cuts text into parts of at most `part_bytes`.

    A part ends after a document where that is possible, else after a line, else after a word. A document longer than a
    part becomes several documents. The cuts depend on the text alone. The segments are for words of that normalization.
    """
    number = text_bytes = read = 0
    segments: list[Segment] = []
    for source in sources:
        kind = source.segment_kind
        buffer = bytearray()
        for block in source.blocks():
            buffer += block.text
            read += block.read
            while len(buffer) >= (room := part_bytes - text_bytes):
                if cut := _cut(buffer, room, kind, must=not segments):
                    segments.append(Segment(kind, bytes(buffer[:cut]), normalization))
                    text_bytes += cut
                    del buffer[:cut]
                yield TextPart(number, segments, text_bytes, read)
                number, segments, text_bytes, read = number + 1, [], 0, 0
        if buffer:
            segments.append(Segment(kind, bytes(buffer), normalization))
            text_bytes += len(buffer)
    if segments:
        yield TextPart(number, segments, text_bytes, read)


def _cut(buffer: bytearray, room: int, kind: str, must: bool) -> int:
    """How many bytes of the buffer go into a part with `room` bytes left: 0 only if the part need not take any."""
    document_end = {"marked": BREAK, "lines": NEWLINE}.get(kind, NEWLINE * 2)
    for mark in (document_end, NEWLINE, b" ") if must else (document_end,):
        position = buffer.rfind(mark, 0, room)
        if position >= 0:
            return position + len(mark)
    return room if must else 0


def write_parts(parts: Iterable[TextPart], folder: Path, workers: int) -> Iterator[PartDone]:
    """Counts the words of parts in `workers` processes; parts that an earlier run finished are not counted again.

    Args:
        parts: the text.
        folder: where the parts are kept.
        workers: processes. With one, or with a single part, the work is done in this process.

    Yields:
        Each part's figures, in the order of the parts.

    Raises:
        InputError: a process died, or the disk is full.
    """
    waiting: deque[Future[PartDone]] = deque()
    executor: ProcessPoolExecutor | None = None
    held: TextPart | None = None  # the first part: processes are started only for a second one
    try:
        for part in parts:
            if workers == 1:
                yield _write_part(part, folder)
            elif held is None:
                held = part
            else:
                if executor is None:
                    executor = _start(workers)
                    waiting.append(executor.submit(_write_part, held, folder))
                waiting.append(executor.submit(_write_part, part, folder))
                if len(waiting) > workers:  # so that no more text is in memory than the workers can take
                    yield waiting.popleft().result()
        if held is not None and executor is None:
            yield _write_part(held, folder)
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            f"{folder.parent}: a worker process was killed, perhaps for lack of memory; run again with fewer "
            "--workers, finished parts are kept"
        ) from error
    finally:
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)


def _start(workers: int) -> ProcessPoolExecutor:
    # Spawned, because a fork of a process in which TensorFlow or JAX has started threads may hang.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_prepare_worker)


def _prepare_worker() -> None:
    """Leaves Ctrl-C to the parent process, and makes this process end when the parent does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _write_part(part: TextPart, folder: Path) -> PartDone:
    """Counts a part's words and writes them, unless the disk has them already."""
    path, digest = part_path(folder, part.number), part.digest()
    words = _words_of(path, digest)
    reused = words is not None
    if words is None:
        counted = count_words(part.segments)
        words = len(counted.ids)
        with replace_file(path) as temporary:
            np.savez(
                temporary,
                ids=counted.ids,
                words=np.frombuffer(b"".join(word + NEWLINE for word in counted.words), np.uint8),
                counts=counted.counts,
                lengths=counted.lengths,
                digest=np.frombuffer(digest, np.uint8),
            )
    return PartDone(part.number, words, part.text_bytes, part.read, reused)


def _words_of(path: Path, digest: bytes) -> int | None:
    """The number of words of a finished part; `None` if it is missing, damaged, or of another text."""
    part = read_arrays(path)
    if part is None or part.keys() != {"ids", "words", "counts", "lengths", "digest"}:
        return None
    return int(part["counts"].sum()) if part["digest"].tobytes() == digest else None
