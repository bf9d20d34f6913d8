"""Answers one system call of a process with an error: Linux (seccomp) asks here before each call on a file.

Calls are taken where they enter the kernel, so that those of C, C++ and Rust libraries, of threads and of processes
that a command starts are among them. Those that name nothing in one folder are the machine's, not the product's:
Python's own modules, shared libraries, /proc. They are let through, and not counted.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing.connection
import os
import platform
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_PATH, _AT, _DESCRIPTOR, _TWO_PATHS, _TWO_AT = "path", "folder and path", "descriptor", "two paths", "two of each"
# Calls on files by their number on x86-64, and what their arguments name.
_CALLS = {
    0: ("read", _DESCRIPTOR),
    1: ("write", _DESCRIPTOR),
    2: ("open", _PATH),
    3: ("close", _DESCRIPTOR),
    4: ("stat", _PATH),
    5: ("fstat", _DESCRIPTOR),
    6: ("lstat", _PATH),
    8: ("lseek", _DESCRIPTOR),
    9: ("mmap", _DESCRIPTOR),
    17: ("pread", _DESCRIPTOR),
    18: ("pwrite", _DESCRIPTOR),
    19: ("readv", _DESCRIPTOR),
    20: ("writev", _DESCRIPTOR),
    21: ("access", _PATH),
    40: ("sendfile", _DESCRIPTOR),
    73: ("flock", _DESCRIPTOR),
    74: ("fsync", _DESCRIPTOR),
    75: ("fdatasync", _DESCRIPTOR),
    76: ("truncate", _PATH),
    77: ("ftruncate", _DESCRIPTOR),
    82: ("rename", _TWO_PATHS),
    83: ("mkdir", _PATH),
    84: ("rmdir", _PATH),
    87: ("unlink", _PATH),
    89: ("readlink", _PATH),
    90: ("chmod", _PATH),
    91: ("fchmod", _DESCRIPTOR),
    92: ("chown", _PATH),
    217: ("getdents", _DESCRIPTOR),
    257: ("openat", _AT),
    258: ("mkdirat", _AT),
    262: ("fstatat", _AT),
    263: ("unlinkat", _AT),
    264: ("renameat", _TWO_AT),
    267: ("readlinkat", _AT),
    268: ("fchmodat", _AT),
    269: ("faccessat", _AT),
    285: ("fallocate", _DESCRIPTOR),
    316: ("renameat2", _TWO_AT),
    326: ("copy_file_range", _DESCRIPTOR),
    332: ("statx", _AT),
    439: ("faccessat2", _AT),
}
_MMAP = 9
_PLACES: dict[str, list[tuple[int | None, int]]] = {
    _PATH: [(None, 0)],
    _AT: [(0, 1)],
    _TWO_PATHS: [(None, 0), (None, 1)],
    _TWO_AT: [(0, 1), (2, 3)],
}

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER, _NEW_LISTENER = 38, 317, 1, 8  # prctl, system call, its operation, its flag
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000  # what a filter may say
_X86_64 = 0xC000003E
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # instructions of a filter
_NUMBER, _ARCHITECTURE, _FIFTH = 0, 4, 48  # where it finds a call's number, the machine, and the fifth argument
_NO_FILE = 0xFFFFFFFF  # that of `mmap` which takes memory
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1  # ioctl, ioctl, its flag
_QUESTION = struct.Struct("=QIIiIQ6Q")  # id, process, flags; number, architecture, instruction, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_LONGEST = 4096  # bytes of a path
_PAGE = 4096


class Call(NamedTuple):
    """A system call on something in the folder.

    Args:
        name: of the call.
        paths: what it names.
    """

    name: str
    paths: tuple[str, ...]


def can_inject() -> bool:
    """Whether calls can be answered on this machine: Linux on x86-64, where a process may install such a filter."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return subprocess.run([sys.executable, __file__], capture_output=True, check=False).returncode == 0


