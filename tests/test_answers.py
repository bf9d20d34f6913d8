"""Each task from end to end: trained and converted by the commands, and the same answers everywhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.tflite.flatbuffer.metadata import read_file
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.small_models import FILE, TASKS, trained
from tests.task_texts import task_rows, write_task

LEAST = {  # what the models reach is well above
    "classification": {"accuracy": 0.95, "macro_f1": 0.95, "kept": 0.85, "auroc": 0.9, "refused": 0.5},
    "binary": {"accuracy": 0.9, "macro_f1": 0.9},
    "multilabel": {"micro_f1": 0.85, "macro_f1": 0.85, "map": 0.9},
    "regression": {"pearson": 0.9, "spearman": 0.9},
}


def _report(capsys: pytest.CaptureFixture[str], *arguments: Any) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("runtime", ["keras", "litert", "tflm"])
def test_figures(task, runtime, capsys, tmp_path):
    """What was learned is there in each runtime, in int8 too."""
    folder = trained(task)
    model = folder / "model" if runtime == "keras" else folder / FILE
    arguments = ["evaluate", "--model", model, "--test", folder / "test.csv", "--runtime", runtime]
    if task == "classification":
        (tmp_path / "foreign.txt").write_text("who wrote that book?\nI feel so tired #monday\nthe king was old\n" * 3)
        arguments += ["--unknown", tmp_path / "foreign.txt"]
    if task == "regression":
        arguments += ["--label-column", "size", "price"]  # the order of the model's numbers is found by name
    (report,) = _report(capsys, *arguments)
    assert report["n"] == 100
    for name, least in LEAST[task].items():
        assert report[name] >= least, (name, report)
    if task == "multilabel":
        assert list(report["labels"]) == ["heat", "light", "sound"]
        assert {"precision", "recall", "f1", "n", "threshold"} == set(report["labels"]["heat"])
    if task == "regression":
        assert report["values"]["price"]["rmse"] < 1e5
        assert report["values"]["size"]["rmse"] < 0.003


@pytest.mark.parametrize("task", TASKS)
def test_predict_says_what_the_runtimes_say(task, capsys):
    """The command, LiteRT, TFLite Micro and Keras: one form of answer, and nearly the same numbers."""
    folder = trained(task)
    text = task_rows(task, 1, seed=2)[1][0][0]
    (line,) = _report(capsys, "predict", "--model", folder / FILE, "--text", text)
    runtime = EelbertRuntime(folder / FILE)
    assert line == runtime.answer(text)
    in_micro = TflmRuntime(folder / FILE).answer(text)
    from eelbert_tf import EelbertClassifier

    in_keras = EelbertClassifier.from_preset(folder / "model").answer(text)
    for other in (in_micro, in_keras):
        assert list(other) == list(line)
        assert other.get("label") == line.get("label")
        assert other.get("labels") == line.get("labels")
    if task == "regression":
        assert list(line["values"]) == ["price", "size"]
        assert line["values"]["price"] == pytest.approx(in_keras["values"]["price"], abs=1e5)
        with pytest.raises(ValueError, match="use `predict`"):
            runtime.classify(text)
    else:
        ranked = runtime.classify(text)
        assert [name for name, _ in ranked if name is not None] == list(line["scores"])


def test_foreign_text_is_refused(capsys):
    folder = trained("classification")
    (line,) = _report(
        capsys, "predict", "--model", folder / "model", "--text", "what is the name of the king of France?"
    )
    assert line["label"] is None
    assert line["reason"].startswith("unlike the texts of every class; the nearest, ")
    assert read_file(folder / FILE)[1].labels == ["sell", "start", "stop", None]


def test_thresholds_and_temperature_are_stored():
    for task, count in (("binary", 1), ("multilabel", 3)):
        thresholds = read_file(trained(task) / FILE)[1].thresholds
        assert thresholds is not None
        assert len(thresholds) == count
        assert all(0 < threshold < 1 for threshold in thresholds)


def test_options_that_do_not_suit_a_task(tmp_path, capsys):
    path = trained("multilabel") / "train.csv"
    base = ["finetune", "--train", str(path), "--output", str(tmp_path / "m")]
    for arguments, message in (
        (["--task", "multilabel", "--unknown"], "--unknown: is for --task classification, not multilabel"),
        (["--task", "binary"], "is empty; fill it"),
        (["--task", "several"], "invalid choice"),
    ):
        try:
            assert main([*base, *arguments]) == 2
        except SystemExit as stop:
            assert stop.code == 2
        assert message in capsys.readouterr().err
    path = trained("classification") / "train.csv"
    for values, message in ((["1.5"], "must lie between 0 and 1"), ([".9", ".8"], "takes one file and one share")):
        assert main(["finetune", "--train", str(path), "--output", str(tmp_path / "m"), "--unknown", *values]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.usefixtures("untraced")
def test_a_share_that_cannot_be_kept(tmp_path, capsys):
    """Where too few known texts are held out to keep a share of them, the command says so."""
    path = write_task(tmp_path / "a.csv", "classification", 12)
    config = trained("binary") / "tiny.json"
    arguments = ["--config", str(config), "--epochs", "1", "--unknown", "--output", str(tmp_path / "m")]
    assert main(["finetune", "--train", str(path), *arguments]) == 0
    assert "too few to keep a share of them" in capsys.readouterr().err


@pytest.mark.usefixtures("untraced")
def test_joined_labels_are_named(tmp_path, capsys):
    """A column of joined labels read as classes: the command says so, and names the option."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "a b,order;repair\nc d,order\ne f,repair\ng h,praise\ni j,praise;order\n" * 3)
    config = trained("binary") / "tiny.json"
    arguments = ["--config", str(config), "--epochs", "1", "--output", str(tmp_path / "m")]
    assert main(["finetune", "--train", str(path), *arguments]) == 0
    assert "look like several in one: 'order;repair' 3" in (err := capsys.readouterr().err)
    assert "--task multilabel --label-separator ';'" in err


