"""Learning from a larger classifier or regression: made-up texts, kept answers, and a pupil that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tables import Table
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.training.distill.soft_targets import distilled_targets, make_up, teacher_predictions, weighted_targets
from tests.configs import STUDENT
from tests.small_models import LEARNS


def distill(*words: object) -> int:
    return main(["distill", *map(str, words)])


def test_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pupil learns a class that its labels hide, from a teacher that knows better."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 4)) for _ in range(30)]
    texts = [" ".join([*rng.choice(words, 3), str(rng.choice(["good", "bad"]))]) for _ in range(120)]

    def write(name: str, wrong: float) -> Path:
        rows = [f"{t},{'no' if ('bad' in t) != (rng.random() < wrong) else 'yes'}" for t in texts]
        (tmp_path / name).write_text("text,label\n" + "\n".join(rows) + "\n")
        return tmp_path / name

    right, noisy = write("right.csv", 0.0), write("noisy.csv", 0.4)
    shape = tmp_path / "pupil.json"
    shape.write_text(json.dumps(STUDENT.to_dict()))
    large = tmp_path / "large.json"
    large.write_text(json.dumps(LEARNS.to_dict()))
    words_of = ["--train", right, "--output", tmp_path / "teacher", "--epochs", 12, "--learning-rate", 1e-2]
    assert main(["finetune", *map(str, words_of), "--config", str(large)]) == 0
    common = ["--teacher", tmp_path / "teacher", "--train", noisy, "--dev", right, "--config", shape]
    taught = [*common, "--unlabelled", right, "--teacher-weight", 1, "--epochs", 15, "--learning-rate", 1e-2]
    assert distill(*taught, "--output", tmp_path / "pupil") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["labelled"] == 120
    assert report["train_texts"] > 300
    assert report["dev"]["accuracy"] > 0.95

    (tmp_path / "other.csv").write_text("text,label\na,maybe\nb,no\n")
    assert (
        distill("--teacher", tmp_path / "teacher", "--train", tmp_path / "other.csv", "--output", tmp_path / "x") == 2
    )
    assert "the label 'maybe' does not occur in training" in capsys.readouterr().err
    assert distill(*common, "--output", tmp_path / "x", "--teacher-weight", 2) == 2
    assert "--teacher-weight: must lie between 0 and 1" in capsys.readouterr().err
    assert distill(*common, "--output", tmp_path / "x", "--cached-predictions", tmp_path) == 2
    assert "is a folder; give the name of a file" in capsys.readouterr().err
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("text_a,text_b,label\na,b,yes\nb,a,no\n")
    assert distill(*common, "--output", tmp_path / "x", "--unlabelled", pairs) == 2
    assert "pairs.csv: expected single texts" in capsys.readouterr().err
    EelbertClassifier(EelbertBackbone(STUDENT, name="backbone"), 2).save_to_preset(tmp_path / "nameless")
    assert distill("--teacher", tmp_path / "nameless", "--train", right, "--output", tmp_path / "x") == 2
    assert "names no classes" in capsys.readouterr().err


def test_answers_are_kept(tmp_path: Path) -> None:
    """A text is asked about once, whatever comes after; another teacher's answers are refused."""
    teacher = EelbertClassifier(EelbertBackbone(STUDENT, name="backbone"), 2, labels=["a", "b"])
    texts = ["one two", "three", "four five six", "three", "seven"]
    file = tmp_path / "answers.npz"
    first = teacher_predictions(teacher, texts[:3], file, "this")
    assert first.shape == (3, 2)
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-6)
    teacher.classifier.kernel.assign(np.zeros(teacher.classifier.kernel.shape))
    again = teacher_predictions(teacher, texts, file, "this")
    np.testing.assert_array_equal(again[[0, 1, 2, 3]], first[[0, 1, 2, 1]])
    np.testing.assert_array_equal(again[4], [0.5, 0.5])
    with pytest.raises(InputError, match="holds those of another teacher"):
        teacher_predictions(teacher, texts, file, "that")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="holds something else than predictions"):
        teacher_predictions(teacher, texts, file, "this")


def test_lessons() -> None:
    """Labelled texts come first; held-out ones are never among the rest, made up or not."""
    teacher = EelbertClassifier(EelbertBackbone(STUDENT, name="backbone"), 2, labels=["a", "b"])
    train = Table(Path("train.csv"), ["one two", "three four"], ["b", "a"], [2, 3])
    free = distilled_targets(teacher, train, ["five", "one two", "six"], made_up=20, teacher_weight=0.5)
    assert free.texts[:4] == ["one two", "three four", "five", "six"]
    held_out = ["five", free.texts[-1]]
    found = distilled_targets(
        teacher, train, ["five", "one two", "six"], made_up=20, teacher_weight=0.5, held_out=held_out
    )
    assert found.texts == [text for text in free.texts if text not in held_out]
    word = teacher_predictions(teacher, found.texts)
    np.testing.assert_allclose(found.labels[:2], np.mean([word[:2], np.eye(2)[::-1]], axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.labels[2:], word[2:], rtol=1e-5)


@pytest.mark.usefixtures("untraced")
def test_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pupil learns scores of pairs, and the share of the teacher counts for numbers too."""
    np.testing.assert_allclose(weighted_targets(np.array([1.0, 2.0]), np.array([3.0, 3.0]), 0.25), [1.5, 2.25])
    rng = np.random.default_rng(0)
    rows = [f"{' '.join(rng.choice(['up', 'down', 'left'], 3))},{rng.choice(['yes', 'no'])},{i % 5}" for i in range(40)]
    train, shape = tmp_path / "train.csv", tmp_path / "pupil.json"
    train.write_text("text_a,text_b,label\n" + "\n".join(rows) + "\n")
    shape.write_text(json.dumps(STUDENT.to_dict()))
    slots = ["--max-tokens", "16", "--max-bytes", "64"]
    pairs = ["--train", str(train), "--text-columns", "text_a", "text_b"]
    teacher = ["--output", str(tmp_path / "teacher"), "--task", "regression", "--epochs", "1"]
    teacher += ["--config", "eelbert_uno"]
    assert main(["finetune", *pairs, *teacher, *slots]) == 0
    kept = ["--cached-predictions", tmp_path / "answers.npz", "--made-up", 2, "--epochs", 1]
    assert distill("--teacher", tmp_path / "teacher", *pairs, "--config", shape, "--output", tmp_path / "x", *kept) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["train_texts"] > 40
    assert EelbertClassifier.from_preset(tmp_path / "x").task == "regression"


@pytest.mark.parametrize(
    "texts",
    [
        ["one two three four five six", "seven eight nine ten eleven twelve"],
        [("a b c d e f", "g h i j"), ("k", "l m n o")],
    ],
)
def test_made_up_texts(texts: list[Any]) -> None:
    """They are made of the training texts' words, differ from them, and depend on the seed alone."""
    found = make_up(texts, 50, seed=3)
    assert found == make_up(texts, 50, seed=3) != make_up(texts, 50, seed=4)
    assert 30 < len(found) <= 100  # some come out as they were
    known = {word for text in texts for side in ([text] if isinstance(text, str) else text) for word in side.split()}
    for text in found:
        assert text not in texts
        assert all([text] if isinstance(text, str) else text)
        assert {word for side in ([text] if isinstance(text, str) else text) for word in side.split()} <= known
