"""Outputs that are whole or absent: written in a workspace beside their final name, then renamed over it.

At every moment, also when power fails, one whole version has the name; where a system cannot exchange two names
(`system`), a moment between two renames is repaired by `recover_directory`. What this library did not write stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from eelbert_tf.errors import InputError
from eelbert_tf.interrupts import uninterrupted

from . import system
from .refusals import about, read_error, write_error
from .settled import settled
from .workspaces import DRAFT, NEW, OLD, clear, is_workspace, left_behind, remove, workspace, workspaces

# How often a swap is tried while other processes swap the same folder, and how long a reader waits for one of them.
_TRIES = 100
_PATIENCE = 2.0  # seconds
_BEAT = 0.005


class FolderKind(NamedTuple):
    """A kind of folder that this library writes.

    Args:
        is_ours: whether an existing folder is of this kind.
        names: of all files that are written in one. A newer version replaces these; every other file stays.
    """

    is_ours: Callable[[Path], bool]
    names: Collection[str]


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file as a whole or not at all.

    Args:
        path: the file to be; missing parent folders are made, a link is followed. An older file stands until the
            new one is complete and on the disk, and leaves it its permissions.

    Yields:
        A temporary path of the same name, to be written in the `with` block. It replaces `path` when the block ends,
        and is removed when the block raises anything, `KeyboardInterrupt` included.

    Raises:
        InputError: `path` is a folder or a device, cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    with _beside(target, path), workspace(target) as place:
        if target.is_dir():
            raise InputError(f"{os.fspath(path)}: is a folder; give the name of a file to write")
        if target.exists() and not target.is_file():
            raise InputError(f"{os.fspath(path)}: is not a regular file; give the name of a file to write")
        recover_directory(target, ())
        temporary = place / target.name
        yield temporary
        _keep_permissions(target, temporary)
        system.sync(temporary)
        os.replace(temporary, target)
        system.sync(target.parent)


@contextmanager
def replace_directory(path: str | os.PathLike[str], kind: FolderKind) -> Iterator[Path]:
    """Writes a directory as a whole or not at all.

    Args:
        path: the directory to be; missing parent folders are made, a link is followed. An older version leaves it its
            permissions, and every file that is not of the kind's names.
        kind: what is written. A directory that is neither empty nor of this kind is refused.

    Yields:
        An empty temporary directory, to be filled in the `with` block. It replaces `path` when the block ends, and is
        removed when the block raises anything, `KeyboardInterrupt` included.

    Raises:
        InputError: `path` is a file, holds something that is not ours, cannot be written, or the disk is full.
        RuntimeError: the block wrote a file that the kind does not name.
    """  # noqa: DOC501, a PermissionError becomes an InputError
    target = Path(os.path.realpath(path))
    with _beside(target, path), workspace(target, kind.names) as place:
        recover_directory(target, kind.names)
        if target.exists():
            settled(target, (), lambda: _check_replaceable(target, path, kind))
        draft = place / DRAFT
        draft.mkdir()
        yield draft
        if unnamed := [name for name in os.listdir(draft) if name not in kind.names]:
            raise RuntimeError(f"{unnamed[0]}: is not among the names of this kind of folder")
        _keep_permissions(target, draft)
        for folder, _, names in os.walk(draft):
            for name in names:
                system.sync(Path(folder, name))
            system.sync(Path(folder))
        with uninterrupted():  # what is a user's is out of its folder for a moment
            os.rename(draft, place / NEW)
            system.sync(place)
            system.sync(target.parent)  # else the older version could end in a folder that power loss undoes
            _swap(place, target)
            try:
                system.sync(target.parent)  # before the older version is deleted
            except OSError:
                with contextlib.suppress(FileNotFoundError):  # there was no older version: the new one stays
                    system.exchange(place / NEW, target)
                raise
            clear(place, target, kind.names)


def check_directory(path: str | os.PathLike[str], kind: FolderKind) -> None:
    """Refuses now what `replace_directory` would refuse after an hour's work; leaves nothing behind.

    Raises:
        InputError: as `replace_directory`.
    """
    _abandon(replace_directory(path, kind))


def check_file(path: str | os.PathLike[str]) -> None:
    """Refuses now what `replace_file` would refuse after an hour's work; leaves nothing behind.

    Raises:
        InputError: as `replace_file`.
    """
    _abandon(replace_file(path))


def _abandon(block: contextlib.AbstractContextManager[Path]) -> None:
    """Enters a block and leaves it before anything is replaced."""  # noqa: DOC501, what is raised here is caught here

    class StopError(Exception):
        """Ends the block."""

    with contextlib.suppress(StopError), block:
        raise StopError


def recover_directory(path: str | os.PathLike[str], names: Container[str]) -> None:
    """Repairs what processes that died have left of replacing a file or a directory.

    A directory that has lost its name gets it back; of other versions, a user's files are moved to it and ours deleted.
    Call it before reading one that is missing; while another process is giving it a new version, it waits for that.

    Args:
        path: the file or directory.
        names: as in `FolderKind`.
    """
    target = Path(os.path.realpath(path))
    with left_behind(target) as folders:
        _restore(target, folders)
        for folder in folders:
            clear(folder, target, names)
    deadline = time.monotonic() + _PATIENCE
    while not target.exists() and _backups(workspaces(target)):  # a process is between two renames
        if time.monotonic() > deadline:
            _restore(target, workspaces(target))  # or it has ended, and there are no locks to tell
            return
        time.sleep(_BEAT)


def _restore(target: Path, folders: list[Path]) -> None:
    """Gives a missing directory its name back."""
    for backup in _backups(folders):
        with contextlib.suppress(OSError):  # a reader may lack the right: the directory then stays missing
            if not target.exists():
                os.rename(backup, target)


def _backups(folders: list[Path]) -> list[Path]:
    """Older versions in workspaces, the newest first."""
    return sorted((old for folder in folders for old in folder.glob(f"{OLD}*")), key=_changed, reverse=True)


def _changed(path: Path) -> float:
    """When a name was last changed, in seconds since the epoch; 0 where there is none any more."""
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0


@contextmanager
def _beside(target: Path, path: str | os.PathLike[str]) -> Iterator[None]:
    """Makes the folder of `target`; removes it again, and says what the system refused, when the block fails.

    Raises:
        InputError: `target` is the root folder; or as `write_error`.
    """
    if not target.name:
        raise InputError(f"{os.fspath(path)}: is the root folder; choose another path")
    made: list[Path] = []
    try:
        made = [folder for folder in target.parents if not folder.exists()]
        make_folder(target.parent, path)
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        if not _is_about(error, target):
            raise
        known = write_error(error, path)
        if known is None:
            with about(path):
                raise
        raise known from error


@contextmanager
def only_process(path: Path, message: str) -> Iterator[None]:
    """Holds a lock on a file or folder in the `with` block, where the system has locks.

    Args:
        path: the file or folder; it exists.
        message: of the error.

    Raises:
        InputError: another process holds it.
    """  # noqa: DOC501, `read_error` makes an InputError
    try:
        descriptor = system.lock(path)
    except BlockingIOError:
        raise InputError(message) from None
    except OSError as error:
        raise read_error(error, path) from None
    try:
        try:
            is_same = descriptor is None or system.is_open_at(descriptor, path)
        except OSError as error:
            raise read_error(error, path) from None
        if not is_same:
            raise InputError(message)  # it replaced the file meanwhile
        yield
    finally:
        if descriptor is not None:
            with about(path):
                os.close(descriptor)


def reserve(path: Path, size: int) -> None:
    """Makes a file of zeros whose room on the disk is taken: where that lacks, a write through a mapping is fatal.

    Args:
        path: the file.
        size: its bytes.

    Raises:
        InputError: the disk is full, or refuses otherwise.
    """
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
    except OSError as error:
        remove(path)
        raise write_error(error, path) or error from error


def make_folder(folder: Path, path: str | os.PathLike[str]) -> None:
    """Makes a folder with its parents; `path` is what the user asked for.

    Raises:
        InputError: there cannot be one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # what /proc and its like answer
        raise InputError(f"{os.fspath(path)}: cannot write: no folder can be made there; choose another path") from None


