"""What differs between operating systems: waiting for the disk, locks, and renames that keep what is there.

Linux has all of it. Elsewhere a part is missing, and callers do without:

                      Linux    macOS    Windows
    `sync`            yes      yes      files; folders cannot be opened
    `lock`            yes      yes      no
    `exchange`        yes      no       no
    `rename_new`      yes      almost   yes
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import types
from collections.abc import Callable
from pathlib import Path

fcntl: types.ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

IS_WINDOWS = os.name == "nt"

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2
# What systems and file systems answer that cannot exchange two names.
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EXDEV)
# The same for `fsync` of a folder, and for a lock.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
_NO_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL, errno.ENOSYS)


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk.

    Raises:
        OSError: of the disk; not of a system or file system that cannot do it.
    """
    is_folder = path.is_dir()
    if is_folder and IS_WINDOWS:
        return
    descriptor = os.open(path, os.O_RDWR if IS_WINDOWS else os.O_RDONLY)  # Windows refuses to flush a reader's
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def lock(path: Path) -> int | None:
    """Locks a file or a folder against every other process that asks, in other containers too.

    Returns:
        A descriptor that holds the lock until it is closed or this process ends; `None` where there are no locks.

    Raises:
        BlockingIOError: it is locked already.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCK:
            return None
        raise
    return descriptor


def is_open_at(descriptor: int, path: Path) -> bool:
    """Whether a path still names what a descriptor has open.

    Raises:
        OSError: the system does not say.
    """
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def exchange(one: Path, other: Path) -> bool:
    """Exchanges the names of two files or folders in one step, so that neither name is ever missing.

    Returns:
        Whether the system can; if not, nothing has changed.

    Raises:
        OSError: it can, and refuses: one of them is missing, for example.
    """
    return _rename(one, other, _EXCHANGE)


def rename_new(path: Path, target: Path) -> None:
    """Renames a file or a folder, and never replaces one.

    Raises:
        FileExistsError: something has that name.
        OSError: the system refuses otherwise.
    """
    if not _rename(path, target, _NOREPLACE):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:  # a folder that came in between
                raise
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None


def _rename(path: Path, target: Path, flag: int) -> bool:
    """Calls Linux's `renameat2`; whether there is one for this file system.

    Raises:
        OSError: there is, and it refuses.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(path), None, str(target))


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    with contextlib.suppress(OSError, AttributeError, TypeError):
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
        return call
    return None
