"""`eelbert predict`, `evaluate` and `convert`, as the command line calls them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.inputs import spread_texts
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.checksum import with_checksum
from eelbert_tf.scores import softmax
from eelbert_tf.tflite.checks.hard_texts import hard_texts
from tests.small_models import LABELS, converted, saved


def run(capsys, *arguments: object) -> list[dict]:
    """The JSON lines that a command prints."""
    assert main([str(a) for a in arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refuse(capsys, *arguments: object) -> str:
    """The one line that a command refuses with."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return [line for line in captured.err.splitlines() if line.startswith("eelbert")][-1]


@pytest.fixture
def labelled(tmp_path) -> Path:
    """A CSV file with the classes that the converted model gives, but for one row in four."""
    model = EelbertClassifier.from_preset(saved("small"))
    texts = [
        f"{word} the {thing}" for word in ("turn", "switch", "put") for thing in ("light", "lamp", "heating", "tv")
    ]
    labels = np.asarray(model(texts)).argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % 3
    path = tmp_path / "test.csv"
    rows = [f'"{text}",{LABELS[label]}' for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_predict_text(capsys, runtime):
    model = saved("small") if runtime == "keras" else converted("small")[0]
    (result,) = run(capsys, "predict", "--model", model, "--text", "Turn on the lights", "--runtime", runtime)
    expected = softmax(np.asarray(EelbertClassifier.from_preset(saved("small"))(["Turn on the lights"]))[0])
    assert result["label"] == LABELS[expected.argmax()]
    assert result["score"] == pytest.approx(expected.max(), abs=1e-5)
    assert [result["scores"][label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-5)
    assert "truncated" not in result


def test_predict_says_what_is_truncated(capsys):
    (result,) = run(capsys, "predict", "--model", converted("small")[0], "--text", "word " * 100)
    assert result["truncated"] is True


def test_predict_pairs(capsys, tmp_path):
    model = converted("pair")[0]
    (one,) = run(capsys, "predict", "--model", model, "--text", "a b", "--text", "c")
    path = tmp_path / "pairs.tsv"
    path.write_text("text_b\ttext_a\nc\ta b\n\tx\n")
    first, _ = run(capsys, "predict", "--model", model, "--input", path)
    assert first == one
    assert "--text is given 1 times" in refuse(capsys, "predict", "--model", model, "--text", "a")
    assert "takes 1 text" in refuse(capsys, "predict", "--model", converted("small")[0], "--text", "a", "--text", "b")


def test_predict_numbers(capsys):
    (result,) = run(capsys, "predict", "--model", converted("regression")[0], "--text", "a")
    assert list(result) == ["value"]


def test_predict_lines(capsys, tmp_path):
    """A text per line; the same from every runtime."""
    path = tmp_path / "texts.txt"
    hard = [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in hard_texts(120)]
    texts = [text.decode("utf-8", "ignore").translate({0: " ", 10: " "}).rstrip("\r").encode() for text in hard]
    path.write_bytes(b"\n".join(texts) + b"\n" + b"x" * 3_000_000)
    by_keras = run(capsys, "predict", "--model", saved("small"), "--input", path)
    by_litert = run(capsys, "predict", "--model", converted("small")[0], "--input", path)
    assert len(by_keras) == len(by_litert) == len(texts) + 1
    for a, b in zip(by_keras, by_litert, strict=True):
        assert a["scores"] == pytest.approx(b["scores"], abs=1e-5)
        assert a.get("truncated") == b.get("truncated")


def test_predict_in_a_pipe():
    """A reader that leaves early is no error, and standard input is read as it comes."""
    command = f"yes 'turn on' | head -100000 | {sys.executable} -m eelbert_tf predict --model {converted('small')[0]}"
    run = subprocess.run(
        ["bash", "-c", f"{command} --input - | head -n 2; echo ${{PIPESTATUS[2]}}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    first, second, status = run.stdout.splitlines()
    assert json.loads(first) == json.loads(second)
    assert status == "0"
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_evaluate(capsys, labelled, runtime):
    model = saved("small") if runtime == "keras" else converted("small")[0]
    (result,) = run(capsys, "evaluate", "--model", model, "--test", labelled)
    assert result["accuracy"] == pytest.approx(0.75)
    assert 0 < result["macro_f1"] < 1
    assert (result["n"], result["truncated"], result["runtime"]) == (12, 0, runtime)
    assert result["ms_per_text"] > 0


def test_evaluate_takes_numbers_of_classes(capsys, labelled):
    """A table may number the classes that the model has names for; a number too many is no class."""
    header, *rows = labelled.read_text("utf-8").splitlines()
    fields = [row.rsplit(",", 1) for row in rows]
    numbered = [f"{text},{LABELS.index(label)}" for text, label in fields]
    labelled.write_text("\n".join([header, *numbered]) + "\n", "utf-8")
    (result,) = run(capsys, "evaluate", "--model", converted("small")[0], "--test", labelled)
    assert result["accuracy"] == pytest.approx(0.75)
    labelled.write_text("\n".join([header, *numbered, f"x,{len(LABELS)}"]) + "\n", "utf-8")
    (result,) = run(capsys, "evaluate", "--model", converted("small")[0], "--test", labelled)
    assert result["unseen_labels"] == {str(len(LABELS)): 1}
    assert result["accuracy"] == pytest.approx(9 / 13)


def test_evaluate_numbers(capsys, tmp_path):
    path = tmp_path / "scores.csv"
    texts = ["a", "bb", "c d", "e f g"]
    scores = np.asarray(EelbertClassifier.from_preset(saved("regression"))(texts))[:, 0]
    path.write_text("text,label\n" + "".join(f"{t},{2 * s + 1}\n" for t, s in zip(texts, scores, strict=True)))
    (result,) = run(capsys, "evaluate", "--model", converted("regression")[0], "--test", path)
    assert result["pearson"] == pytest.approx(1, abs=1e-4)
    assert result["spearman"] == pytest.approx(1)
    assert result["rmse"] == pytest.approx(float(np.sqrt(np.mean((scores + 1) ** 2))), rel=1e-3)
    path.write_text("text,label\na,1\nb,much\n")
    assert "row 3: the label 'much'" in refuse(
        capsys, "evaluate", "--model", converted("regression")[0], "--test", path
    )


def test_evaluate_counts_labels_that_training_never_saw(capsys, labelled):
    labelled.write_text(labelled.read_text("utf-8") + "x,purple\n", "utf-8")
    (result,) = run(capsys, "evaluate", "--model", converted("small")[0], "--test", labelled)
    assert result["unseen_labels"] == {"purple": 1}
    assert result["accuracy"] == pytest.approx(9 / 13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nothing-here"], "neither a directory nor a preset"),
        (["--model", "nothing.tflite"], "no such file"),
        (["--model", "DIR", "--runtime", "litert"], "eelbert convert"),
        (["--model", "FILE", "--runtime", "keras"], "name a model directory"),
        (["--model", "FILE", "--input", "none.csv"], "none.csv: no such file"),
        (["--model", "FILE", "--input", "none.txt"], "none.txt: no such file"),
    ],
)
def test_refusals(capsys, arguments, message):
    names = {"DIR": str(saved("small")), "FILE": str(converted("small")[0])}
    arguments = [names.get(a, a) for a in arguments]
    if "--input" not in arguments:
        arguments += ["--text", "a"]
    assert message in refuse(capsys, "predict", *arguments)


def test_convert(capsys, tmp_path):
    path = tmp_path / "new" / "a.tflite"
    (report,) = run(capsys, "convert", "--model", saved("small"), "--output", path, "--max-tokens", 8)
    assert report["bytes"] == path.stat().st_size
    assert report["target"] == "mobile"
    assert report["quantize"] == "none"
    assert "max_tokens" in refuse(capsys, "convert", "--model", saved("small"), "--output", path, "--max-tokens", 3)
    assert path.stat().st_size == report["bytes"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_labels_cannot_drive_a_terminal(tmp_path, monkeypatch, encoding):
    """Escape sequences, those of C1 too, and marks that turn the text; parsed, they are what they were."""
    labels = ["\x1b[2J\x1b]0;owned\x07", "\x9b31m\x7f\x85", "\u202eok\u2066\u2028=cmd|' /C calc'!A0 😀"]
    folder = shutil.copytree(saved("small"), tmp_path / "model")
    fields = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(with_checksum({**fields, "labels": labels})), "utf-8")
    with open(tmp_path / "out", "w", encoding=encoding, newline="") as file:
        monkeypatch.setattr("sys.stdout", file)
        assert main(["predict", "--model", str(folder), "--text", "a"]) == 0
        monkeypatch.undo()
    printed = (tmp_path / "out").read_text(encoding)
    assert all(c == "\n" or c.isprintable() for c in printed)
    assert set(json.loads(printed)["scores"]) == set(labels)


def test_errors_cannot_drive_a_terminal(capsys):
    """Nor can names of files and columns."""
    line = refuse(capsys, "predict", "--model", "no\x9b31m\x1b[2J\u202emodel", "--text", "a")
    assert line.isprintable()
    assert "no\\u009b31m\\u001b[2J\\u202emodel" in line


def test_texts_spread_over_a_file(tmp_path):
    """The file is never held as a whole; all of a short one is taken."""
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "".join(f"row {i}\n" for i in range(1203)))
    assert spread_texts(str(path), None, 100) == [f"row {i}" for i in range(0, 1200, 12)]
    assert len(spread_texts(str(path), None, 5000)) == 1203
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", path, tmp_path / "pipe"]):
        few = spread_texts(str(tmp_path / "pipe"), None, 100)  # which cannot be read twice
    assert few == [f"row {i}" for i in range(0, 1203, 16)]


def test_warnings_about_input_are_one_line(capsys, tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("text\na\n\nb\n")
    assert main(["predict", "--model", str(converted("small")[0]), "--input", str(path)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    (warning,) = [line for line in captured.err.splitlines() if "warning" in line]
    assert warning.startswith(f"eelbert predict: warning: {path}: 1 row has an empty text (row 3)")
