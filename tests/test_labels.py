"""Labels of every task: cells of tables, columns of Python, answers from logits, thresholds and temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf import metrics
from eelbert_tf.disk.labels import joined_by
from eelbert_tf.disk.tables import check_labels, read_table
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.targets import (
    ClassNames,
    binary_targets,
    class_targets,
    class_weights,
    multilabel_targets,
    number_targets,
)
from eelbert_tf.scores import Outputs


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


SEVERAL = {
    "cells.csv": 'text,label\na,x|y\nb,\nc,"y"\n',
    "lists.jsonl": '{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": []}\n{"text": "c", "label": "y"}\n',
    "null.jsonl": '{"text": "a", "label": "x|y"}\n{"text": "b", "label": null}\n{"text": "c", "label": ["y", "y"]}\n',
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_labels_in_one_column(tmp_path, name):
    table = read_table(_write(tmp_path / name, SEVERAL[name]), task="multilabel")
    assert table.labels == [("x", "y"), (), ("y",)]
    assert check_labels(table, "multilabel") == ["x", "y"]


def test_one_column_for_each_label(tmp_path):
    path = _write(tmp_path / "a.csv", "text,joy,fear,awe\na,1,0,\nb,0,0,no\nc,true,X,0.0\n")
    table = read_table(path, None, ["joy", "fear", "awe"], "multilabel")
    assert table.labels == [("joy",), (), ("joy", "fear")]
    assert check_labels(table, "multilabel") == ["joy", "fear", "awe"]
    _write(path, "text,joy,fear\na,1,2\n")
    with pytest.raises(InputError, match="row 2: '2' in the label column `fear`; expected 1 or 0"):
        read_table(path, None, ["joy", "fear"], "multilabel")
    with pytest.raises(InputError, match="2 label columns; --task classification reads one"):
        read_table(path, None, ["joy", "fear"])


def test_several_numbers(tmp_path):
    path = _write(tmp_path / "a.csv", "text,price,size\na,1e6,0.5\nb,2,-1\n")
    table = read_table(path, None, ["price", "size"], "regression")
    assert table.labels == [(1e6, 0.5), (2.0, -1.0)]
    assert check_labels(table, "regression") == ["price", "size"]
    assert check_labels(read_table(path, None, "size", "regression"), "regression") is None


def test_bad_cells(tmp_path):
    for text, task, message in (
        ("text,label\na,x||y\n", "multilabel", "row 2: an empty label among 'x||y'"),
        ("text,label\na,\nb,\n", "multilabel", "none of the 2 rows has a label"),
        ("text,label\na,x\nb,y\nc,z\n", "binary", r"3 classes \('x', 'y', 'z'\); --task binary takes two"),
        ("text,label\na,x\n", "regression", "row 2: the label 'x' is not a number"),
    ):
        with pytest.raises(InputError, match=message):
            check_labels(read_table(_write(tmp_path / "a.csv", text), task=task), task)
    with pytest.raises(InputError, match="expected a list of strings"):
        read_table(_write(tmp_path / "a.jsonl", '{"text": "a", "label": [["x"]]}\n'), task="multilabel")


def test_joined_labels_are_noticed():
    assert joined_by(["order;repair", "order", "repair", "praise", "praise;order", "repair;order"]) == ";"
    assert joined_by(["joy|love", "love|awe", "joy", "awe"] * 5) == "|"
    assert joined_by(["New York, NY", "Austin, TX", "Boston, MA", "Salem, OR"]) is None
    assert joined_by(["a", "b", "a|", "c"]) is None
    assert joined_by(["ham", "spam"] * 50) is None


def test_numbers_are_names_or_indices_but_never_both():
    """Where classes are called by numbers a number is a name, where they are called by words it is an index."""
    assert class_targets([1, 2, 5], ["1", "2", "5"], 3).tolist() == [0, 1, 2]
    assert class_targets(["5", 1.0, b"2"], ["1", "2", "5"], 3).tolist() == [2, 0, 1]
    assert class_targets(np.array([5, 1]), ["1.0", "5.0"], 2).tolist() == [1, 0]
    assert class_targets([True, False], ["True", "False"], 2).tolist() == [0, 1]
    assert class_targets([1, 0], ["a", "b"], 2).tolist() == [1, 0]
    for y, labels, message in (
        ([0, 1], ["1", "2"], "Unknown label. Known: '1', '2'. Names are numbers here.*row 0: 0"),
        (["0"], ["a", "b"], "Unknown label. Known: 'a', 'b'. Received in row 0: '0'"),
        ([True], ["1", "1.0"], "Unknown label"),
        ([2], ["a", "b"], "whole numbers from 0 to 1, or names of classes"),
    ):
        with pytest.raises(ValueError, match=message):
            class_targets(y, labels, 2)


def test_weights_of_classes_name_classes():
    targets = np.array([0, 1, 1])
    assert class_weights({"5": 3}, targets, ["1", "5"], 2).tolist() == [1, 3, 3]
    assert class_weights({5: 3.0}, targets, ["1", "5"], 2).tolist() == [1, 3, 3]
    assert class_weights({1: 3.0}, targets, ["a", "b"], 2).tolist() == [1, 3, 3]
    for weights, labels in (({"c": 1}, ["a", "b"]), ({2: 1}, ["a", "b"]), ({0: 1}, ["1", "5"]), ({None: 1}, None)):
        with pytest.raises(ValueError, match="names an unknown class"):
            class_weights(weights, targets, labels, 2)
    for wrong in ([1, 2], {0: "much"}, {0: -1.0}, "even"):
        with pytest.raises(ValueError, match="`class_weight` must be"):
            class_weights(wrong, targets, ["a", "b"], 2)
    with pytest.raises(ValueError, match="one class per text"):
        class_weights({"a": 2.0}, np.zeros((3, 2)), ["a", "b"], 2)


def test_targets_of_two_classes():
    assert binary_targets(["ham", "spam"], ["ham", "spam"]).tolist() == [0, 1]
    assert binary_targets([True, 0, 1.0], None).tolist() == [1, 0, 1]
    assert binary_targets([0.25, 1.0], None).tolist() == [0.25, 1]
    assert binary_targets(np.array([[0.75, 0.25]]), ["a", "b"]).tolist() == [0.25]
    with pytest.raises(ValueError, match="row 1: 2"):
        binary_targets([0, 2], None)


def test_targets_of_several_labels():
    labels = ["a", "b", "c"]
    expected = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    forms: list[Any] = [expected, np.array(expected), [("a", "c"), (), ["b"]], [{"c", "a"}, set(), {"b"}]]
    for y in forms:
        assert multilabel_targets(y, labels, 3).tolist() == expected
    assert multilabel_targets([[2], []], ["1", "2", "3"], 3).tolist() == [[0, 1, 0], [0, 0, 0]]
    wrong: list[tuple[Any, str]] = [
        ([["a"], ["d"]], "Unknown label.*row 1: 'd'"),
        ([[0, 2], [1]], "Expected lists of names, or 3 numbers"),
        (["a", "b"], "a list of labels for each text.*row 0: 'a'"),
        ([[1, 0], [0, 1]], "Expected lists of names, or 3 numbers"),
        (np.array([[0.0, 2.0, 0.0]]), "Expected 0 or 1 for each label"),
        (np.array([[0.0, np.nan, 0.0]]), "finite"),
    ]
    for y, message in wrong:
        with pytest.raises(ValueError, match=message):
            multilabel_targets(y, labels, 3)


def test_targets_of_several_numbers():
    assert number_targets([[1, 2], [3, 4]], 2).shape == (2, 2)
    with pytest.raises(ValueError, match="Expected 2 numbers per text"):
        number_targets([1.0, 2.0], 2)
    with pytest.raises(ValueError, match="Expected 1 number per text"):
        number_targets([[1.0, 2.0]], 1)


def test_names_of_no_class():
    assert ClassNames(["a", "b", None], 3).index(None, 0) == 2
    with pytest.raises(ValueError, match="Row 0 has no label"):
        ClassNames(["a", "b"], 2).index(None, 0)


ANSWERS: dict[str, tuple[Outputs, list[float], dict[str, Any]]] = {
    "one class": (
        Outputs("classification", 3, ["a", "b", "c"]),
        [0.0, np.log(2.0), 0.0],
        {"label": "b", "score": 0.5, "scores": {"b": 0.5, "a": 0.25, "c": 0.25}},
    ),
    "none of these": (
        Outputs("classification", 3, ["a", "b", None]),
        [0.0, 0.0, np.log(2.0)],
        {
            "label": None,
            "score": 0.5,
            "scores": {"a": 0.25, "b": 0.25},
            "reason": "unlike the texts of every class; the nearest, 'a', has 0.250",
        },
    ),
    "one logit": (
        Outputs("binary", 1, ["no", "yes"], [0.2]),
        [-np.log(3.0)],
        {"label": "yes", "score": 0.25, "scores": {"no": 0.75, "yes": 0.25}},
    ),
    "several": (
        Outputs("multilabel", 3, ["a", "b", "c"], [0.5, 0.6, 0.9]),
        [0.0, np.log(3.0), np.log(3.0)],
        {"labels": ["b", "a"], "scores": {"b": 0.75, "c": 0.75, "a": 0.5}},
    ),
    "none": (Outputs("multilabel", 2), [-9.0, -9.0], {"labels": [], "scores": {"0": 0.0, "1": 0.0}}),
    "a number": (Outputs("regression", 1), [2.5], {"value": 2.5}),
    "numbers": (Outputs("regression", 2, ["x", "y"]), [2.5, -1.0], {"values": {"x": 2.5, "y": -1.0}}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name):
    outputs, logits, expected = ANSWERS[name]
    outputs.check()
    found = outputs.answer(np.array(logits))
    assert list(found) == list(expected)
    for key, value in expected.items():
        if isinstance(value, dict):
            assert list(found[key]) == list(value)
            assert found[key] == pytest.approx(value, abs=1e-3)
        else:
            assert found[key] == (pytest.approx(value) if isinstance(value, float) else value)


def test_outputs_that_cannot_be():
    for outputs, message in (
        (Outputs("classification", 2, ["a"]), "one name per class"),
        (Outputs("classification", 2, ["a", "a"]), "differ from one another"),
        (Outputs("classification", 3, ["a", None, "b"]), "may end with None"),
        (Outputs("multilabel", 3, ["a", "b", None]), "may end with None"),
        (Outputs("classification", 2, thresholds=[0.5, 0.5]), "for binary and multilabel"),
        (Outputs("multilabel", 2, thresholds=[0.5]), "must be 2 probabilities"),
        (Outputs("multilabel", 1, thresholds=[float("nan")]), "must be 1 probabilities"),
    ):
        with pytest.raises(ValueError, match=message):
            outputs.check()


def test_figures_of_several_labels_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth = rng.random((60, 5)) < [0.5, 0.2, 0.05, 0.9, 0.0]
    scores = np.round(rng.random((60, 5)), 1)  # with ties
    figures = metrics.multilabel_figures(truth, scores > 0.6, scores)
    for name in ("micro", "macro"):
        expected = sklearn.f1_score(truth, scores > 0.6, average=name, zero_division=0)
        assert figures[f"{name}_f1"] == pytest.approx(expected)
    precisions = [sklearn.average_precision_score(truth[:, i], scores[:, i]) for i in range(4)]
    assert figures["map"] == pytest.approx(np.mean(precisions))
    table = metrics.label_table(truth, scores > 0.6)
    expected = sklearn.precision_recall_fscore_support(truth, scores > 0.6, zero_division=0)[:3]
    np.testing.assert_allclose(table, np.transpose(expected))


def test_figures_of_unseen_labels():
    """The model is never right about a class that it does not know."""
    figures = metrics.task_figures(Outputs("classification", 2), np.array([0, 1, 2, 2]), np.eye(2)[[0, 1, 0, 1]])
    assert figures["accuracy"] == 0.5
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    truth = np.array([[True, False, True]])
    figures = metrics.task_figures(Outputs("multilabel", 2), truth, np.array([[9.0, -9.0]]))
    assert figures["micro_f1"] == pytest.approx(2 / 3)


def test_calibration_error():
    """Of texts with probability 0.8 as many are right: no error; of ones with 0.9 all are wrong: 0.9."""
    confidence = np.full(10, 0.8)
    assert metrics.calibration_error(np.arange(10) < 8, confidence) == pytest.approx(0.0, abs=1e-12)
    assert metrics.calibration_error(np.zeros(10), np.full(10, 0.9)) == pytest.approx(0.9)
    assert metrics.calibration_error([True], [1.0]) == 0.0
