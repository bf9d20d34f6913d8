"""Texts from files, one by one, for commands that only read."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from eelbert_tf.errors import InputError

from .tables import iter_rows

if TYPE_CHECKING:
    from eelbert_tf.text.strings import TextOrPair

Item = TypeVar("Item")

# What is kept of a line: more than any model reads, so that a file without line ends needs no memory.
KEPT_BYTES = 2**20
STDIN = "-"


def read_texts(path: str, text_columns: list[str] | None = None) -> Iterator[TextOrPair]:
    """Texts of a file: one per line of a .txt file or of standard input ("-"), one per row of a CSV or TSV file.

    Raises:
        InputError: the file is missing, or no such table.
    """
    if path == STDIN:
        yield from read_lines(sys.stdin.buffer)
    elif Path(path).suffix.lower() == ".txt":
        try:
            with open(path, "rb") as file:
                yield from read_lines(file)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    else:
        for row in iter_rows(path, text_columns, None):
            yield row.text


def spread_texts(path: str, text_columns: list[str] | None, most: int) -> list[TextOrPair]:
    """At most so many texts of a file, spread over all of it: it is read twice, and may be larger than the memory.

    Raises:
        InputError: as `read_texts`.
    """
    if not Path(path).is_file():  # a pipe can be read only once
        return list(read_texts(path, text_columns))
    step = max(1, sum(1 for _ in read_texts(path, text_columns)) // most)
    return list(itertools.islice(read_texts(path, text_columns), 0, step * most, step))


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