def _is_about(error: BaseException, target: Path) -> bool:
    """Whether an error can come from writing `target`, and not from what else the block does, such as reading."""
    if isinstance(error, InputError) or not isinstance(error, Exception):
        return False
    name = error.filename if isinstance(error, OSError) else None
    if not isinstance(name, (str, os.PathLike)):
        return True
    own = Path(name)
    if own in (target, *target.parents):
        return True
    return any(place == target or is_workspace(place.name, target.name) for place in (own, *own.parents))


def _check_replaceable(target: Path, path: str | os.PathLike[str], kind: FolderKind) -> None:
    """Checks that there is nothing in the way of a directory; another writer may take the old one away meanwhile.

    Raises:
        InputError: there is.
        PermissionError: it may not be changed.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise InputError(f"{os.fspath(path)}: is a file; give the name of a folder to write")
    names = sorted(os.listdir(target))
    if names and not kind.is_ours(target):
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"{os.fspath(path)}: exists and holds something else ({some}); choose another folder, or empty this one"
        )
    if not os.access(target, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _keep_permissions(old: Path, new: Path) -> None:
    """Gives what is new the permissions, and where the system allows it the owner, of what it replaces."""
    for folder, _, names in os.walk(new) if new.is_dir() else ():
        for name in names:
            _keep_permissions(old / Path(folder, name).relative_to(new), Path(folder, name))
    try:
        before, after = os.stat(old), os.stat(new)
    except OSError:
        return
    with contextlib.suppress(OSError, AttributeError):
        if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
            os.chown(new, before.st_uid, before.st_gid)
    with contextlib.suppress(OSError):
        os.chmod(new, stat.S_IMODE(before.st_mode))


def _swap(place: Path, target: Path) -> None:
    """Gives the new version the name `target`; an older one is then in the workspace `place`.

    Other processes may do the same at the same time: the last one stays, and none fails.

    Raises:
        OSError: the system refuses; the older version then has its name.
    """
    new = place / NEW
    for number in range(_TRIES):
        try:
            if system.exchange(new, target):
                return
        except FileNotFoundError:  # there is none yet
            with contextlib.suppress(FileExistsError):
                system.rename_new(new, target)
                return
            continue
        old = place / f"{OLD}{number}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, old)
            system.rename_new(new, target)
        except FileExistsError:  # another process was faster, in between
            continue
        except BaseException:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise
        return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
