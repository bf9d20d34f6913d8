"""Whole fine-tunings: what is held out, which pass is kept, what is tried, and that a stopped one goes on exactly."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import TRAINING_FILE, weights_digest
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.finetune import experiment
from eelbert_tf.training.finetune.beside import set_suited_heads
from eelbert_tf.training.finetune.calibrate import LEAST_TEXTS
from eelbert_tf.training.finetune.experiment import Validation, run_convex, run_experiment, search, variants
from eelbert_tf.training.finetune.heads import fit_heads, in_words
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.passes import Passes
from eelbert_tf.training.finetune.recipe import Recipe
from eelbert_tf.training.finetune.run import Options, Restart, Trained, finetune, score
from eelbert_tf.training.finetune.scoring import without_loss
from eelbert_tf.training.finetune.validation import folds, split
from tests.conftest import interrupted_after

NOUNS = ("lamp", "light", "radio", "heating", "tv", "fan", "oven", "bell", "door", "pump", "hall", "desk", "bed")
DATA = Labelled(
    [f"turn {way} the {noun}" for way in ("on", "off") for noun in NOUNS], ["on"] * len(NOUNS) + ["off"] * len(NOUNS)
)
RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models take longer to compile than to run."""
    monkeypatch.setattr(EelbertClassifier, "_resolve_auto_jit_compile", lambda self: False)


def fresh(config: EelbertConfig) -> EelbertClassifier:
    """The same model each time."""
    keras.utils.set_random_seed(1)
    return EelbertClassifier(EelbertBackbone(config), labels=["off", "on"])


def test_folds_are_stratified() -> None:
    """Every class in proportion, equal texts on one side, another draw for another seed; numbers by their size."""
    labels = ["a"] * 40 + ["b"] * 20 + ["c"]
    texts = [f"text {i}" for i in range(61)]
    parts = folds(texts, labels, 5)
    assert Counter(parts[:40].tolist()) == dict.fromkeys(range(5), 8)
    assert Counter(parts[40:60].tolist()) == dict.fromkeys(range(5), 4)
    assert parts[60] != 0
    assert (parts == folds(texts, labels, 5)).all()
    assert (parts != folds(texts, labels, 5, seed=1)).any()
    texts[3], texts[41] = "Text  7", "text 7"
    again = folds(texts, labels, 5)
    assert again[3] == again[7] == again[41]
    numbers = folds([f"text {i}" for i in range(61)], [i / 7 for i in range(61)], 5)
    assert [len(set(numbers[i : i + 5])) for i in range(0, 60, 5)] == [5] * 12
    left, held_out = split(texts, labels, 0.25)
    assert sorted([*left, *held_out]) == list(range(61))
    assert 13 <= len(held_out) <= 17
    assert len(split(texts, labels, 0.25, most=5)[1]) <= 7


def test_what_is_held_out() -> None:
    """A file where there is one, a part of many texts, all of few in turn, none of very few; rows are named."""
    many = Labelled([f"text {i}" for i in range(400)], ["a", "b"] * 200, range(2, 402))
    assert Validation.choose(many, DATA).dev is DATA
    found = Validation.choose(many, None)
    assert found.how == "split"
    assert Counter(found.dev.labels) == {"a": 20, "b": 20}
    assert found.facts["rows"] == found.dev.rows
    assert [many.texts[row - 2] for row in found.dev.rows] == found.dev.texts
    assert Validation.choose(DATA, None).describe() == {"how": "cross-validation", "parts": 5, "seed": 0}
    assert Validation.choose(many, None, share=0.0).how == "none"
    assert Validation.choose(DATA.part(np.arange(10)), None).how == "none"
    assert len(Validation.choose(many.part(np.arange(201)), None).dev) >= LEAST_TEXTS


def test_cross_validation(tiny: EelbertConfig) -> None:
    """Each text is judged by a model that has not learned it; the final one learns all."""
    model, recipe = fresh(tiny), dataclasses.replace(RECIPE, epochs=2)
    found = run_experiment(model, Validation.choose(DATA, None), recipe, 1, Options(quiet=True))
    assert found.outputs.shape == (26, 2)
    assert len(found.curve) == 2
    report = found.report()
    assert report["train_texts"] == report["dev_texts"] == 26
    assert report["epochs"] == report["best_epoch"] <= 2
    predicted = [["off", "on"][i] for i in found.outputs.argmax(1)]
    accuracy = np.mean([name == label for name, label in zip(predicted, DATA.labels, strict=True)])
    assert report["dev"]["accuracy"] == round(float(accuracy), 4)
    assert report["validation"]["how"] == "cross-validation"


