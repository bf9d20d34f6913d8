"""Other operating systems, by stand-ins for their answers: Windows itself was not at hand."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.disk import system
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import check_results
from eelbert_tf.errors import InputError
from eelbert_tf.training.pretrain.folder import lock
from tests.faults import together


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders cannot be opened, files open for reading cannot be flushed, and there are no locks and no exchange."""
    readers: set[int] = set()
    real_open, real_fsync, real_rename = os.open, os.fsync, os.rename

    def fake_open(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        descriptor = real_open(path, flags, *more, **options)
        (readers.discard if flags & (os.O_WRONLY | os.O_RDWR) else readers.add)(descriptor)
        return descriptor

    def fake_fsync(descriptor: int) -> None:
        if descriptor in readers:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_fsync(descriptor)

    def fake_rename(source: Any, target: Any) -> None:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        real_rename(source, target)

    monkeypatch.setattr(system, "IS_WINDOWS", True)
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "_renameat2", lambda: None)
    for name, fake in (("open", fake_open), ("fsync", fake_fsync), ("rename", fake_rename)):
        monkeypatch.setattr(os, name, fake)


@pytest.mark.usefixtures("windows")
def test_windows(tmp_path: Path) -> None:
    """Models and files are saved, replaced and read, beside a user's files; a run's folder needs no lock."""
    path = tmp_path / "a model"
    for number in range(3):
        together._write(path, number)
        (path / "README.md").write_text("mine")
        together._work("read", path, 1)
        with replace_file(tmp_path / "a file.txt") as temporary:
            temporary.write_text(str(number))
    assert (path / "README.md").read_text() == "mine"
    assert (tmp_path / "a file.txt").read_text() == "2"
    for _ in range(2):
        with lock(tmp_path / "run", {"a": {"b": 1}}, True):
            pass
    assert sorted(os.listdir(tmp_path)) == ["a file.txt", "a model", "run"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EACCES, errno.ESTALE, errno.EROFS])
@pytest.mark.parametrize("name", ["open", "fsync", "rename", "replace", "mkdir"])
def test_any_refusal_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Whichever call is refused, at its first time and later: it is told, and the older versions stay."""
    together._write(tmp_path / "model", 1)
    (tmp_path / "file").write_text("old")
    for allowed in range(4):
        calls: list[int] = []
        real = getattr(os, name)

        def refuse(*arguments: Any, real: Any = real, calls: list[int] = calls, n: int = allowed, **more: Any) -> Any:
            calls.append(1)
            if len(calls) > n:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **more)

        for write in (lambda: together._write(tmp_path / "model", 2), lambda: _write_file(tmp_path / "file")):
            calls.clear()
            with monkeypatch.context() as patch:
                patch.setattr(os, name, refuse)
                try:
                    write()
                except InputError as error:
                    assert "cannot write: " in str(error)
                    assert "\n" not in str(error)
        together._work("read", tmp_path / "model", 1)
        assert (tmp_path / "file").read_text() in ("old", "new")
    together._write(tmp_path / "model", 3)
    _write_file(tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "model"]


def _write_file(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(np.frombuffer(b"new", np.uint8).tobytes())


def test_results_of_others_are_not_replaced(tmp_path: Path) -> None:
    """A table or a plot of a user's that has the name of one of ours."""
    path, table = tmp_path / "results.json", tmp_path / "results.md"
    check_results(path, "suite", [table])
    table.write_text("mine")
    with pytest.raises(InputError, match=r"results.md: exists, and belongs to no results.json"):
        check_results(path, "suite", [table])
    path.write_text('{"suite": "size"}')
    check_results(path, "suite", [table])
    for text in ("text,label", '{"other": 1}', "[1]", ""):
        path.write_text(text)
        with pytest.raises(InputError, match="holds something else than results"):
            check_results(path, "suite", [table])
