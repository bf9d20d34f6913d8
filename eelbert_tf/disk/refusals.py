"""The system's refusals to read or write, in a user's words: the path, the cause, the fix."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eelbert_tf.errors import InputError

_WRITE = {
    errno.ENOSPC: "the disk is full; free some space, or write to another disk",
    errno.EDQUOT: "the disk quota is used up; free some space, or write to another disk",
    errno.EFBIG: "the file would grow past the limit on file sizes; raise the limit, or write to another disk",
    errno.EACCES: "permission denied; choose a place you may write to",
    errno.EPERM: "operation not permitted; choose a place you may write to",
    errno.EROFS: "the file system is read-only; choose a place you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "there is a folder of this name; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its links lead in a circle; choose another path",
    errno.EBUSY: "it is in use, perhaps as a mount point; choose another path",
    errno.EXDEV: "it lies across two file systems; choose another path",
    errno.EIO: "the disk reported an input/output error",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "the system has not enough memory for it",
}
_READ = {
    errno.ENOENT: "no such file",
    errno.EISDIR: "is a folder",
    errno.EACCES: "cannot be read: permission denied; ask its owner, or change its permissions with chmod",
    errno.EPERM: "cannot be read: operation not permitted",
    errno.EIO: "cannot be read: the disk reported an input/output error; copy the file from its origin again",
    errno.ENAMETOOLONG: "cannot be read: the name is too long",
    errno.ENOTDIR: "cannot be read: a part of the path is a file, not a folder",
    errno.ELOOP: "cannot be read: its links lead in a circle",
    errno.EBADF: "cannot be read: it is not open for reading",
    errno.ENXIO: "cannot be read: it is a socket or a device without a reader; expected a file",
    errno.EMFILE: "cannot be read: too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "cannot be read: too many files are open on this machine",
    errno.ENOMEM: "cannot be read: the system has not enough memory for it",
}
# Errors that only writing gives.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def write_error(error: BaseException, path: str | os.PathLike[str]) -> InputError | None:
    """The user's view of the system's refusal to write.

    Args:
        error: an `OSError`, or an exception of a library that quotes one ("No space left on device").
        path: what was to be written.

    Returns:
        The error to raise in its place, or `None` where `error` is of another kind and ought to be raised as it is: a
        missing file, for one, is the program's mistake.
    """
    code = error.errno if isinstance(error, OSError) else None
    if code not in _WRITE and os.strerror(errno.ENOSPC) in str(error):
        code = errno.ENOSPC  # HDF5 and TensorFlow raise errors of their own kinds
    if code is None or code == errno.ENOENT:
        return None
    return InputError(f"{os.fspath(path)}: cannot write: {_WRITE.get(code) or os.strerror(code)}")


def read_error(error: OSError, path: str | os.PathLike[str], expected: str = "") -> InputError:
    """The user's view of the system's refusal to read.

    Args:
        error: the refusal.
        path: what was to be read.
        expected: what it should be.
    """
    cause = _READ.get(error.errno or 0, f"cannot be read: {_reason(error)}")
    wanted = f"; expected {expected}" if expected and error.errno in (errno.ENOENT, errno.EISDIR) else ""
    return InputError(f"{os.fspath(path)}: {cause}{wanted}")


def read_if_any(path: Path, most: int = -1) -> bytes | None:
    """The bytes of a file; `None` where no regular file has this name, since a device may never end.

    What is there and cannot be read is neither missing nor something else, and must not be taken for either.

    Args:
        path: the file.
        most: bytes to read; -1 for all.

    Raises:
        InputError: it cannot be read.
    """  # noqa: DOC501, `read_error` makes an InputError
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:  # removed meanwhile
        return None
    except OSError as error:
        raise read_error(error, path) from None


@contextmanager
def about(path: str | os.PathLike[str]) -> Iterator[None]:
    """Names a file in refusals of calls on its descriptor, such as `close`, which do not say what they are about.

    Raises:
        OSError: as the block.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def system_error(error: BaseException, output: str) -> InputError | None:
    """The user's view of a refusal of which it is not known whether it was to read or to write.

    Args:
        error: what a command raised.
        output: what the command was to write.

    Returns:
        The error to show, or `None` where the system refused nothing.
    """
    name = error.filename if isinstance(error, OSError) else None
    named = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
    quotes = os.strerror(errno.ENOSPC) in str(error)
    if isinstance(error, OSError) and error.errno not in _OF_WRITING and not quotes:
        return InputError(f"{named}{': ' * bool(named)}the system refuses: {_reason(error)}")
    return write_error(error, named or output)


def _reason(error: OSError) -> str:
    """What the system said, or where it was Python or a library that refused, what these said."""
    return error.strerror or " ".join(map(str, error.args)) or type(error).__name__
