"""Whatever goes wrong with `eelbert finetune`: one clear line, status 2, and nothing half-written."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.files import recover_directory
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import MODEL_FOLDER
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.commands import finetune as command
from eelbert_tf.training.finetune.callbacks import StopIfDiverged
from tests.forms import ROOT
from tests.shared import LIGHT_TENSORFLOW

GOOD = "text,label\nturn on,on\nturn off,off\nlight up,on\nmake it dark,off\n"


@pytest.fixture(scope="module")
def models(tiny: EelbertConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny encoder, `tiny`, and one that a later version wrote, `later`."""
    folder = tmp_path_factory.mktemp("faults")
    keras.utils.set_random_seed(1)
    EelbertBackbone(tiny).save_to_preset(folder / "tiny")
    shutil.copytree(folder / "tiny", folder / "later")
    fields = json.loads((folder / "later" / "config.json").read_text())
    (folder / "later" / "config.json").write_text(json.dumps({**fields, "format_version": 99}))
    return folder


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a good file, and models to start from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "models").symlink_to(models)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def refused(place: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs `finetune`, which has to refuse, print one line and change nothing; returns the line."""
    before = snapshot(place)
    capsys.readouterr()
    defaults = {"--train": "good.csv", "--output": "out", "--preset": "models/tiny", "--epochs": "2"}
    for name, value in defaults.items():
        if name not in arguments:
            arguments = (*arguments, name, value)
    assert main(["finetune", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("eelbert ") and ": warning: " not in line]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("eelbert finetune: ")
    assert snapshot(place) == before
    return lines[0].removeprefix("eelbert finetune: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "bad.csv: no such file; expected a CSV or TSV file"),
        (b"", "bad.csv: the file is empty; expected a header line, then labelled rows"),
        (b"\n", "bad.csv: row 1 is blank; expected a header"),
        (b"text,label\n", "bad.csv: there are no rows below the header"),
        (b"turn on,on\nturn off,off\n", "bad.csv, row 1: no header with a column `text`"),
        (b"text;label\na;b\n", "bad.csv: all 1 rows have the label 'b'"),
        (b"text,class\na,b\n", "bad.csv, row 1: no column `label` in the header"),
        (b"text,label\na,b\nc,b\n", "bad.csv: all 2 rows have the label 'b'; expected two classes or more"),
        (b"text,label\na,b\nc,d,e\n", "bad.csv, row 3: 3 columns; expected 2 as in the header"),
        (b"text,label\na,b\nc\n", "bad.csv, row 3: 1 column; expected 2"),
        (b"text,label\na,b\nc,\n", "bad.csv, row 3: the label in column `label` is empty"),
        (b"text,label\na,b\nna\xefve,c\n", "bad.csv, row 3: not UTF-8: byte 0xef"),
        ("text,label\na,b\n".encode("utf-16"), "bad.csv: the file is UTF-16; save it as UTF-8"),
        (b"text,label\na,b\nc\0,d\n", "bad.csv, row 3: a NUL byte"),
        (b'text,label\na,b\n"c,d\n', "bad.csv, row 3: a double quote is never closed"),
    ],
)
def test_training_files(place: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str) -> None:
    """The line names the file, the row and what was expected."""
    if content is not None:
        (place / "bad.csv").write_bytes(content)
    assert refused(place, capsys, "--train", "bad.csv").startswith(message)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("text,label\n", (), "dev.csv: there are no rows"),
        ("text_a,text_b,label\na,b,on\n", (), "dev.csv: expected single texts, as in good.csv; found pairs of texts"),
        ("text,label\na,1\nb,high\n", ("--task", "regression"), "dev.csv, row 3: the label 'high' is not a number"),
        ("text,label\na,1\nb,nan\n", ("--task", "regression"), "dev.csv, row 3: the label 'nan' is not a number"),
    ],
)
def test_development_files(
    place: Path, capsys: pytest.CaptureFixture[str], content: str, arguments: tuple[str, ...], message: str
) -> None:
    """They must fit the training file."""
    (place / "dev.csv").write_text(content)
    if arguments:
        (place / "numbers.csv").write_text("text,label\na,1\nb,2.5\n")
        arguments = (*arguments, "--train", "numbers.csv")
    assert refused(place, capsys, "--dev", "dev.csv", *arguments).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "regression"), "good.csv, row 2: the label 'on' is not a number; expected one"),
        (("--text-columns", "body"), "good.csv, row 1: no column `body` in the header; columns found: 'text', 'label'"),
        (("--text-columns", "text", "label", "text"), "--text-columns takes one name, or two for pairs"),
        (("--label-column", "class"), "good.csv, row 1: no column `class` in the header"),
        (("--train", "."), ".: is a folder; expected a CSV or TSV file"),
        (("--epochs", "0"), "--epochs: must be positive"),
        (("--epochs", "-3"), "--epochs: must be positive"),
        (("--batch-size", "0"), "--batch-size: must be positive"),
        (("--learning-rate", "nan"), "--learning-rate: must be positive and finite, not nan"),
        (("--learning-rate", "inf"), "--learning-rate: must be positive and finite, not inf"),
        (("--learning-rate", "-1"), "--learning-rate: must be positive"),
        (("--seed", "-1"), "--seed: must lie between 0 and"),
        (("--preset", "uno_xx"), "uno_xx: neither a directory nor a preset. Presets: "),
        (("--preset", "."), ".: not a model directory: it has no config.json"),
        (("--preset", "models/later"), "models/later/config.json: written in format version 99; this library reads"),
        (("--max-tokens", "3"), "models/tiny: `max_tokens` must lie between 4 and `max_position_embeddings`"),
        (("--max-tokens", "17"), "models/tiny: `max_tokens` must lie between 4 and `max_position_embeddings`"),
        (("--max-tokens", "513", "--preset", "scratch"), "scratch: `max_tokens` must lie between 4 and"),
        (("--max-bytes", "3"), "models/tiny: `max_bytes` must be at least 4"),
        (("--max-bytes", "1000000000000"), "--max-bytes: must be at most"),
    ],
)
def test_options(place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    """Options that cannot be, of themselves or with this file."""
    assert refused(place, capsys, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("good.csv", "good.csv: is a file; give the name of a folder to write"),
        ("good.csv/model", "good.csv/model: cannot write: a part of the path is a file"),
        ("photos", "photos: exists and holds something else (holiday.jpg); choose another folder"),
        ("bert", "bert: exists and holds something else (config.json); choose another folder"),
        ("/proc/eelbert", "/proc/eelbert: cannot write"),
        ("/proc/new/eelbert", "/proc/new/eelbert: cannot write"),
        ("/", "/: is the root folder"),
        ("x" * 300, "cannot write: the name is too long"),
    ],
)
def test_outputs(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    """Places that cannot be written, or hold what is not ours, are refused before anything is read."""
    for folder, name in (("photos", "holiday.jpg"), ("bert", "config.json")):
        (place / folder).mkdir()
        (place / folder / name).write_text('{"model_type": "bert"}')
    monkeypatch.setattr(command, "read_table", lambda *_: pytest.fail("began to work"))
    assert message in refused(place, capsys, "--output", output)


def arguments(place: Path, **options: str) -> list[str]:
    """A training that goes well, in `place / "out"`."""
    found = {"train": "good.csv", "output": "out", "preset": "models/tiny", "epochs": "2", "batch-size": "2", **options}
    return ["finetune", *(part for name, value in found.items() for part in (f"--{name}", value))]


def test_divergence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A training that has blown up is an error, and its model is not kept."""
    line = refused(place, capsys, "--learning-rate", "1e6", "--batch-size", "1", "--epochs", "8")
    assert line.startswith("--learning-rate: the training diverged, its loss is ")
    assert line.endswith("expected a lower rate than 1e+06")


def test_divergence_is_noticed_within_an_epoch() -> None:
    """A loss that is no number stays so, and need not be waited for; in regression the scale is the labels' own."""
    watch = StopIfDiverged(learning_rate=2.0, guessing=0.5)
    for bad in (math.nan, math.inf):
        watch.on_train_batch_end(0, {"loss": bad})
        with pytest.raises(InputError, match=f"its loss is {bad}; expected a lower rate than 2"):
            watch.on_train_batch_end(19, {"loss": bad})
        with pytest.raises(InputError, match="diverged"):
            watch.on_epoch_end(0, {"loss": bad})
    watch.on_epoch_end(0, {"loss": 49.0})
    with pytest.raises(InputError, match="its loss is 51"):
        watch.on_epoch_end(0, {"loss": 51.0})
    StopIfDiverged(learning_rate=2.0, guessing=0.0).on_epoch_end(0, {"loss": 1e9})  # all labels were equal


@pytest.mark.usefixtures("untraced")
def test_full_disk(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second model is written: the first one stays and can be used."""
    write, calls = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        calls.append(self)
        if len(calls) == 3:  # the weights of the second time; the first wrote its state too
            write(self, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(arguments(place)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "eelbert finetune: out: cannot write: the disk is full; free some space, or write to another disk"
    assert sorted(os.listdir(place)) == ["good.csv", "models", "out"]
    assert read_info(place / "out")[0].notes["finished_epochs"] == 1
    assert EelbertClassifier.from_preset(place / "out").labels == ["off", "on"]


def test_interrupt_before_the_first_epoch_ends(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, and an older model stays as it is."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EelbertClassifier, "fit", interrupt)
    for _ in range(2):
        before = snapshot(place)
        assert main(arguments(place)) == 130
        *_, state, end = capsys.readouterr().err.splitlines()
        assert end == "eelbert finetune: interrupted"
        assert ("holds the best pass so far" in state) is False
        assert snapshot(place) == before
        shutil.copytree(place / "models" / "tiny", place / "out", dirs_exist_ok=True)


@pytest.fixture
def soon() -> Iterator[Callable[[Callable[[], bool], int], None]]:
    """Sends this process a signal, once, as soon as something holds, if the test has not ended before.

    An exception that a signal raises within a callback of the garbage collector is lost; the command still ends.
    """
    ended = threading.Event()
    threads = []

    def send(holds: Callable[[], bool], number: int) -> None:
        def watch() -> None:
            while not ended.wait(0.02):
                if holds():
                    os.kill(os.getpid(), number)
                    return

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield send
    ended.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("untraced")
def test_interrupt_during_training(place: Path, capsys: pytest.CaptureFixture[str], soon: Any) -> None:
    """Ctrl-C: a finished pass is kept, is whole, and can be used."""
    soon((place / "out" / "config.json").exists, signal.SIGINT)
    assert main(arguments(place, epochs="1000000")) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-2:] == [
        "eelbert finetune: out holds the best pass so far; --resume goes on",
        "eelbert finetune: interrupted",
    ]
    recover_directory(
        place / "out", MODEL_FOLDER.names
    )  # of an older version, where the very moment of its removal was hit
    assert sorted(os.listdir(place)) == ["good.csv", "models", "out"]
    assert read_info(place / "out")[0].notes["finished_epochs"] >= 1
    assert EelbertClassifier.from_preset(place / "out").predict(["turn on"], verbose=0).shape == (1, 2)


def test_termination_of_the_program(place: Path) -> None:
    """SIGTERM, as `kill` and every supervisor send it, does as much: here to a real process."""
    code = LIGHT_TENSORFLOW + "from eelbert_tf.__main__ import main; sys.exit(main())"
    program = [sys.executable, "-c", code, *arguments(place, epochs="1000000")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not (place / "out" / "config.json").exists():
            time.sleep(0.02)
        process.terminate()
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, errors[-2000:]
    assert out == ""
    assert errors.splitlines()[-2:] == [
        "eelbert finetune: out holds the best pass so far; --resume goes on",
        "eelbert finetune: interrupted",
    ]
    assert "Traceback" not in errors
    assert "\r" not in errors
    known = ("eelbert finetune: ", "training: pass ", "good.csv: ")  # and nothing of TensorFlow's
    assert [line for line in errors.splitlines() if not line.startswith(known)] == []
    recover_directory(place / "out", MODEL_FOLDER.names)
    assert sorted(os.listdir(place)) == ["good.csv", "models", "out"]
    assert EelbertClassifier.from_preset(place / "out").labels == ["off", "on"]
