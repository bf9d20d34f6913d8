"""Texts from files, one by one, for commands that only read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from .tables import iter_rows
from .texts import STDIN, open_text, suffix

if TYPE_CHECKING:
    from eelbert_tf.text.strings import TextOrPair

Item = TypeVar("Item")

# What is kept of a line: more than any model reads, so that a file without line ends needs no memory.
KEPT_BYTES = 2**20


def read_texts(path: str, text_columns: list[str] | None = None) -> Iterator[TextOrPair]:
    """Texts of a file: one per line of a .txt file or of standard input ("-"), one per row of a table.

    Raises:
        InputError: the file is missing, is no text, or no such table.
    """
    if path == STDIN or suffix(path) == ".txt":
        with open_text(path) as file:
            yield from read_lines(file)
    else:
        for row in iter_rows(path, text_columns, None):
            yield row.text


def spread_texts(path: str, text_columns: list[str] | None, most: int) -> list[TextOrPair]:
    """At most so many texts of a file, spread over all of it: it may be larger than the memory.

    A file is read twice. Of a pipe, which can be read only once, between half as many and all are kept.

    Raises:
        InputError: as `read_texts`.
    """
    texts = read_texts(path, text_columns)
    if os.path.isfile(path):
        step = max(1, sum(1 for _ in texts) // most)
        return list(itertools.islice(read_texts(path, text_columns), 0, step * most, step))
    kept: list[TextOrPair] = []
    step = 1
    for number, text in enumerate(texts):
        if number % step == 0:
            if len(kept) == most:
                kept, step = kept[::2], 2 * step
            if number % step == 0:
                kept.append(text)
    return kept


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file without their ends; of a very long one, its beginning."""
    while line := file.readline(KEPT_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(KEPT_BYTES)
        yield line.rstrip(b"\r\n")


def argument_bytes(text: str) -> bytes:
    """An argument of the command line as the bytes that the shell gave."""
    return os.fsencode(text)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
