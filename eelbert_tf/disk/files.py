"""Outputs that are whole or absent: written beside their final name, then renamed over it.

Meant for POSIX file systems, where a rename within a folder is atomic.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eelbert_tf.errors import InputError

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space, or write to another disk",
    errno.EDQUOT: "the disk quota is used up; free some space, or write to another disk",
    errno.EFBIG: "the file would grow past the limit on file sizes; raise the limit, or write to another disk",
    errno.EACCES: "permission denied; choose a place you may write to",
    errno.EPERM: "operation not permitted; choose a place you may write to",
    errno.EROFS: "the file system is read-only; choose a place you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EBUSY: "it is in use, perhaps as a mount point; choose another path",
    errno.EXDEV: "it lies across two file systems; choose another path",
    errno.EIO: "the disk reported an input/output error",
}

# Temporary paths that this process is writing: others that bear its number were left by an earlier process.
_active: set[Path] = set()


def as_input_error(error: BaseException, path: str | os.PathLike[str]) -> InputError | None:
    """The user's view of an operating system's refusal to write.

    Args:
        error: an `OSError`, or an exception of a library that quotes one ("No space left on device").
        path: what was to be written.

    Returns:
        The error to raise in its place, or None where `error` is of another kind and ought to be raised as it is.
    """
    code = error.errno if isinstance(error, OSError) else None
    if code not in _CAUSES and os.strerror(errno.ENOSPC) in str(error):
        code = errno.ENOSPC  # HDF5 and TensorFlow raise errors of their own kinds
    return InputError(f"{os.fspath(path)}: cannot write: {_CAUSES[code]}") if code in _CAUSES else None


def has_config(path: Path) -> bool:
    """Whether a directory holds a `config.json`, as every directory that this project writes does."""
    return (path / "config.json").is_file()


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file as a whole or not at all.

    Args:
        path: the file to be; missing parent folders are made, a link is followed. An older file stands until the
            new one is complete and on the disk.

    Yields:
        A temporary path in the same folder with the same suffixes, to be written in the `with` block. It replaces
        `path` when the block ends, and is removed when the block raises anything, `KeyboardInterrupt` included.

    Raises:
        InputError: `path` is a folder or a device, cannot be written, or the disk is full.
    """  # noqa: DOC501, what is raised here becomes an InputError
    target = Path(os.path.realpath(path))
    with _temporary(target, path, "".join(target.suffixes)) as temporary:
        if target.is_dir():
            raise InputError(f"{os.fspath(path)}: is a folder; give the name of a file to write")
        if target.exists() and not target.is_file():
            raise InputError(f"{os.fspath(path)}: is not a regular file; give the name of a file to write")
        if not os.access(target.parent, os.W_OK | os.X_OK):  # say so now, not after an hour's work
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)


