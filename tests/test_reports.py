"""Reports: the figures are right, and the page is whole, escapes what texts hold, and loads nothing."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.reports.evaluation import MISTAKES, evaluate
from eelbert_tf.reports.page import render, write_report
from eelbert_tf.reports.plots import Line, plot
from eelbert_tf.scores import Outputs
from eelbert_tf.tflite.commands.predictions import Measured, write_predictions

NAMES = ["a", "b", "<c>"]
CLASSES = Outputs("classification", 3, NAMES)
LABELS = ["a", "a", "b", "b", "<c>", "new & odd"]
SURE = np.log([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.05, 0.9, 0.05], [0.6, 0.1, 0.3], [0.4, 0.3, 0.3]])
TEXTS = ["one", b"two \xff", ("three", "<script>alert(1)</script>"), "four", "five " * 200, "six"]


class Page(html.parser.HTMLParser):
    """Checks that every tag is closed, and collects what is loaded and said."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [value for name, value in attributes if name in ("src", "href") and value]
        assert tag not in ("script", "link", "iframe", "img")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_classes() -> None:
    """Against figures by hand: of six texts three are right; a class that the model does not know counts as wrong."""
    found = evaluate(SURE, LABELS, CLASSES, TEXTS, [2, 3, 4, 5, 6, 7])
    assert found["n"] == 6
    assert found["figures"]["accuracy"] == 0.5
    assert found["confusion"] == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert found["classes"][0] == {"name": "a", "support": 2, "precision": 0.3333, "recall": 0.5, "f1": 0.4}
    assert found["classes"][1] == {"name": "b", "support": 2, "precision": 0.6667, "recall": 1.0, "f1": 0.8}
    assert found["figures"]["macro_f1"] == 0.3
    assert found["unseen_labels"] == {"new & odd": 1}
    assert [(row["row"], row["label"], row["predicted"]) for row in found["mistakes"]] == [
        (3, "a", "b"),
        (6, "<c>", "a"),
        (7, "new & odd", "a"),
    ]
    assert found["mistakes"][0]["text"] == "two \ufffd"
    assert found["mistakes"][0]["confidence"] == 0.7
    assert found["mistakes"][0]["of_label"] == 0.2
    assert found["mistakes"][2]["of_label"] is None
    assert len(found["mistakes"][1]["text"]) == 500
    assert sum(row["n"] for row in found["calibration"]) == 6
    gaps = [row["n"] * abs(row["accuracy"] - row["confidence"]) for row in found["calibration"]]
    assert found["figures"]["ece"] == pytest.approx(sum(gaps) / 6, abs=1e-3)
    many = evaluate(np.tile(SURE[1], (200, 1)), ["a"] * 200, CLASSES, ["x"] * 200)
    assert len(many["mistakes"]) == MISTAKES
    assert many["mistakes"][0]["row"] == 1


def test_numbers_and_labels() -> None:
    """The worst errors first; several labels a text, of which one is unknown to the model."""
    numbers = evaluate(np.array([[1.0], [2.0], [9.0]]), [1.0, 2.5, 3.0], Outputs("regression", 1), ["x", "y", "z"])
    assert numbers["figures"]["rmse"] == pytest.approx(np.sqrt((0.25 + 36) / 3), abs=1e-3)
    assert [row["row"] for row in numbers["mistakes"]] == [3, 2, 1]
    assert numbers["points"] == [[1.0, 1.0], [2.5, 2.0], [3.0, 9.0]]
    logits = np.log([[0.9 / 0.1, 0.2 / 0.8], [0.8 / 0.2, 0.1 / 0.9]])
    found = evaluate(logits, [("a",), ("a", "b", "new")], Outputs("multilabel", 2, ["a", "b"]), ["x", "y"])
    assert [row["f1"] for row in found["classes"]] == [1.0, 0.0, 0.0]
    assert found["unseen_labels"] == {"new": 1}
    assert found["mistakes"] == [
        {"row": 2, "text": "y", "label": "a|b|new", "predicted": "a", "confidence": pytest.approx(0.9)}
    ]
    for report in (numbers, found):
        Page(render({"title": "t", "evaluation": report}))


