"""The front door: exit statuses, one JSON line, one line for each error; and which folder may import which."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eelbert_tf import __main__ as front
from eelbert_tf.disk.progress import Progress
from eelbert_tf.errors import InputError
from eelbert_tf.interrupts import uninterrupted
from tests.forms import ROOT

WRITTEN = [name for name, (module, _) in front.COMMANDS.items() if importlib.util.find_spec(module)]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], int]]:
    """Runs `eelbert fake --output out`, a command of the test's own making."""

    def run(body: Callable[[argparse.Namespace], Any]) -> int:
        module: Any = types.ModuleType("fake_command")
        module.add_arguments = lambda parser: parser.add_argument("--output")
        module.run = body
        monkeypatch.setitem(sys.modules, "fake_command", module)
        monkeypatch.setitem(front.COMMANDS, "fake", ("fake_command", "a fake"))
        return front.main(["fake", "--output", "out"])

    before = signal.getsignal(signal.SIGTERM)
    yield run
    assert signal.getsignal(signal.SIGTERM) is before


def raising(error: BaseException) -> Callable[[Any], Any]:
    """A command that fails."""

    def body(_: argparse.Namespace) -> None:
        raise error

    return body


def test_no_command_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and on stderr how it is used."""
    for arguments, message in (
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["--nonsense"], "COMMAND"),
        (["finetune"], "--train, --output"),
        (["finetune", "--train", "a", "--output", "b", "--nonsense"], "--nonsense"),
        (["finetune", "--train", "a", "--output", "b", "--epochs", "many"], "--epochs: invalid int value: 'many'"),
        (["finetune", "--train", "a", "--output", "b", "--task", "bert"], "--task: invalid choice: 'bert'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            front.main(arguments)
        captured = capsys.readouterr()
        assert stopped.value.code == 2
        assert captured.out == ""
        assert captured.err.startswith("usage: eelbert")
        assert message in captured.err.splitlines()[-1]


@pytest.mark.parametrize("name", WRITTEN)
def test_help_of_every_command(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Status 0; every option says what it does."""
    with pytest.raises(SystemExit) as stopped:
        front.main([name, "--help"])
    captured = capsys.readouterr()
    assert stopped.value.code == 0
    assert captured.err == ""
    assert captured.out.startswith(f"usage: eelbert {name}")
    parser = argparse.ArgumentParser()
    importlib.import_module(front.COMMANDS[name][0]).add_arguments(parser)
    for action in parser._actions:
        assert action.help, f"eelbert {name} {action.option_strings}: what does it do?"


def test_starting_loads_nothing_heavy() -> None:
    """`import eelbert_tf` and the help of every command import neither Keras nor TensorFlow, and so answer at once."""
    script = """
import sys
import eelbert_tf
assert "EelbertClassifier" in dir(eelbert_tf)
from eelbert_tf.__main__ import main
for name in ["", *sys.argv[1:]]:
    try:
        main([*name.split(), "--help"])
    except SystemExit as stopped:
        assert stopped.code == 0
    heavy = {"keras", "tensorflow", "jax", "torch", "sklearn", "ai_edge_litert"} & set(sys.modules)
    assert not heavy, (name, heavy)
"""
    command = [sys.executable, "-c", script, *WRITTEN]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = done.stdout.partition("usage: eelbert demo")[0].split()
    assert set(front.COMMANDS) <= set(words)


