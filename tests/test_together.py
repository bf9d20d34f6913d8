"""Several processes at once on one model folder, the short form of `python -m tests.faults together`."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from eelbert_tf.disk import settled as module
from eelbert_tf.disk import system
from eelbert_tf.disk.settled import settled
from eelbert_tf.errors import InputError
from tests.faults import together


def test_many_processes(tmp_path: Path) -> None:
    """None is lost, none seems damaged, a user's file stays, and nothing temporary is left."""
    tally = together.run(tmp_path, 2, 40, random.Random(0))
    assert tally.failures == []
    assert tally.outcomes == {"whole replacements": 80, "whole readings": 80}


@pytest.mark.parametrize("exchanges", [True, False])
def test_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    """Likewise in one process, and where names cannot be exchanged."""
    if not exchanges:
        monkeypatch.setattr(system, "_renameat2", lambda: None)
    together._write(tmp_path / "model", 0)
    errors: list[BaseException] = []

    def work(role: str) -> None:
        try:
            together._work(role, tmp_path / "model", 25)
        except BaseException as error:  # noqa: BLE001  whatever it is, it must not be
            errors.append(error)

    threads = [threading.Thread(target=work, args=(role,)) for role in ("write", "read") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_damage_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the folder changed meanwhile; not for ever."""
    calls = []

    def read(changes: bool) -> None:
        calls.append(changes)
        if changes:
            (tmp_path / "file").write_text("x" * len(calls))
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        settled(tmp_path, ["file"], lambda: read(False))
    assert calls == [False]
    monkeypatch.setattr(module, "_TRIES", 5)
    with pytest.raises(InputError, match="another process replaces it all the time"):
        settled(tmp_path, ["file"], lambda: read(True))
    assert len(calls) == 6