def be_watched(address: str) -> None:
    """From here on the kernel asks `watch` before each call of this process and of all that it starts.

    Args:
        address: of the socket that `watch` listens on.

    Raises:
        OSError: the system does not allow it.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        listener = _listen()
        socket.send_fds(connection, [b"1"], [listener])
        os.close(listener)


def _listen() -> int:
    """Installs the filter; a descriptor of its questions.

    Raises:
        OSError: the system does not allow it.
    """
    program = _filter()
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener: int = libc.syscall(_SECCOMP, _FILTER, _NEW_LISTENER, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _filter() -> bytes:
    """A program of the kernel's packet filter: asks about the calls above, but for mappings without a file."""

    def load(place: int) -> bytes:
        return struct.pack("HBBI", _LOAD, 0, 0, place)

    def equal(value: int, if_so: int, if_not: int) -> bytes:  # how many instructions are skipped
        return struct.pack("HBBI", _EQUAL, if_so, if_not, value)

    allow, ask = (struct.pack("HBBI", _RETURN, 0, 0, value) for value in (_ALLOW, _ASK))
    found = [load(_ARCHITECTURE), equal(_X86_64, 1, 0), allow, load(_NUMBER)]
    found += [equal(_MMAP, 0, 4), load(_FIFTH), equal(_NO_FILE, 0, 1), allow, ask]
    for number in _CALLS:
        found += [equal(number, 0, 1), ask]
    return b"".join([*found, allow])


class Watch:
    """Looks at the calls of one process, and answers one of them with an error.

    Args:
        address: of a socket to listen on, a file that there is not yet.
        folder: calls on what lies in it are counted.
        number: of the call to answer, from 0; none without.
        code: the error, an `errno`.

    Attributes:
        calls: those that were counted.
    """

    def __init__(self, address: str, folder: Path, number: int | None = None, code: int = 0) -> None:
        self._folder, self._number, self._code = os.path.realpath(folder), number, code
        self.calls: list[Call] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(address)
        self._server.listen(1)

    def answered(self) -> Call | None:
        """The call that got the error, if it came that far."""
        return self.calls[self._number] if self._number is not None and self._number < len(self.calls) else None

    def run(self, sentinel: int) -> None:
        """Answers until the process has ended, whose `sentinel` becomes readable then."""
        with self._server:
            if self._server not in multiprocessing.connection.wait([self._server, sentinel]):
                return
            connection, _ = self._server.accept()
        with connection:
            _, (listener,), _, _ = socket.recv_fds(connection, 1, 1)
        try:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            poll.register(sentinel, select.POLLIN)
            while True:
                ready = dict(poll.poll())
                if ready.get(listener, 0) & select.POLLIN:
                    self._answer(listener)
                elif ready:
                    return
        finally:
            os.close(listener)

    def _answer(self, listener: int) -> None:
        question = bytearray(_QUESTION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, question)
        except OSError:  # it was killed meanwhile
            return
        key, process, _, number, _, _, *arguments = _QUESTION.unpack(question)
        name, kind = _CALLS[number]
        error = 0
        paths = tuple(self._named(process, number, kind, arguments))
        if any(path == self._folder or path.startswith(self._folder + "/") for path in paths):
            self.calls.append(Call(name, paths))
            error = self._code if len(self.calls) - 1 == self._number else 0
        answer = bytearray(_ANSWER.pack(key, 0, -error, 0 if error else _CONTINUE))
        try:
            fcntl.ioctl(listener, _SEND, answer)
        except OSError:  # likewise
            return

    def _named(self, process: int, number: int, kind: str, arguments: list[int]) -> list[str]:
        if kind == _DESCRIPTOR:
            return [_opened(process, arguments[4 if number == _MMAP else 0])]
        found = []
        for folder, place in _PLACES[kind]:
            path = _string(process, arguments[place])
            if not path.startswith("/"):
                where = f"/proc/{process}/cwd" if folder is None else _opened(process, arguments[folder])
                path = os.path.join(_link(where) if folder is None else where, path).rstrip("/")
            found.append(path)
        return found


def _opened(process: int, descriptor: int) -> str:
    """The path of an open file; that of the working directory for the number that stands for it."""
    descriptor &= 0xFFFFFFFF
    return _link(f"/proc/{process}/cwd" if descriptor == 0xFFFFFF9C else f"/proc/{process}/fd/{descriptor}")


def _link(path: str) -> str:
    try:
        return os.readlink(path).removesuffix(" (deleted)")
    except OSError:
        return ""


def _string(process: int, address: int) -> str:
    """A text in another process's memory."""
    if not address:
        return ""
    data = b""
    try:
        with open(f"/proc/{process}/mem", "rb", 0) as memory:
            while b"\0" not in data and len(data) < _LONGEST:
                memory.seek(address + len(data))
                data += memory.read(_PAGE - (address + len(data)) % _PAGE)
    except OSError:
        pass
    return os.fsdecode(data.partition(b"\0")[0])


if __name__ == "__main__":  # to see whether it is allowed
    _listen()
    os._exit(0)  # without any call that nobody would answer
