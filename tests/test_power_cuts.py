"""Power cuts: every state that a disk may be left in has one whole version of an output, and every file of a user.

The system calls of one replacement are recorded and replayed. What was not flushed (`fsync`) before the cut may be on
the disk or not: a file's content, and every change of a folder by itself, in any combination that can be.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eelbert_tf.disk import files, system
from eelbert_tf.disk.files import FolderKind, recover_directory, replace_directory, replace_file

NAMES = ("config.json", "weights")
KIND = FolderKind(lambda path: (path / "config.json").is_file(), NAMES)
Node = int  # number of a file or folder
State = tuple[dict[Node, dict[str, Node]], dict[Node, str]]  # the entries of folders, and the content of files
Change = tuple[str, tuple[Any, ...]]


class Disk:
    """Records what happens below a folder.

    Attributes:
        events: changes of folders, and flushed nodes, in their order.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.events = root, []  # type: ignore[var-annotated]
        self.entries: dict[Node, dict[str, Node]] = {0: {}}
        self.contents: dict[Node, str] = {}
        self.numbers = itertools.count(1)

    def node(self, path: Path) -> Node:
        found = 0
        for name in path.relative_to(self.root).parts:
            found = self.entries[found][name]
        return found

    def record(self, kind: str, *arguments: Any) -> None:
        self.events.append((kind, arguments))
        assert apply(self.entries, (kind, arguments)), (kind, arguments)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        number = next(self.numbers)
        self.contents[number] = text
        self.record("create", self.node(path.parent), path.name, number)

    def wrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def wrapped(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                result = function(*arguments, **options)
                if result is not False:
                    note(*(Path(one) if isinstance(one, (str, Path)) else one for one in arguments[:2]))
                return result

            return call

        def mkdir(path: Path, *_: Any) -> None:
            self.entries[number := next(self.numbers)] = {}
            self.record("create", self.node(path.parent), path.name, number)

        def remove(path: Path) -> None:
            self.record("remove", self.node(path.parent), path.name)

        def move(kind: str) -> Callable[[Path, Path], None]:
            return lambda one, other: self.record(
                kind, self.node(one.parent), one.name, self.node(other.parent), other.name
            )

        def sync(descriptor: int) -> None:
            self.events.append(("sync", (self.node(Path(os.readlink(f"/proc/self/fd/{descriptor}"))),)))

        real_mkdir = os.mkdir
        monkeypatch.setattr(os, "mkdir", wrapped(lambda path, *_: real_mkdir(path), mkdir))
        for name in ("unlink", "rmdir"):
            monkeypatch.setattr(os, name, wrapped(getattr(os, name), remove))
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, wrapped(getattr(os, name), move("move")))
        monkeypatch.setattr(os, "fsync", wrapped(os.fsync, sync))
        monkeypatch.setattr(system, "_rename", wrapped(system._rename, self.renameat(move)))

    def renameat(self, move: Callable[[str], Callable[[Path, Path], None]]) -> Callable[[Path, Path], None]:
        return lambda one, other: move("exchange" if self.exists(one) and self.exists(other) else "move")(one, other)

    def exists(self, path: Path) -> bool:
        return path.name in self.entries[self.node(path.parent)]


def apply(entries: dict[Node, dict[str, Node]], change: Change) -> bool:
    """Makes a change; whether it can be made."""
    kind, arguments = change
    if kind == "create":
        folder, name, number = arguments
        entries[folder][name] = number
    elif kind == "remove":
        folder, name = arguments
        if name not in entries[folder] or entries.get(entries[folder][name]):
            return False
        del entries[folder][name]
    else:
        one, name, other, new_name = arguments
        before = entries[other].get(new_name)
        is_blocked = before is None if kind == "exchange" else bool(entries.get(before or 0)) and before is not None
        if name not in entries[one] or is_blocked:
            return False
        node = entries[one].pop(name)
        entries[other][new_name] = node
        if kind == "exchange":
            assert before is not None
            entries[one][name] = before
    return True


def cuts(start: State, events: list[Change]) -> Iterator[State]:
    """Every state that the disk may be in after a power cut at any moment."""
    seen = set()
    for length in range(len(events) + 1):
        past = events[:length]
        synced = {node: i for i, (kind, arguments) in enumerate(past) if kind == "sync" for node in arguments}
        changes = [(i, change) for i, change in enumerate(past) if change[0] != "sync"]
        loose = [i for i, (_, a) in changes if not any(synced.get(node, -1) > i for node in (a[0], *a[2:3]))]
        for kept in itertools.product((True, False), repeat=len(loose)):
            lost = {i for i, keep in zip(loose, kept, strict=True) if not keep}
            entries = {node: dict(names) for node, names in start[0].items()}
            if all(apply(entries, change) for i, change in changes if i not in lost):
                contents = {n: text if n in synced or n < 0 else "" for n, text in start[1].items()}
                key = (repr(entries), repr(contents))
                if key not in seen:
                    seen.add(key)
                    yield entries, contents


def put(state: State, folder: Path, node: Node = 0) -> None:
    """Writes a state to a real disk."""
    folder.mkdir(parents=True)
    for name, child in state[0][node].items():
        if child in state[0]:
            put(state, folder / name, child)
        else:
            (folder / name).write_text(state[1][child])


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, first: bool) -> None:
    """The older version or the new one, and the user's file; nothing or the new one the first time."""
    root = tmp_path / "disk"
    disk = Disk(root)
    root.mkdir()
    if not first:
        (root / "model").mkdir()
        disk.entries |= {0: {"model": -1}, -1: {}}
        for number, name in enumerate((*NAMES, "README.md"), 2):
            (root / "model" / name).write_text("mine" if name == "README.md" else "old")
            disk.entries[-1][name] = -number
            disk.contents[-number] = "mine" if name == "README.md" else "old"
    start = {node: dict(names) for node, names in disk.entries.items()}
    with monkeypatch.context() as patch:
        if not exchanges:
            patch.setattr(system, "_renameat2", lambda: None)
        disk.wrap(patch)
        with replace_directory(root / "model", KIND) as folder:
            for name in NAMES:
                disk.write(folder / name, "new")
    created = {node for node in disk.entries if node not in start}
    states = list(cuts((start | {node: {} for node in created}, disk.contents), disk.events))
    assert len(states) > 20
    for number, state in enumerate(states):
        place = tmp_path / str(number)
        put(state, place)
        recover_directory(place / "model", NAMES)
        found = {name: (place / "model" / name).read_text() for name in NAMES if (place / "model").exists()}
        assert found in ([{}] if first else []) + [dict.fromkeys(NAMES, text) for text in ("old", "new")], state
        assert first or (place / "model" / "README.md").read_text() == "mine", state


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older content or the new one."""
    root = tmp_path / "disk"
    disk = Disk(root)
    root.mkdir()
    (root / "file").write_text("old")
    disk.entries[0]["file"] = -1
    disk.contents[-1] = "old"
    start = {0: {"file": -1}}
    with monkeypatch.context() as patch:
        disk.wrap(patch)
        with replace_file(root / "file") as temporary:
            disk.write(temporary, "new")
    created = {node for node in disk.entries if node not in start}
    found = set()
    for number, state in enumerate(cuts((start | {node: {} for node in created}, disk.contents), disk.events)):
        put(state, tmp_path / str(number))
        found.add((tmp_path / str(number) / "file").read_text())
    assert found == {"old", "new"}


def test_the_replay_sees_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flushing, a state with half a version is among those that may be."""
    monkeypatch.setattr(files.system, "sync", lambda _: None)
    with pytest.raises(AssertionError):
        test_a_file(tmp_path, monkeypatch)