def test_public_names() -> None:
    """Each is found where the package says it is; others are no attributes."""
    import eelbert_tf

    for name in eelbert_tf.__all__:
        assert getattr(eelbert_tf, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = eelbert_tf.nonsense


def test_result_is_the_last_line(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object, on one line, in UTF-8; nothing where a command printed its own."""

    def body(args: argparse.Namespace) -> dict[str, Any]:
        sys.stdout.write("a table\n")
        return {"output": args.output, "text": "größer\n😀"}

    assert command(body) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a table"
    assert len(lines) == 2
    assert "größer" in lines[1]
    assert json.loads(lines[1]) == {"output": "out", "text": "größer\n😀"}
    assert command(lambda _: None) == 0
    assert capsys.readouterr().out == ""


def test_errors_are_one_line(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Of bad input and of the system's refusals; mistakes of the program itself are not hidden."""
    for error, line in (
        (InputError("data.csv, row 3:\n  a label\tis empty"), "eelbert fake: data.csv, row 3: a label is empty"),
        (OSError(errno.ENOSPC, "No space left on device"), "eelbert fake: out: cannot write: the disk is full"),
        (RuntimeError("HDF5: No space left on device"), "eelbert fake: out: cannot write: the disk is full"),
        (MemoryError(), "eelbert fake: not enough memory for this input"),
        (OSError(errno.EIO, "Input/output error"), "eelbert fake: the system refuses: Input/output error"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a/b"), "eelbert fake: a/b: the system refuses: Is a dir"),
        (OSError(errno.EMFILE, "Too many open files", "a"), "eelbert fake: a: the system refuses: Too many open files"),
    ):
        assert command(raising(error)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert captured.err.startswith(line)
    with pytest.raises(ZeroDivisionError):
        command(raising(ZeroDivisionError()))


def test_interrupts(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C gives 130 and SIGTERM 143, each after the command has cleaned up."""
    cleaned = []

    def killed_by(number: int) -> Callable[[Any], None]:
        def body(_: argparse.Namespace) -> None:
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                cleaned.append(number)

        return body

    assert command(killed_by(signal.SIGINT)) == 130
    assert command(killed_by(signal.SIGTERM)) == 143
    assert cleaned == [signal.SIGINT, signal.SIGTERM]
    assert capsys.readouterr().err == "eelbert fake: interrupted\n" * 2


def test_interrupts_that_something_swallows(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A library drops the exception, or makes another one of it: found at the next progress or the end."""
    reached = []

    def dropped(progress: bool) -> Callable[[Any], None]:
        def body(_: argparse.Namespace) -> None:
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            if progress:
                Progress("work", 2, "step").update()
            reached.append(progress)

        return body

    def changed(_: argparse.Namespace) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise RuntimeError("UnknownError: KeyboardInterrupt") from None

    def postponed(_: argparse.Namespace) -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            reached.append("the end of the block")
        reached.append("too far")

    assert [command(body) for body in (dropped(True), dropped(False), changed, postponed)] == [143, 143, 130, 130]
    assert reached == [False, "the end of the block"]
    assert capsys.readouterr().err == "eelbert fake: interrupted\n" * 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_stdout_that_cannot_take_the_result(
    command: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk under a redirected output is an error like any other."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert command(lambda _: {"a": 1}) == 2
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # else closing it fails as well
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("streams", "status", "said"),
    [
        ("", 2, "none: neither a directory nor a preset"),
        ("1>&-", 2, "standard output is closed"),
        ("0<&-", 2, "none: neither a directory nor a preset"),
        ("0<&- 1>&- 2>&-", 2, ""),
        ("2>&-", 2, ""),
        ("2>/dev/full", 2, ""),
    ],
)
def test_closed_and_full_streams(streams: str, status: int, said: str, tmp_path: Path) -> None:
    """One line where it can be said; nothing lands in a file that got a stream's number."""
    command = f"exec {sys.executable} -m eelbert_tf predict --model none --text a {streams}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == bool(said)
    assert said in done.stderr


def test_stdout_whose_reader_has_gone(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `eelbert predict ... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert command(lambda _: {"a": 1}) == 0


def test_stdout_of_a_narrow_encoding(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot say is escaped, as JSON may; so are file names that are not UTF-8."""
    for encoding, text in (("latin-1", "😀"), ("utf-8", os.fsdecode(b"model-\xff"))):
        with open(tmp_path / "out", "w", encoding=encoding) as file:
            monkeypatch.setattr(sys, "stdout", file)
            assert command(lambda _, text=text: {"output": text}) == 0
            monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        assert json.loads((tmp_path / "out").read_text(encoding)) == {"output": text}
