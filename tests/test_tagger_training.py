"""Fine-tuning a tagger: the same path as a classifier's, from the held-out part to the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tagged import NamedPart, TaggedText
from eelbert_tf.models.optimizer import AdamW, adamw
from eelbert_tf.models.tagger import EelbertTagger
from eelbert_tf.reports.tagging import TagReading
from eelbert_tf.saving.folders import TRAINING_FILE, weights_digest
from eelbert_tf.training.finetune import experiment
from eelbert_tf.training.finetune.calibrate import calibrate_tags
from eelbert_tf.training.finetune.experiment import Validation, run_experiment
from eelbert_tf.training.finetune.labelled import Tagged
from eelbert_tf.training.finetune.recipe import Recipe
from eelbert_tf.training.finetune.run import Options, score
from eelbert_tf.training.finetune.tagging import commonest_tags, tagging_recipe
from tests import small_taggers
from tests.conftest import interrupted_after


def tagged(line: int, text: str, *spans: tuple[str, str], intent: str | None = None) -> TaggedText:
    """A text whose spans are given by their names and words."""
    parts = [NamedPart(name, text.index(words), text.index(words) + len(words)) for name, words in spans]
    return TaggedText(line, text, parts, text.split(), intent)


ROWS = [
    tagged(2, "wake me at nine", ("time", "nine"), intent="alarm"),
    tagged(3, "rain in New York at noon", ("place", "New York"), ("time", "noon"), intent="weather"),
    tagged(4, "hi there", intent="hello"),
]


def outputs(tags: list[int], intent: list[float]) -> dict[str, np.ndarray]:
    """What a tagger of the names place and time gives for a text whose words have these tags, and one letter each."""
    logits = np.full((len(tags) + 1, 5), -2.0, np.float32)
    logits[range(len(tags)), tags] = 2.0
    places = np.zeros((len(tags) + 1, 2), np.int32)
    places[: len(tags)] = [(2 * i, 2 * i + 1) for i in range(len(tags))]
    return {"tags": logits, "positions": places, "label": np.array(intent, np.float32)}


def test_what_is_shown_of_answers():
    """Figures, a row for each name, the worst mistakes, and intents beside them."""
    rows = [tagged(2, "a b c", ("time", "b"), intent="x"), tagged(3, "d e", ("place", "d e"), intent="y")]
    reading = TagReading(["place", "time"], ["x", "y"])
    reading.add(rows[0], outputs([1, 2, 0], [2.0, 0.0]))  # a place that is none, and the time
    reading.add(rows[1], outputs([1, 3], [2.0, 0.0]))
    found = reading.evaluate()
    assert found["n"] == 2
    assert found["figures"]["entity_f1"] == 0.8
    assert found["figures"]["accuracy"] == 0.5
    place, time = found["classes"]
    assert (place["name"], place["support"], place["precision"], place["recall"]) == ("place", 1, 0.5, 1.0)
    assert (time["name"], time["support"], time["f1"]) == ("time", 1, 1.0)
    (mistake,) = found["mistakes"]
    assert (mistake["row"], mistake["label"], mistake["predicted"]) == (2, "time: b", "place: a; time: b")
    assert [row["name"] for row in found["intents"]["classes"]] == ["x", "y"]
    assert [(row["n"], row["accuracy"]) for row in found["calibration"]] == [(3, 0.6667)]


def test_recipe_and_baseline():
    """Passes make up for few texts; the simplest tagger knows words by heart."""
    assert [tagging_recipe(n, True, None, 32, None).epochs for n in (10, 4000, 100_000)] == [40, 20, 10]
    assert tagging_recipe(10, True, 3, 32, 0.1).epochs == 3
    assert [tagging_recipe(10, known, None, 32, None).backbone_rate < 1 for known in (True, False)] == [True, False]
    found = commonest_tags(Tagged.of(ROWS), Tagged.of([tagged(5, "New York is nine", ("place", "New York"))]))
    assert found["entity_recall"] == 1.0
    assert found["entity_precision"] == 0.5


def test_the_encoder_learns_at_a_rate_of_its_own():
    """The first step of Adam is as long as the rate: that of the encoder's weights is a share of the others'."""
    tagger = EelbertTagger.from_preset(small_taggers.trained() / "model")
    optimizer = adamw(tagger, 0.01, 10, warmup=0.0, weight_decay=0.0, backbone_rate=0.25)
    assert AdamW.from_config(optimizer.get_config()).rates == optimizer.rates
    before = [variable.numpy() for variable in tagger.trainable_variables]
    optimizer.apply([np.ones_like(value) for value in before], tagger.trainable_variables)
    moved = [np.abs(v.numpy() - old).max() for v, old in zip(tagger.trainable_variables, before, strict=True)]
    of_backbone = {id(variable) for variable in tagger.backbone.trainable_variables}
    slow = [step for step, v in zip(moved, tagger.trainable_variables, strict=True) if id(v) in of_backbone]
    fast = [step for step, v in zip(moved, tagger.trainable_variables, strict=True) if id(v) not in of_backbone]
    np.testing.assert_allclose(slow, 0.25 * fast[0], rtol=1e-2)
    np.testing.assert_allclose(fast, fast[0], rtol=1e-2)


def test_temperatures_keep_the_answers():
    """A temperature makes scores honest in the weights; the likeliest tags stay the likeliest."""
    tagger = EelbertTagger.from_preset(small_taggers.trained() / "model")
    rows = Tagged.of(
        [
            tagged(i, " ".join(words), intent=intent)
            for i, (words, _, intent) in enumerate(small_taggers.sentences(40, 3))
        ]
    )
    before = tagger.predict(rows.texts)
    report, after = calibrate_tags(tagger, rows, before)  # as if none of the spans were there
    assert report["temperature"] > 1
    assert set(report) == {"calibrated_on", "temperature", "temperature_of_label"}
    again = tagger.predict(rows.texts)
    for name in ("tags", "label"):
        np.testing.assert_allclose(again[name], after[name], atol=1e-3)
    assert (after["tags"].argmax(-1) == before["tags"].argmax(-1)).all()


def test_what_training_has_not_shown_counts_as_wrong():
    """An unknown intent and name of a span in held-out texts: no refusal, and no part of the loss."""
    tagger = EelbertTagger.from_preset(small_taggers.trained() / "model")
    known = [tagged(2, "wake me at noon", ("time", "noon"), intent="alarm")] * 3
    strange = tagged(5, "call me at noon", ("person", "me"), ("time", "noon"), intent="call")
    alone, both = (score(tagger, Tagged.of(rows)) for rows in (known, [*known, strange]))
    assert (alone["accuracy"], both["accuracy"]) == (1.0, 0.75)
    assert both["entity_recall"] < alone["entity_recall"] == 1.0
    targets = Tagged.of([strange]).fit_labels(tagger)
    assert targets[0, 0] == -1
    assert set(targets[0, 1:].tolist()) == {-1, 0, tagger.names.index("time") + 1}


@pytest.mark.usefixtures("untraced")
def test_small_sets_are_cross_validated():
    """Each text is judged by a tagger that has not learned it."""
    tagger = EelbertTagger.from_preset(small_taggers.trained() / "model")
    rows = [
        tagged(i, " ".join(words), intent=intent) for i, (words, _, intent) in enumerate(small_taggers.sentences(30))
    ]
    rows += [tagged(100 + i, f"wake me at {i}", ("time", str(i)), intent="alarm") for i in range(20)]
    found = run_experiment(
        tagger, Validation.choose(Tagged.of(rows), None), Recipe(1, 16, 0.01), 1, Options(quiet=True)
    )
    assert found.validation.how == "cross-validation"
    assert found.outputs["tags"].shape[:2] == (50, 24)
    assert found.report()["dev_texts"] == 50
    assert 0 <= found.figures["entity_f1"] <= 1


@pytest.mark.usefixtures("untraced")
def test_a_stopped_training_goes_on_exactly(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """What was stopped after a pass ends with the same bits; a part is held out, and the report says how good it is."""
    monkeypatch.setattr(experiment, "SMALL", 20)
    monkeypatch.chdir(tmp_path)
    folder = small_taggers.trained()
    words = ["finetune", "--task", "tagging", "--train", str(folder / "train.csv"), "--preset", str(folder / "model")]
    words += ["--epochs", "2", "--learning-rate", "0.01"]
    assert main([*words, "--output", "whole"]) == 0
    captured = capsys.readouterr()
    whole = json.loads(captured.out)
    assert "2 names of spans: " in captured.err
    assert "3 intents: " in captured.err
    assert "held out: entity_f1" in captured.err
    assert whole["validation"]["how"] == "split"
    assert whole["best_epoch"] in (1, 2)
    assert whole["dev"]["entity_f1"] > 0.8
    report = json.loads((tmp_path / "whole" / "report.json").read_text("utf-8"))
    assert [row["name"] for row in report["evaluation"]["classes"]] == ["place", "time"]
    assert report["baseline"]["name"] == "the commonest tag of each word"
    assert "<h2>Intents</h2>" in (tmp_path / "whole" / "report.html").read_text("utf-8")

    with interrupted_after(1):
        assert main([*words, "--output", "part"]) == 130
    assert (tmp_path / "part" / TRAINING_FILE).exists()
    capsys.readouterr()
    assert main([*words, "--output", "part", "--resume"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert (resumed["loss"], resumed["dev"]) == (whole["loss"], whole["dev"])
    assert weights_digest("part") == weights_digest("whole")


@pytest.mark.parametrize(
    "option", [["--method", "convex"], ["--class-weight", "balanced"], ["--unknown"], ["--lexical", "on"]]
)
def test_options_of_other_tasks_are_refused(option: list[str], tmp_path: Path, capsys: Any) -> None:
    """What a tagger cannot do is not passed over in silence."""
    words = ["finetune", "--task", "tagging", "--train", "none.csv", "--output", str(tmp_path / "out"), *option]
    assert main(words) == 2
    assert f"{option[0]}: says nothing to a tagger" in capsys.readouterr().err


def test_evaluate_writes_a_page_and_a_table(tmp_path: Path, capsys: Any) -> None:
    """`--report` and `--predictions`, as for classes."""
    folder = small_taggers.trained()
    page, table = tmp_path / "r.html", tmp_path / "p.csv"
    words = ["evaluate", "--model", str(folder / "model"), "--test", str(folder / "test.csv")]
    assert main([*words, "--report", str(page), "--predictions", str(table)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    report = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert report["evaluation"]["figures"]["entity_f1"] == round(figures["entity_f1"], 4)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert list(rows[0]) == ["row", "label", "predicted", "score", "text"]
    assert any(row["label"].startswith("time: ") and row["label"] == row["predicted"] for row in rows)
