"""Text files, opened in one place for all readers: unpacked, checked to be UTF-8, and streamed in bounded memory.

Readers get UTF-8 without a byte order mark and without NUL bytes. Anything else is refused, with the reason and the
fix. Encodings of eight bits, such as Windows-1252, are not guessed: the bytes do not tell them apart.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from eelbert_tf.errors import InputError

from .refusals import read_error
from .unpack import BLOCK_BYTES, PACKED_SUFFIXES, UTF8_MARK, UTF16, unpacked

STDIN = "-"
# How long a named pipe may wait for the process that is to write into it.
WRITER_SECONDS = 10.0


class TextStream(io.BufferedReader):
    """Checked text as a binary file.

    Args:
        text: where it comes from.
        owned: the file that is closed with it.
    """

    def __init__(self, text: _CheckedText, owned: Any = None) -> None:
        super().__init__(text, BLOCK_BYTES)
        self._text, self._owned = text, owned

    @property
    def taken(self) -> int:
        """Bytes of the file, as it lies on the disk, that were read so far."""
        return self._text.file.taken

    def close(self) -> None:
        """Closes the file too, unless it is standard input.

        Raises:
            InputError: the system refuses.
        """
        super().close()
        try:
            if self._owned is not None:
                self._owned.close()
        except OSError as error:
            raise read_error(error, self._text.name) from None


def open_text(path: str | os.PathLike[str], expected: str = "a text file", unit: str = "line") -> TextStream:
    """Opens a file, or standard input ("-"), as checked UTF-8.

    Args:
        path: the file: plain, or packed with gzip or xz.
        expected: what the file should be, for errors.
        unit: what errors call a line.

    Returns:
        A stream to be closed, or used in a `with` block. Reading it raises `InputError` where the text stops being
        text, after everything before that place was given out.

    Raises:
        InputError: it is missing, or cannot be opened.
    """
    name = os.fspath(path)
    if name == STDIN:
        file: BinaryIO | None = getattr(sys.stdin, "buffer", None)
        if file is None or file.closed:
            raise InputError(f"{name}: standard input is closed; expected {expected}")
        return TextStream(_CheckedText(_File(file, name), name, unit))
    if "\0" in name:
        raise InputError(f"{name!r}: no file can have this name; expected {expected}")
    try:
        file = _open(name)
    except OSError as error:
        raise read_error(error, name, expected) from None
    return TextStream(_CheckedText(_File(file, name), name, unit), file)


def suffix(path: str | os.PathLike[str]) -> str:
    """The extension in lower case, that of gzip or xz left aside: ".csv" of `a.CSV.gz`."""
    plain = Path(os.fspath(path).lower())
    return Path(plain.stem).suffix if plain.suffix in PACKED_SUFFIXES else plain.suffix


def _open(name: str) -> BinaryIO:
    """Opens a file; of a named pipe into which nobody writes, says so instead of waiting for ever.

    Raises:
        InputError: nobody writes into a named pipe.
        OSError: it cannot be opened.
    """
    if os.name != "posix" or not stat.S_ISFIFO(os.stat(name).st_mode):
        return open(name, "rb")
    file = open(os.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)  # noqa: SIM115
    deadline = time.monotonic() + WRITER_SECONDS
    first = b""
    while not first:
        try:
            first = os.read(file.fileno(), 1)  # nothing where nobody writes
        except BlockingIOError:  # somebody does, and has not begun
            break
        if not first and time.monotonic() > deadline:
            file.close()
            raise InputError(f"{name}: is a pipe, and no process has written into it for {WRITER_SECONDS:g} seconds")
        if not first:
            time.sleep(0.02)
    os.set_blocking(file.fileno(), True)
    return io.BufferedReader(_Prefixed(first, file))


class _Prefixed(io.RawIOBase):
    """A raw file, with bytes that were read from it before."""

    def __init__(self, first: bytes, file: io.FileIO) -> None:
        self._first, self._file = first, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._first:
            return self._file.readinto(buffer)
        size = len(self._first)
        buffer[:size], self._first = self._first, b""
        return size

    def close(self) -> None:
        super().close()
        self._file.close()


class _File:
    """The bytes of a file as they lie on the disk."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self.taken = 0

    def read(self) -> bytes:
        """Some bytes; none at the end.

        Raises:
            InputError: the system refuses.
        """
        try:
            self._wait()
            data = self._file.read1(BLOCK_BYTES)  # type: ignore[attr-defined]
        except OSError as error:
            raise read_error(error, self._name, "a text file") from None
        self.taken += len(data)
        return data

    def _wait(self) -> None:
        """Waits for data where the other end has set standard input not to wait: "none yet" is not the end."""
        try:
            number = self._file.fileno()
        except OSError:  # a file in memory
            return
        if os.name == "posix" and not os.get_blocking(number):
            select.select([number], [], [])


class _CheckedText(io.RawIOBase):
    """UTF-8 without mark and NUL, from the bytes of a file."""

    def __init__(self, file: _File, name: str, unit: str) -> None:
        self.file = file
        self.name, self._unit = name, unit
        self._blocks = unpacked(iter(file.read, b""), name)
        self._ready = memoryview(b"")  # checked
        self._tail = b""  # the beginning of a character
        self._offset = self._lines = 0  # bytes and line ends before what is checked next
        self._wide = False  # whether there was a character beyond ASCII
        self._error: InputError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if self._error is not None:
                raise self._error
            block = self._next()
            if not self._offset and not self._tail and block.startswith(UTF8_MARK):
                self._offset, block = len(UTF8_MARK), block[len(UTF8_MARK) :] or self._next()
            if not block and not self._tail:
                return 0
            self._check(self._tail + block, end=not block)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        """Some bytes; none at the end. An error is kept: a damaged file does not end there for who reads on.

        Raises:
            InputError: the file is damaged, or the system refuses.
        """
        try:
            return next(self._blocks, b"")
        except InputError as error:
            self._error = error
            raise

    def _check(self, data: bytes, end: bool) -> None:
        """Makes the good part of some bytes ready; what is wrong with the rest is raised once that is read."""
        good = len(data)
        self._tail = b""
        reason = ""
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            good = error.start
            if error.end == len(data) and error.reason == "unexpected end of data" and not end:
                self._tail = data[good:]
            else:
                fix = "convert the file to UTF-8, for example with: iconv -f WINDOWS-1252 -t UTF-8"
                if self._wide or not data[:good].isascii():  # it is UTF-8, with damage
                    fix = "fix it, or drop what is no UTF-8 with: iconv -f UTF-8 -t UTF-8 -c"
                reason = f"not UTF-8: byte 0x{data[good]:02x} at byte offset {self._offset + good}; {fix}"
        if (nul := data.find(0, 0, good)) >= 0:
            good = nul
            reason = self._nul_reason(data, nul)
        lines = data.count(b"\n", 0, good)
        if reason:
            self._error = InputError(f"{self.name}, {self._unit} {self._lines + lines + 1}: {reason}")
        self._offset += good
        self._lines += lines
        self._wide = self._wide or not data.isascii()
        self._ready = memoryview(data)[:good]

    def _nul_reason(self, data: bytes, nul: int) -> str:
        """What is wrong with a text that has a NUL byte."""
        even, odd = data[self._offset % 2 :: 2], data[1 - self._offset % 2 :: 2]
        for zeros, others, encoding in ((odd, even, "UTF-16LE"), (even, odd, "UTF-16BE")):
            if 2 * zeros.count(0) > len(zeros) and 100 * others.count(0) <= len(others):
                return UTF16.format(encoding)
        return f"a NUL byte at byte offset {self._offset + nul}; expected text, so remove it"
