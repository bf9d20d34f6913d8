"""What native libraries write to the process's standard error, past Python's `sys.stderr`."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

_STDERR = 2
_NOTE = b"INFO: "  # how LiteRT's logger begins what is neither a warning nor an error

# One thread at a time moves the descriptor; a process forked meanwhile would keep the file, and the lock.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def stderr_of(action: Callable[[], object]) -> str:
    """Captures what native code writes to standard error while `action` runs."""
    with tempfile.TemporaryFile() as file:
        with _redirected(file):
            action()
        file.seek(0)
        return file.read().decode("utf-8", "replace")


@contextmanager
def without_notes() -> Iterator[None]:
    """Drops the lines `INFO: ...` of native code in the block; warnings and errors are written when it ends.

    What other threads write to standard error meanwhile is treated alike.
    """
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115, it is closed below, where there is one
    except OSError:  # no room, or nowhere to write
        yield
        return
    with file:
        try:
            with _redirected(file):
                yield
        finally:
            file.seek(0)
            kept = b"".join(line for line in file if not line.startswith(_NOTE))
            if kept:
                _write(kept)


@contextmanager
def _redirected(file: IO[bytes]) -> Iterator[None]:
    """Standard error goes to a file in the block; where it is closed nothing changes."""
    with _lock:
        try:
            terminal = os.dup(_STDERR)
        except OSError:
            yield
            return
        try:
            os.dup2(file.fileno(), _STDERR)
            yield
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)


def _write(data: bytes) -> None:
    """Writes to standard error, if that is still possible."""
    try:
        while data:
            data = data[os.write(_STDERR, data) :]
    except OSError:
        pass