@contextmanager
def replace_directory(path: str | os.PathLike[str], is_ours: Callable[[Path], bool] = has_config) -> Iterator[Path]:
    """Writes a directory as a whole or not at all.

    An older version is renamed to `.<name>.old-<pid>`, the new one takes its name, and the older is deleted: at every
    moment one whole version has either the name or the backup's. `recover_directory` repairs an interrupt in between.

    Args:
        path: the directory to be; missing parent folders are made, a link is followed.
        is_ours: tells whether an existing directory may be replaced, with all it holds. Empty ones always may.

    Yields:
        An empty temporary directory `.<name>.tmp-<pid>` beside `path`, to be filled in the `with` block. It replaces
        `path` when the block ends, and is removed when the block raises anything, `KeyboardInterrupt` included.

    Raises:
        InputError: `path` is a file, holds something that is not ours, cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    with _temporary(target, path) as temporary:
        recover_directory(target)
        if target.exists():
            _check_replaceable(target, path, is_ours)
        _make_folder(temporary, path)
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))
        _swap(temporary, target)
        _sync(target.parent)


def check_directory(path: str | os.PathLike[str], is_ours: Callable[[Path], bool] = has_config) -> None:
    """Refuses now what `replace_directory` would refuse after an hour's work; leaves nothing behind.

    Raises:
        InputError: as `replace_directory`.
    """
    _abandon(replace_directory(path, is_ours))


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


def recover_directory(path: str | os.PathLike[str]) -> None:
    """Gives a directory its name back where a process died while replacing it. Call it before reading one of ours."""
    target = Path(os.path.realpath(path))
    backups = sorted(_left_behind(target, "old"), key=lambda backup: backup.stat().st_ctime)
    if backups and not target.exists():
        with contextlib.suppress(OSError):  # a reader may lack the right: the directory then stays missing
            os.rename(backups.pop(), target)
    for backup in backups:
        _discard(backup)


@contextmanager
def _temporary(target: Path, path: str | os.PathLike[str], suffix: str = "") -> Iterator[Path]:
    """A free temporary path beside `target`: nothing remains of it, or of parents made for it, when the block fails.

    Raises:
        InputError: `target` is the root folder, or is being written by this process already; or as `as_input_error`.
    """
    if not target.name:
        raise InputError(f"{os.fspath(path)}: is the root folder; choose another path")
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}{suffix}")
    if temporary in _active:
        raise InputError(f"{os.fspath(path)}: is being written by this process already; choose another path")
    made: list[Path] = []
    _active.add(temporary)
    try:
        made = [folder for folder in target.parents if not folder.exists()]
        _make_folder(target.parent, path)
        for stale in _left_behind(target, "tmp"):
            _remove(stale)
        _remove(temporary)
        yield temporary
    except BaseException as error:
        _remove(temporary)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        known = as_input_error(error, path) if _is_about(error, target, temporary) else None
        if known is None:
            raise
        raise known from error
    finally:
        _active.discard(temporary)


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
        _remove(path)
        raise as_input_error(error, path) or error from error


def _make_folder(folder: Path, path: str | os.PathLike[str]) -> None:
    """Makes a folder with its parents; `path` is what the user asked for.

    Raises:
        InputError: there cannot be one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # what /proc and its like answer
        raise InputError(f"{os.fspath(path)}: cannot write: no folder can be made there; choose another path") from None


def _is_about(error: BaseException, target: Path, temporary: Path) -> bool:
    """Whether an error can come from writing `temporary`, and not from what else the block does, such as reading."""
    if isinstance(error, InputError) or not isinstance(error, Exception):
        return False
    name = error.filename if isinstance(error, OSError) else None
    if not isinstance(name, (str, os.PathLike)):
        return True
    return Path(name) in (target, *target.parents) or temporary in (Path(name), *Path(name).parents)


def _check_replaceable(target: Path, path: str | os.PathLike[str], is_ours: Callable[[Path], bool]) -> None:
    if not target.is_dir():
        raise InputError(f"{os.fspath(path)}: is a file; give the name of a folder to write")
    names = sorted(os.listdir(target))
    if names and not is_ours(target):
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"{os.fspath(path)}: exists and holds something else ({some}); choose another folder, or empty this one"
        )


def _swap(temporary: Path, target: Path) -> None:
    """Puts `temporary` in the place of `target`; on an error in between, the older version gets its name back."""
    backup = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        if target.exists():
            os.rename(target, backup)
        os.rename(temporary, target)
    except BaseException:
        if backup.exists() and not target.exists():
            os.rename(backup, target)
        raise
    if backup.exists():
        _discard(backup)


def _discard(backup: Path) -> None:
    """Deletes a backup, under a name that nobody would restore half of it from."""
    prefix, _, pid = backup.name.rpartition(".old-")
    garbage = backup.with_name(f"{prefix}.tmp-{pid}")
    _remove(garbage)
    with contextlib.suppress(OSError):
        _remove(backup.rename(garbage))


def _left_behind(target: Path, kind: str) -> list[Path]:
    """Temporary paths (`kind` "tmp") or backups ("old") of `target` that processes no longer alive have left."""
    prefix = f".{target.name}.{kind}-"
    if not target.parent.is_dir():
        return []
    paths = [target.with_name(name) for name in os.listdir(target.parent) if name.startswith(prefix)]
    return [path for path in paths if path not in _active and _is_dead(path.name[len(prefix) :].partition(".")[0])]


def _is_dead(pid: str) -> bool:
    """Whether a number in a temporary name is of no other process that runs on this machine."""
    if not pid.isdecimal() or os.name != "posix":
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)  # signal 0 only asks whether the process is there
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remove(path: Path) -> None:
    """Deletes a file or a folder as far as that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk.

    Raises:
        OSError: of the disk; not of a file system that cannot do it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot, for folders
            raise
    finally:
        os.close(descriptor)
