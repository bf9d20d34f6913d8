"""Outputs are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eelbert_tf.disk.files import as_input_error, recover_directory, replace_directory, replace_file
from eelbert_tf.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def write_model(path: Path, text: str) -> None:
    with replace_directory(path) as folder:
        (folder / "config.json").write_text(text)
        (folder / "weights").mkdir()
        (folder / "weights" / "part").write_text(text)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_file_appears_whole(tmp_path):
    """The older file stands until the block ends; the temporary name keeps its suffixes, which Keras asks for."""
    path = tmp_path / "new" / "a.weights.h5"
    for text in ("one", "two"):
        with replace_file(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.name.endswith(".weights.h5")
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text
    assert names(path.parent) == ["a.weights.h5"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_file_of_a_failed_block_is_gone(tmp_path, error):
    path = tmp_path / "a" / "b" / "c"

    def fail(path: Path) -> None:
        with replace_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail(path)
    assert names(tmp_path) == []
    path = tmp_path / "c"
    path.write_text("old")
    with pytest.raises(error):
        fail(path)
    assert names(tmp_path) == ["c"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_directory_of_a_failed_block_is_gone(tmp_path, error):
    path = tmp_path / "parent" / "model"

    def fail() -> None:
        with replace_directory(path) as folder:
            (folder / "config.json").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []
    write_model(path, "old")
    with pytest.raises(error):
        fail()
    assert names(path.parent) == ["model"]
    assert (path / "config.json").read_text() == "old"


def test_directory_is_swapped(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    for text in ("one", "two"):
        write_model(path, text)
        assert (path / "weights" / "part").read_text() == text
        assert names(tmp_path) == ["model"]
        assert names(path) == ["config.json", "weights"]


def test_links_are_followed(tmp_path):
    write_model(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to("real")
    write_model(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "config.json").read_text() == "two"


def test_foreign_directory_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(InputError, match=r"holds something else \(holiday.jpg\); choose another folder"):
        write_model(tmp_path, "one")
    assert names(tmp_path) == ["holiday.jpg"]
    with replace_directory(tmp_path, is_ours=lambda path: True) as folder:
        (folder / "new").write_text("")
    assert names(tmp_path) == ["new"]


def test_wrong_kinds_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message, replace in (
        (tmp_path, "is a folder", replace_file),
        (Path("/dev/null"), "not a regular file", replace_file),
        (tmp_path / "file", "is a file", replace_directory),
        (tmp_path / "file" / "a", "a part of the path is a file", replace_file),
        (tmp_path / "file" / "a", "a part of the path is a file", replace_directory),
        (tmp_path / ("a" * 300), "name is too long", replace_file),
        (tmp_path / ("a" * 300), "name is too long", replace_directory),
        (Path("/"), "root folder", replace_directory),
    ):
        with pytest.raises(InputError, match=message), replace(path):
            pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_same_path_twice(tmp_path):
    with replace_file(tmp_path / "a") as temporary:
        with pytest.raises(InputError, match="by this process already"), replace_file(tmp_path / "a"):
            pass
        temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"


def test_left_overs_of_dead_processes_go(tmp_path):
    """Those of processes that live stay."""
    dead, alive = dead_pid(), os.getppid()
    for pid in (dead, alive, os.getpid()):
        (tmp_path / f".a.txt.tmp-{pid}.txt").write_text("")
        (tmp_path / f".model.tmp-{pid}").mkdir()
    (tmp_path / ".other.tmp-1").write_text("")
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("")
    write_model(tmp_path / "model", "one")
    assert names(tmp_path) == sorted(
        [".other.tmp-1", f".a.txt.tmp-{alive}.txt", f".model.tmp-{alive}", "a.txt", "model"]
    )


def test_death_between_the_two_renames(tmp_path):
    """The older version is found under the backup's name and gets its own back."""
    path = tmp_path / "model"
    write_model(path, "old")
    os.rename(path, tmp_path / f".model.old-{dead_pid()}")
    recover_directory(path)
    assert (path / "config.json").read_text() == "old"
    shutil.copytree(path, tmp_path / f".model.old-{dead_pid()}")
    write_model(path, "new")
    assert names(tmp_path) == ["model"]
    assert (path / "config.json").read_text() == "new"


def test_kill_at_every_moment(tmp_path):
    """Whenever the process dies, one whole version can be read afterwards."""
    path = tmp_path / "model"
    script = """
import os, sys
from eelbert_tf.disk import files
calls = 0
def count(function):
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(7)
        return function(*args, **kwargs)
    return wrapped
for name in ("rename", "fsync", "mkdir", "unlink", "rmdir"):
    setattr(os, name, count(getattr(os, name)))
with files.replace_directory(sys.argv[1]) as folder:
    for name in ("config.json", "weights"):
        (folder / name).write_text(sys.argv[2])
"""
    write_model(path, "0")
    write_model(path, "0")
    (path / "weights" / "part").unlink()
    (path / "weights").rmdir()
    (path / "weights").write_text("0")
    whole = "0"
    for moment in range(1, 30):
        code = subprocess.run([sys.executable, "-c", script, path, str(moment)], check=False).returncode
        recover_directory(path)
        found = (path / "config.json").read_text()
        assert found == (path / "weights").read_text()
        assert found in (whole, str(moment))
        whole = found
        if code == 0:
            break
    else:
        pytest.fail("the process never came to its end")
    assert moment > 5
    assert names(tmp_path) == ["model"]


def test_full_disk(tmp_path, monkeypatch):
    """Reported by the system in the block or at the end, or quoted by a library in an exception of its own."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def quoted(*_: object) -> None:
        raise RuntimeError("write failed: errno = 28, error message = 'No space left on device'")

    for fail in (full, quoted):
        for replace in (replace_file, replace_directory):
            with pytest.raises(InputError, match="out: cannot write: the disk is full"), replace(tmp_path / "out"):
                fail()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="disk is full"):
        write_model(tmp_path / "out", "")
    with pytest.raises(InputError, match="disk is full"), replace_file(tmp_path / "out") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == []


def test_truly_full_disk(tmp_path):
    """On a file system of 64 KiB, where one may be mounted."""
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    try:
        write_model(tmp_path / "model", "small")
        with pytest.raises(InputError, match="the disk is full"):
            write_model(tmp_path / "model", "large" * 20_000)
        with pytest.raises(InputError, match="the disk is full"), replace_file(tmp_path / "a" / "file") as temporary:
            temporary.write_bytes(bytes(100_000))
        assert names(tmp_path) == ["model"]
        assert (tmp_path / "model" / "weights" / "part").read_text() == "small"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_no_permission(tmp_path):
    """Root may write everywhere, so that the refusal is the kernel's own only for others."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.geteuid():
        for replace in (replace_file, replace_directory):
            with pytest.raises(InputError, match="permission denied"), replace(folder / "out"):
                pytest.fail("the block must not run")
    mended = as_input_error(PermissionError(errno.EACCES, "Permission denied"), folder / "out")
    assert "permission denied; choose a place you may write to" in str(mended)


def test_errors_that_are_not_about_the_output_pass(tmp_path):
    """A block that fails to read another file is not told that its output cannot be written."""
    assert as_input_error(ValueError("no"), "out") is None
    with pytest.raises(PermissionError), replace_file(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", "/another/file")
    with pytest.raises(InputError, match="row 3"), replace_file(tmp_path / "out"):
        raise InputError("data.csv, row 3: No space left on device")
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "out"):
        pass
    assert names(tmp_path) == []