@pytest.mark.usefixtures("untraced")
def test_beside_words(tiny: EelbertConfig) -> None:
    """The start is fitted beside words, and the passes go on from there; words are in the model that is kept."""
    model, recipe = fresh(tiny), dataclasses.replace(RECIPE, epochs=2, learning_rate=0.002, lexical=True)
    found = finetune(model, DATA, DATA, recipe, Options(quiet=True, keep_each=True))
    assert found.heads is not None
    assert found.heads["lexical"]
    assert len(found.passes.each) == 3
    assert found.passes.start["accuracy"] == 1.0
    best = found.passes.each[found.passes.best]
    np.testing.assert_allclose(model.predict(list(DATA.texts), verbose=0), best, atol=1e-5)
    assert found.report()["ngrams"] == found.heads["ngrams"]
    assert "words and word pairs beside it" in in_words(None, found, "accuracy")


@pytest.mark.parametrize("how", ["cross-validation", "split"])
def test_start_may_be_best(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Where no pass is better than the heads alone, these are kept; passes are compared with one another until then."""
    monkeypatch.setattr(experiment, "SMALL", 20 if how == "split" else 30)
    recipe = dataclasses.replace(
        RECIPE, epochs=3, learning_rate=1.0, patience=2, lexical=None
    )  # which spoils the model
    model = fresh(tiny)
    found = run_experiment(model, Validation.choose(DATA, None, 0.3), recipe, 1, Options(quiet=True))
    report = found.report()
    assert (report["validation"]["how"], report["method"], report["best_epoch"]) == (how, "convex", 0)
    assert report["dev"]["accuracy"] > 0.8
    assert "no pass was better" in in_words(None, found.trained, "accuracy")
    if how == "split":
        assert len(found.judged) < 20
        assert report["train_texts"] == 26  # the heads that are kept learn all in the end
        whole = fresh(tiny)
        set_suited_heads(whole, DATA, recipe)
        texts = list(DATA.texts)
        np.testing.assert_allclose(model.predict(texts, verbose=0), whole.predict(texts, verbose=0), atol=1e-5)
    else:
        assert found.outputs.shape == (26, 2)
        assert len(found.curve) == 3


def test_heads_alone_learn_all(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A split judges heads that have learned the rest; what is saved has learned the held-out texts too."""
    monkeypatch.setattr(experiment, "SMALL", 20)
    validation = Validation.choose(DATA, None, 0.3)
    model, output = fresh(tiny), tmp_path / "model"
    found = run_convex(model, validation, RECIPE, None, Options(output, quiet=True))
    assert found.report()["train_texts"] == len(DATA) > len(validation.train)
    part, whole = fresh(tiny), fresh(tiny)
    fit_heads(part, validation.train)
    fit_heads(whole, DATA)
    judged = list(validation.dev.texts)
    np.testing.assert_allclose(found.outputs, part.predict(judged, verbose=0), atol=1e-5)
    kept = EelbertClassifier.from_preset(output).predict(judged, verbose=0)
    np.testing.assert_allclose(kept, whole.predict(judged, verbose=0), atol=1e-5)
    assert np.abs(kept - found.outputs).max() > 1e-3


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_other_tasks_beside_words(tiny: EelbertConfig, task: str) -> None:
    """One logit, several labels, and numbers of any unit, of pairs too; the heads alone know them already."""
    is_on = np.array([label == "on" for label in DATA.labels])
    labels: Any = {
        "binary": DATA.labels,
        "multilabel": [("on", "new") if on else () for on in is_on],
        "regression": [float(x) for x in 300 + 20 * is_on],
    }[task]
    names = {"binary": ["off", "on"], "multilabel": ["new", "on"]}.get(task)
    keras.utils.set_random_seed(1)
    pair = task == "regression"
    texts = [(text, "now") for text in DATA.texts] if pair else DATA.texts
    model = EelbertClassifier(EelbertBackbone(tiny, pair=pair), labels=names, task=task)
    data = Labelled(texts, labels)
    recipe = dataclasses.replace(RECIPE, epochs=1, learning_rate=0.001, lexical=True)
    found = finetune(model, data, data, recipe, Options(quiet=True))
    assert found.heads["lexical"]
    figure = {"multilabel": "map", "regression": "pearson"}.get(task, "accuracy")
    assert found.passes.start[figure] > 0.9
    assert found.dev[figure] > 0.9
    assert score(model, data) == without_loss(found.dev)


def test_best_pass_and_patience(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those of the best pass; without a better one for some passes the training ends."""
    scores = iter([0.5, 0.9, 0.9, 0.3, 0.2, 0.8])

    def judged(outputs: np.ndarray, *_: Any) -> dict[str, float]:
        kept.append(outputs)
        return {"loss": 1.0, "accuracy": next(scores)}

    kept: list[np.ndarray] = []
    monkeypatch.setattr("eelbert_tf.training.finetune.passes.figures", judged)
    model, recipe = fresh(tiny), dataclasses.replace(RECIPE, epochs=6, patience=3)
    found = finetune(model, DATA, DATA, recipe, Options(quiet=True))
    assert (found.passes.best, len(found.passes.done)) == (2, 5)
    np.testing.assert_allclose(model.predict(list(DATA.texts), verbose=0), kept[1], atol=1e-6)


@pytest.mark.usefixtures("untraced")
def test_labels_never_seen_and_rare_classes(tiny: EelbertConfig) -> None:
    """They count as wrong; where classes are balanced, passes are compared by their mean F1."""
    dev = Labelled(["turn on the lamp", "blink"], ["on", "blink"])
    recipe = dataclasses.replace(RECIPE, epochs=1, class_weight="balanced")
    found = finetune(fresh(tiny), DATA.part(np.array([0, 1, *range(13, 26)])), dev, recipe, Options(quiet=True))
    assert found.dev["accuracy"] <= 0.5
    assert np.isfinite(found.dev["loss"])
    assert recipe.criterion("classification") == "macro_f1"
    assert RECIPE.criterion("classification") == "accuracy"


def test_trials(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is the recipe itself; the best on the held-out texts is trained."""
    tried = variants(RECIPE, 3)
    assert tried[0] == RECIPE
    assert tried == variants(RECIPE, 3)
    assert len({recipe.learning_rate for recipe in tried}) == 3
    scores = iter([0.5, 0.9, 0.7])

    def train(model: Any, learned: Labelled, dev: Labelled, recipe: Recipe, options: Options) -> Trained:
        assert len(learned) + len(dev) == 26
        return Trained(recipe, len(learned), 0, 0.0, Passes(), {"loss": 1.0, "accuracy": next(scores)}, len(dev))

    monkeypatch.setattr(experiment, "finetune", train)
    model = fresh(tiny)
    best, found = search(model, Restart(model), Validation.choose(DATA, None), RECIPE, 3, quiet=True)
    assert best == tried[1]
    assert [row["dev"]["accuracy"] for row in found] == [0.5, 0.9, 0.7]
    with pytest.raises(InputError, match="--trials: needs held-out texts"):
        search(model, Restart(model), Validation("none", DATA), RECIPE, 2)


def test_resume_is_exact(
    tiny: EelbertConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stopped after two passes ends with the same bits as what was not; another training is refused."""
    keras.utils.set_random_seed(1)
    EelbertBackbone(tiny.replace(hidden_dropout_prob=0.3)).save_to_preset(tmp_path / "tiny")
    rows = [f"{text},{label}" for text, label in zip(DATA.texts, DATA.labels, strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]))
    words = ["finetune", "--train", "train.csv", "--dev", "train.csv", "--preset", "tiny", "--epochs", "3"]
    words += ["--batch-size", "8", "--learning-rate", "0.01"]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--output", "whole"]) == 0
    captured = capsys.readouterr()
    whole = json.loads(captured.out)
    assert "words and word pairs beside it (held-out loss " in captured.err

    with interrupted_after(2):
        assert main([*words, "--output", "part"]) == 130
    assert "part holds the best pass so far; --resume goes on" in capsys.readouterr().err
    state = (tmp_path / "part" / TRAINING_FILE).read_bytes()
    assert main([*words, "--output", "part", "--resume", "--seed", "3"]) == 2
    assert "part holds a training on other texts or by another recipe" in capsys.readouterr().err
    (tmp_path / "part" / TRAINING_FILE).write_bytes(state[:-1] + bytes([state[-1] ^ 1]))
    assert main([*words, "--output", "part", "--resume"]) == 2
    assert "damaged (its checksum differs); train again without --resume" in capsys.readouterr().err
    (tmp_path / "part" / TRAINING_FILE).write_bytes(state)
    assert main([*words, "--output", "part", "--resume"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert resumed["loss"] == whole["loss"]
    assert resumed["dev"] == whole["dev"]
    assert resumed["lexical"]
    assert resumed["dev_of_start"] == whole["dev_of_start"]
    assert weights_digest("part") == weights_digest("whole")
    assert not (tmp_path / "part" / TRAINING_FILE).exists()
    assert read_info(tmp_path / "part")[0].notes == read_info(tmp_path / "whole")[0].notes


@pytest.mark.usefixtures("untraced")
def test_command_splits_by_itself(
    tiny: EelbertConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --dev a part is held out, and the report names its rows."""
    monkeypatch.setattr(experiment, "SMALL", 20)
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(1)
    EelbertBackbone(tiny).save_to_preset("tiny")
    rows = [f"{text},{label}" for text, label in zip(DATA.texts, DATA.labels, strict=True)]
    Path("train.csv").write_text("\n".join(["text,label", *rows]))
    words = ["finetune", "--train", "train.csv", "--preset", "tiny", "--epochs", "1", "--output", "out"]
    words += ["--class-weight", "balanced", "--quiet"]
    assert main([*words, "--validation-split", "0.25"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.err == ""
    assert report["classes"] == {"off": 13, "on": 13}
    assert report["validation"]["how"] == "split"
    assert len(report["validation"]["rows"]) == report["dev_texts"] < 20
    assert report["train_texts"] == (26 if report["method"] == "convex" else 26 - report["dev_texts"])
    assert main([*words, "--validation-split", "1"]) == 2
    assert "--validation-split: must be from 0 to below 1" in capsys.readouterr().err