def test_labels_that_training_never_saw(tmp_path, capsys):
    """They count as missed; a file of nothing else is refused."""
    folder = trained("binary")
    rows = (folder / "test.csv").read_text("utf-8").splitlines()
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*rows[:20], "hello there,rude", "go away,rude"]) + "\n")
    files = ["--report", tmp_path / "r.html", "--predictions", tmp_path / "p.csv"]
    (report,) = _report(capsys, "evaluate", "--model", folder / FILE, "--test", path, *files)
    assert report["unseen_labels"] == {"rude": 2}
    assert report["n"] == 21
    found = json.loads((tmp_path / "r.json").read_text())["evaluation"]
    assert found["unseen_labels"] == {"rude": 2}
    assert found["figures"]["accuracy"] == round(report["accuracy"], 4)
    assert "rude" in (tmp_path / "r.html").read_text()
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 22
    path.write_text("text,label\na,rude\nb,kind\n")
    assert main(["evaluate", "--model", str(folder / FILE), "--test", str(path)]) == 2
    assert "the model knows none of the labels, 'rude', 'kind'; expected some of: 'blunt', 'polite'" in (
        capsys.readouterr().err
    )


@pytest.mark.usefixtures("untraced")
def test_regression_ignores_scale():
    """Numbers of any size are learned alike, from the same start; the loss sees none of it."""
    import keras

    from eelbert_tf import EelbertBackbone, EelbertClassifier
    from tests.configs import TINY

    texts = [row[0] for row in task_rows("regression", 40)[1]]
    values = np.array([text.count("o") for text in texts], np.float64)
    found = {}
    for unit in (1.0, 3e-3, 1e6):
        keras.utils.set_random_seed(3)
        model = EelbertClassifier(EelbertBackbone(TINY), task="regression")
        history = model.fit(texts, values * unit + 5 * unit, epochs=2, verbose=0)
        found[unit] = (history.history["loss"], model.predict(texts, verbose=0) / unit)
    for scale in (3e-3, 1e6):
        assert found[scale][0] == pytest.approx(found[1.0][0], rel=1e-3)
        np.testing.assert_allclose(found[scale][1], found[1.0][1], rtol=1e-3)
