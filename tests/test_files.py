"""Outputs are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eelbert_tf.disk import files, system
from eelbert_tf.disk.files import FolderKind, recover_directory, replace_directory, replace_file
from eelbert_tf.disk.refusals import write_error
from eelbert_tf.errors import InputError

NAMES = frozenset({"config.json", "weights"})
KIND = FolderKind(lambda path: (path / "config.json").is_file(), NAMES)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def write_model(path: Path, text: str) -> None:
    with replace_directory(path, KIND) as folder:
        (folder / "config.json").write_text(text)
        (folder / "weights").mkdir()
        (folder / "weights" / "part").write_text(text)


def replace_either(path: Path) -> list[contextlib.AbstractContextManager[Path]]:
    """Both ways to write."""
    return [replace_file(path), replace_directory(path, KIND)]


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With a system that exchanges names, and with one that does not."""
    if not request.param:
        monkeypatch.setattr(system, "_renameat2", lambda: None)
    return bool(request.param)


def test_file_appears_whole(tmp_path):
    """The older file stands until the block ends; the temporary path has the same suffixes."""
    path = tmp_path / "new" / "a.weights.h5"
    for text in ("one", "two"):
        with replace_file(path) as temporary:
            assert temporary.parent.parent == path.parent
            assert temporary.name == path.name
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
        with replace_directory(path, KIND) as folder:
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


def test_directory_is_swapped(tmp_path, exchanges):
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
    with pytest.raises(RuntimeError, match="new: is not among the names"), replace_directory(tmp_path / "a", KIND) as a:
        (a / "new").write_text("")
    assert names(tmp_path) == ["holiday.jpg"]


def test_wrong_kinds_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for number, path, message in (
        (0, tmp_path, "is a folder"),
        (0, Path("/dev/null"), "not a regular file"),
        (1, tmp_path / "file", "is a file"),
        (0, tmp_path / "file" / "a", "a part of the path is a file"),
        (1, tmp_path / "file" / "a", "a part of the path is a file"),
        (0, tmp_path / ("a" * 300), "name is too long"),
        (1, tmp_path / ("a" * 300), "name is too long"),
        (1, Path("/"), "root folder"),
    ):
        with pytest.raises(InputError, match=message), replace_either(path)[number]:
            pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_same_path_twice(tmp_path, exchanges):
    """Two writers of one name at the same time: the last one stays, and neither fails."""
    for path, write in ((tmp_path / "file", replace_file), (tmp_path / "model", lambda p: replace_directory(p, KIND))):
        with write(path) as first:
            with write(path) as second:
                for text, place in (("first", first), ("second", second)):
                    (place / "config.json" if place.is_dir() else place).write_text(text)
            assert (path / "config.json" if path.is_dir() else path).read_text() == "second"
        assert (path / "config.json" if path.is_dir() else path).read_text() == "first"
    assert names(tmp_path) == ["file", "model"]


def test_left_overs_of_dead_processes_go(tmp_path):
    """Those of processes that live stay, whatever their numbers: a lock tells."""
    for number, name in enumerate(("a.txt", "model", "a.txt", "model")):
        (tmp_path / f".{name}.tmp-{number:016x}").mkdir()
    (tmp_path / f".a.txt.tmp-{0:016x}" / "a.txt").write_text("half")
    (tmp_path / f".model.tmp-{1:016x}" / "new" / "weights").mkdir(parents=True)
    (tmp_path / ".other.tmp-0000000000000000").mkdir()
    (tmp_path / ".model.tmp-1").mkdir()  # a user's
    held = [os.open(tmp_path / f".{name}.tmp-{n:016x}", os.O_RDONLY) for n, name in ((2, "a.txt"), (3, "model"))]
    for descriptor in held:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("")
    write_model(tmp_path / "model", "one")
    kept = [".other.tmp-0000000000000000", ".model.tmp-1", f".a.txt.tmp-{2:016x}", f".model.tmp-{3:016x}"]
    assert names(tmp_path) == sorted([*kept, "a.txt", "model"])
    for descriptor in held:
        os.close(descriptor)


def test_death_between_the_two_renames(tmp_path):
    """The older version is found in the workspace and gets its name back; a user's files in it are never deleted."""
    path, place = tmp_path / "model", tmp_path / f".model.tmp-{7:016x}"
    write_model(path, "old")
    (path / "README.md").write_text("mine")
    place.mkdir()
    os.rename(path, place / "old-0")
    (place / "new").mkdir()
    (place / "new" / "config.json").write_text("half")
    recover_directory(path, NAMES)
    assert (path / "config.json").read_text() == "old"
    assert (path / "README.md").read_text() == "mine"
    assert names(tmp_path) == ["model"]
    place.mkdir()
    shutil.copytree(path, place / "new")  # it died after the exchange
    (place / "new" / "README.md").write_text("an older one of the user")
    write_model(path, "new")
    assert names(tmp_path) == ["model"]
    assert (path / "config.json").read_text() == "new"
    texts = sorted(file.read_text() for file in path.glob("README.md*"))
    assert texts == ["an older one of the user", "mine"]