def test_page(tmp_path: Path) -> None:
    """All parts are there, texts are escaped, and nothing is loaded."""
    curve = [{"epoch": i, "loss": 1 / i, "dev": {"loss": 1.2 / i, "accuracy": 0.4 + 0.1 * i}} for i in (1, 2, 3)]
    report = {
        "title": "reviews <1>",
        "subtitle": "Trained",
        "warnings": ["labels & so on"],
        "model": {"parameters": 12345, "float32_bytes": 10**6, "int8_bytes": 3 * 10**5, "ms": 0.2, "ms_note": "a text"},
        "data": {
            "file": "train.csv",
            "rows": 6,
            "words": {"median": 1, "most": 9},
            "tokens": {"median": 3, "most": 11, "read": 128},
            "truncated": 1,
            "classes": {"a": 2, "b": 2},
        },
        "validation": {"how": "split", "seed": 3, "rows": [4, 9]},
        "curve": curve,
        "best_epoch": 2,
        "trials": [{"learning_rate": 1e-3, "epochs": 3, "dev": {"loss": 1.0, "accuracy": 0.5}}],
        "evaluation": evaluate(SURE, LABELS, CLASSES, TEXTS),
        "baseline": {"name": "TF-IDF", "figures": {"accuracy": 0.25}},
        "command": "eelbert finetune --train 'a b.csv'",
        "recipe": {"epochs": 3},
        "versions": {"keras": "3"},
    }
    write_report(report, tmp_path / "r" / "report.html")
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert json.loads((tmp_path / "r" / "report.json").read_text()) == report
    assert page.loaded == []
    for part in (
        "reviews <1>",
        "labels & so on",
        "50.0 %",
        "25.0 %",
        "12,345",
        "0.30 MB",
        "drawn by seed 3",
        "The weights are those of pass 2.",
        "Labels that the model does not know, counted as wrong: new & odd (1)",
        "The 3 worst mistakes",
        "4, 9",
        "eelbert finetune --train 'a b.csv'",
        "keras 3",
    ):
        assert part in page.text, part
    text = (tmp_path / "r" / "report.html").read_text()
    assert "<script" not in text
    assert not re.search(r"https?://", text)
    assert "No texts were held out" in Page(render({"title": "t", "curve": [{"epoch": 1, "loss": 2.0}]})).text


def test_predictions(tmp_path: Path) -> None:
    """A row for each text: what it is, what is said, how sure, and the text or the two texts."""
    rows = [Measured(2, "one, two", "a"), Measured(3, "three", "new")]
    write_predictions(str(tmp_path / "p.csv"), rows, SURE[:2], CLASSES)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["row,label,predicted,score,text", '2,a,a,0.8000,"one, two"', "3,new,b,0.7000,three"]
    several = Outputs("multilabel", 2, ["a", "b"])
    pairs = [Measured(2, (b"x", b"y"), ("a", "b")), Measured(3, ("x", "z"), ())]
    write_predictions(str(tmp_path / "p.csv"), pairs, np.array([[2.0, 3.0], [-1.0, -2.0]]), several)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["row,label,predicted,score,text_a,text_b", "2,a|b,b|a,0.9526|0.8808,x,y", "3,,,,x,z"]
    write_predictions(str(tmp_path / "p.csv"), [Measured(2, "x", 1.5)], np.array([[2.25]]), Outputs("regression", 1))
    assert (tmp_path / "p.csv").read_text().splitlines()[1] == "2,1.5,2.25,,x"


def test_very_many_classes_and_odd_plots() -> None:
    """Of very many classes the confused pairs are listed; plots of one point, of none and of NaN do not fail."""
    names = [f"class {i}" for i in range(60)]
    found = evaluate(
        np.eye(60)[[1, 1, 2]] * 9, ["class 0", "class 0", "class 2"], Outputs("classification", 60, names), ["x"] * 3
    )
    text = Page(render({"title": "t", "evaluation": found})).text
    assert "The pairs that are confused most." in text
    assert "class 0class 12" in text
    for points in ([], [(1.0, 1.0)], [(1.0, float("nan"))], [(0.0, -5.0), (1e9, 5.0)]):
        Page(plot([Line("x <y>", points), Line("", points, "dots")], "x & y", "z"))
