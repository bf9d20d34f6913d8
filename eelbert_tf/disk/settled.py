"""Reading folders that another process may be replacing at the same time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from eelbert_tf.errors import InputError

from .refusals import about

Found = TypeVar("Found")

_TRIES = 200
_PAUSE = 0.001  # seconds, more with every try


def settled(folder: Path, names: Iterable[str], read: Callable[[], Found]) -> Found:
    """What a folder holds: where reading fails because the folder was replaced meanwhile, it is read again.

    Files of two versions do not fit one another, and a checksum tells, as it tells of damage: only a folder that has
    stayed the same is damaged.

    Args:
        folder: the folder.
        names: files in it that may be replaced one by one.
        read: reads it, and raises an `InputError` or an `OSError` where it cannot.

    Raises:
        InputError: `read` failed on a folder that stayed as it was, or it changes all the time.
        OSError: likewise.
    """
    for number in range(_TRIES):
        with about(folder), _held(folder):
            before = _state(folder, names)
            try:
                return read()
            except (InputError, OSError):
                if _state(folder, names) == before:
                    raise
        time.sleep(_PAUSE * min(number, 20))
    raise InputError(f"{folder}: another process replaces it all the time; wait for its end")


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keeps a folder open, so that a newer one cannot get its number."""
    descriptor = None
    with contextlib.suppress(OSError):  # there is none, or the system opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _state(folder: Path, names: Iterable[str]) -> list[tuple[int, ...] | None]:
    """What tells one version of a folder from another."""
    found: list[tuple[int, ...] | None] = []
    for path in (folder, *(folder / name for name in names)):
        try:
            status = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return found