def test_a_reader_waits_between_the_two_renames(tmp_path, monkeypatch):
    """A process that lives is about to give the new version its name; where there are no locks, one may have died."""
    path, place = tmp_path / "model", tmp_path / f".model.tmp-{7:016x}"
    write_model(path, "old")
    place.mkdir()
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(path, place / "old-0")
    write_model(tmp_path / "other", "new")
    monkeypatch.setattr(files.time, "sleep", lambda _: os.rename(tmp_path / "other", path))
    recover_directory(path, NAMES)
    assert (path / "config.json").read_text() == "new"
    os.close(descriptor)
    shutil.rmtree(path)
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(files, "_PATIENCE", 0.0)
    recover_directory(path, NAMES)
    assert (path / "config.json").read_text() == "old"


def test_foreign_files_stay(tmp_path, exchanges):
    """Twenty beside ours: files, folders, links, hidden ones; and their permissions."""
    path = tmp_path / "model"
    write_model(path, "one")
    for number in range(16):
        (path / f"{'.' * (number % 2)}mine{number}.json").write_text(f"{number}" * 1000)
    (path / "config.json.bak").write_bytes(bytes(range(256)))
    (path / "folder").mkdir(mode=0o700)
    (path / "folder" / "config.json").write_text("a user's")
    (path / "link").symlink_to("folder")
    (path / "mine0.json").chmod(0o400)

    def foreign() -> dict[str, tuple[object, int, int]]:
        found = {}
        for file in path.rglob("*"):
            name = file.relative_to(path).as_posix()
            if name.partition("/")[0] not in NAMES:
                content = os.readlink(file) if file.is_symlink() else file.is_dir() or file.read_bytes()
                found[name] = (content, file.lstat().st_mode, file.lstat().st_mtime_ns * file.is_file())
        return found

    before = foreign()
    assert len(before) == 20
    for text in ("two", "three"):
        write_model(path, text)
        assert foreign() == before
        assert (path / "weights" / "part").read_text() == text
    with pytest.raises(KeyError), replace_directory(path, KIND):
        raise KeyError
    assert foreign() == before
    assert names(tmp_path) == ["model"]


def test_permissions_stay(tmp_path, exchanges):
    """Of the file, the folder, and the files in it."""
    file, path = tmp_path / "file", tmp_path / "model"
    with replace_file(file) as temporary:
        temporary.write_text("one")
    write_model(path, "one")
    file.chmod(0o600)
    path.chmod(0o750)
    (path / "config.json").chmod(0o640)
    with replace_file(file) as temporary:
        temporary.write_text("two")
    write_model(path, "two")
    assert [p.stat().st_mode & 0o7777 for p in (file, path, path / "config.json")] == [0o600, 0o750, 0o640]
    assert (file.read_text(), (path / "config.json").read_text()) == ("two", "two")


def test_kill_at_every_moment(tmp_path, exchanges):
    """Whenever the process dies, one whole version can be read afterwards."""
    path = tmp_path / "model"
    script = """
import os, sys
from eelbert_tf.disk import files, system
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
system.exchange = count(system.exchange)
system.rename_new = count(system.rename_new)
if sys.argv[3] == "False":
    system._renameat2 = lambda: None
kind = files.FolderKind(lambda path: True, {"config.json", "weights"})
with files.replace_directory(sys.argv[1], kind) as folder:
    for name in ("config.json", "weights"):
        (folder / name).write_text(sys.argv[2])
"""
    write_model(path, "0")
    (path / "README.md").write_text("mine")
    (path / "weights" / "part").unlink()
    (path / "weights").rmdir()
    (path / "weights").write_text("0")
    whole = "0"
    for moment in range(1, 40):
        command = [sys.executable, "-c", script, path, str(moment), str(exchanges)]
        code = subprocess.run(command, check=False).returncode
        assert any(file.read_text() == "mine" for file in tmp_path.rglob("README.md"))
        recover_directory(path, NAMES)
        assert (path / "README.md").read_text() == "mine"
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
        for block in replace_either(tmp_path / "out"):
            with pytest.raises(InputError, match="out: cannot write: the disk is full"), block:
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
        for block in replace_either(folder / "out"):
            with pytest.raises(InputError, match="permission denied"), block:
                pytest.fail("the block must not run")
    told = write_error(PermissionError(errno.EACCES, "Permission denied"), folder / "out")
    assert "permission denied; choose a place you may write to" in str(told)


def test_errors_that_are_not_about_the_output_pass(tmp_path):
    """A block that fails to read another file is not told that its output cannot be written."""
    assert write_error(ValueError("no"), "out") is None
    with pytest.raises(PermissionError), replace_file(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", "/another/file")
    with pytest.raises(InputError, match="row 3"), replace_file(tmp_path / "out"):
        raise InputError("data.csv, row 3: No space left on device")
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "out"):
        pass
    assert names(tmp_path) == []
