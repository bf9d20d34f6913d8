"""Temporary folders beside what is to be written: each is one process's own, and none outlives it for long.

`.<name>.tmp-<random>` is locked by the process that works in it. A lock ends with its process, however that ends, and
holds across containers and, where the file system has locks, across hosts; a process number says nothing there. A
workspace without a lock was left behind, and the next writer of the same name clears it away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import system

# In a folder's workspace: what is being written; what is complete, or after an exchange what it replaced; and what was
# moved away where names cannot be exchanged.
DRAFT = "draft"
NEW = "new"
OLD = "old-"

_RANDOM_BYTES = 8
_NAME = re.compile(rf"\.(?P<name>.+)\.tmp-[0-9a-f]{{{2 * _RANDOM_BYTES}}}", re.DOTALL)
_PRIVATE = 0o700


@contextmanager
def workspace(target: Path, names: Container[str] = ()) -> Iterator[Path]:
    """A new, empty, locked folder beside `target`; cleared away at the end.

    Args:
        target: what is to be written.
        names: of files in a folder that is to be written; see `clear`.

    Raises:
        OSError: there cannot be one.
    """
    folder, descriptor = _make(target)
    try:
        yield folder
    finally:
        clear(folder, target, names)
        if descriptor is not None:
            os.close(descriptor)


def _make(target: Path) -> tuple[Path, int | None]:
    while True:
        folder = target.with_name(f".{target.name}.tmp-{secrets.token_hex(_RANDOM_BYTES)}")
        try:
            folder.mkdir(mode=_PRIVATE)
        except FileNotFoundError:
            if not target.parent.is_dir():
                raise
            # What /proc and its like answer.
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(target.parent)) from None
        try:
            descriptor = system.lock(folder)
        except (BlockingIOError, FileNotFoundError):  # another process took it for left behind before it was locked
            continue
        except OSError:
            remove(folder)
            raise
        try:
            if descriptor is None or system.is_open_at(descriptor, folder):
                return folder, descriptor
        except OSError:
            remove(folder)
            raise
        os.close(descriptor)


def is_workspace(name: str, target: str | None = None) -> bool:
    """Whether a name is that of a workspace, of `target` if one is given."""
    found = _NAME.fullmatch(name)
    return found is not None and target in (None, found["name"])


def workspaces(target: Path) -> list[Path]:
    """The workspaces of a target, of living processes and others."""
    try:
        names = os.listdir(target.parent)
    except OSError:
        return []
    return [target.with_name(name) for name in names if is_workspace(name, target.name)]


@contextmanager
def left_behind(target: Path) -> Iterator[list[Path]]:
    """The workspaces of a target whose processes have ended, locked in the `with` block."""
    with contextlib.ExitStack() as stack:
        found = []
        for folder in workspaces(target):
            with contextlib.suppress(OSError):  # of one that lives
                descriptor = system.lock(folder)
                if descriptor is not None:
                    stack.callback(os.close, descriptor)
                    found.append(folder)
        yield found


def clear(folder: Path, target: Path, names: Container[str]) -> None:
    """Deletes a workspace, but nothing that this library does not write: that goes to the target's folder.

    Args:
        folder: the workspace.
        target: the file or folder that it was made for.
        names: what this library writes in such a folder. Other names are a user's.
    """
    with contextlib.suppress(OSError):
        for version in list(folder.iterdir()):
            if version.name != DRAFT and version.is_dir() and not version.is_symlink():
                _clear_version(version, target, names)
            else:
                remove(version)
        folder.rmdir()


def _clear_version(version: Path, target: Path, names: Container[str]) -> None:
    entries = list(version.iterdir())
    for entry in entries:
        if not _is_ours(entry.name, names):
            keep(entry, target)
    for entry in entries:
        if _is_ours(entry.name, names):
            remove(entry)
    version.rmdir()  # which fails where anything is left


def _is_ours(name: str, names: Container[str]) -> bool:
    return name in names or is_workspace(name)


def keep(entry: Path, folder: Path) -> None:
    """Moves a user's file to a folder; where its name is taken, under a longer one.

    Raises:
        OSError: it cannot be moved.
    """
    try:
        system.rename_new(entry, folder / entry.name)
    except FileExistsError:
        system.rename_new(entry, folder / f"{entry.name}.old-{secrets.token_hex(_RANDOM_BYTES)}")


def remove(path: Path) -> None:
    """Deletes a file or a folder as far as that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
