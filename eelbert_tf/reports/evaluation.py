"""What predictions on labelled texts show: figures of each class, confusion, calibration, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.scores import Outputs
from eelbert_tf.text.strings import to_string

Text = str | bytes | tuple[str | bytes, str | bytes]

MISTAKES = 50
_BINS = 10
_LONGEST = 500  # characters of a text that are shown


def evaluate(
    logits: np.ndarray,
    labels: Sequence[Any],
    outputs: Outputs,
    texts: Sequence[Text],
    rows: Sequence[int] | None = None,
) -> dict[str, Any]:
    """What a model's outputs on labelled texts show.

    Args:
        logits: float `[n, num_outputs]`.
        labels: as in `read_truth`.
        outputs: how the logits are read. Of a model that may refuse a text, what it would say if it had to choose.
        texts: as the model was given them.
        rows: where they stand in their file; numbers from 1 by default.

    Returns:
        As `evaluate_classes`, `evaluate_labels` or `evaluate_numbers`.
    """
    truth, unseen = read_truth(labels, outputs)
    figures = metrics.task_figures(outputs, truth, logits)
    if outputs.task == "regression":
        return evaluate_numbers(truth, logits, texts, rows, figures)
    logits, outputs = outputs.forced(logits)
    names = [*map(str, outputs.names), *unseen]
    probabilities, decided = outputs.probabilities(logits), outputs.decide(logits)
    if outputs.task == "multilabel":
        return evaluate_labels(names, truth, probabilities, decided, texts, rows, figures)
    return evaluate_classes(names, truth, probabilities, texts, rows, decided)


def read_truth(labels: Sequence[Any], outputs: Outputs) -> tuple[np.ndarray, list[str]]:
    """Labels as `metrics.task_figures` takes them; those that the model does not know come after those that it does.

    Args:
        labels: for each text a class's name; names, where there may be several; or a number, or several.
        outputs: how the model's outputs are read.

    Returns:
        int64 `[n]`, bool `[n, labels]`, or float64 `[n]` or `[n, outputs]`; and the unknown names.
    """
    if outputs.task == "regression":
        return np.asarray(labels, np.float64), []
    names = [name for name in outputs.names if name is not None]
    index: dict[str, int] = {name: i for i, name in enumerate(names)}
    known = len(index)
    if outputs.task != "multilabel":
        found = np.array([index.setdefault(str(label), len(index)) for label in labels], np.int64)
        return found, list(index)[known:]
    numbers = [[index.setdefault(str(name), len(index)) for name in row] for row in labels]
    table = np.zeros((len(numbers), len(index)), bool)
    for i, row in enumerate(numbers):
        table[i, row] = True
    return table, list(index)[known:]


def evaluate_classes(
    names: Sequence[str],
    truth: np.ndarray,
    probabilities: np.ndarray,
    texts: Sequence[Text],
    rows: Sequence[int] | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, Any]:
    """Texts of one class each.

    Args:
        names: of the classes, in the order of the probabilities; then of those that the model does not know.
        truth: int `[n]`, the classes' numbers; from the number of probabilities on they are unknown to the model.
        probabilities: float `[n, classes]`.
        texts: as the model was given them.
        rows: where they stand in their file; numbers from 1 by default.
        predicted: int `[n]`, the classes that are said; the likeliest by default.

    Returns:
        `n`, `figures`, `classes`, `confusion` (the true class by row), `calibration`, `mistakes`, and `unseen_labels`
        with the number of their texts.
    """
    known = probabilities.shape[1]
    said = probabilities.argmax(axis=1) if predicted is None else np.asarray(predicted)
    confidence = probabilities[np.arange(len(said)), said]
    table = metrics.confusion(truth, said, len(names))
    right = said == truth
    f1 = metrics.f1_scores(truth, said, len(names))
    return {
        "n": len(truth),
        "figures": {
            "accuracy": _round(right.mean()),
            "macro_f1": _round(metrics.macro_f1(truth, said, len(names))),
            "ece": _round(metrics.calibration_error(right, confidence)),
        },
        "classes": [
            {
                "name": name,
                "support": int(table[i].sum()),
                "precision": _share(table[i, i], table[:, i].sum()),
                "recall": _share(table[i, i], table[i].sum()),
                "f1": _round(f1[i]),
            }
            for i, name in enumerate(names)
        ],
        "confusion": table.tolist(),
        "calibration": calibration(right, confidence),
        "unseen_labels": {name: int(table[i].sum()) for i, name in enumerate(names) if i >= known},
        "mistakes": [
            {
                "row": int(rows[i]) if rows is not None else i + 1,
                "text": show(texts[i]),
                "label": names[truth[i]],
                "predicted": names[said[i]],
                "confidence": _round(confidence[i]),
                "of_label": _round(probabilities[i, truth[i]]) if truth[i] < known else None,
            }
            for i in sorted(np.flatnonzero(~right).tolist(), key=lambda i: -confidence[i])[:MISTAKES]
        ],
    }


def evaluate_labels(
    names: Sequence[str],
    truth: np.ndarray,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    texts: Sequence[Text],
    rows: Sequence[int] | None = None,
    figures: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Texts of any number of labels.

    Args:
        names: of the labels; then of those that the model does not know.
        truth: bool `[n, labels]`; the columns behind those of the probabilities are unknown to the model.
        probabilities: float `[n, labels]`.
        predicted: bool `[n, labels]`.
        texts: as in `evaluate_classes`.
        rows: likewise.
        figures: of the task.

    Returns:
        As `evaluate_classes`, without the confusion; calibration is that of all labels of all texts.
    """
    known = probabilities.shape[1]
    said = np.pad(predicted, ((0, 0), (0, truth.shape[1] - known)))
    actual = truth[:, :known]
    right = said[:, :known] == actual
    confidence = np.where(said[:, :known], probabilities, 1 - probabilities)
    doubt = np.where(actual, 1 - probabilities, probabilities).max(axis=1)
    wrong = np.flatnonzero((said != truth).any(axis=1))
    hits, given, there = (said & truth).sum(axis=0), said.sum(axis=0), truth.sum(axis=0)
    return {
        "n": len(truth),
        "figures": {name: _round(value) for name, value in (figures or {}).items()},
        "classes": class_rows(names, hits, given, there),
        "calibration": calibration(right.ravel(), confidence.ravel()),
        "unseen_labels": {name: int(there[i]) for i, name in enumerate(names) if i >= known},
        "mistakes": [
            {
                "row": int(rows[i]) if rows is not None else i + 1,
                "text": show(texts[i]),
                "label": "|".join(names[k] for k in np.flatnonzero(truth[i]).tolist()),
                "predicted": "|".join(names[k] for k in np.flatnonzero(said[i]).tolist()),
                "confidence": _round(doubt[i]),
            }
            for i in sorted(wrong.tolist(), key=lambda i: -doubt[i])[:MISTAKES]
        ],
    }


def evaluate_numbers(
    truth: np.ndarray,
    values: np.ndarray,
    texts: Sequence[Text],
    rows: Sequence[int] | None = None,
    figures: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Texts with a number each, or several.

    Args:
        truth: float `[n]` or `[n, outputs]`.
        values: float `[n, outputs]`, what the model says.
        texts: as in `evaluate_classes`.
        rows: likewise.
        figures: of the task.

    Returns:
        `n`, `figures`, `points`, some pairs of true and predicted numbers, and `mistakes`.
    """
    truth = truth.reshape(len(truth), -1)
    error = np.abs(values - truth).max(axis=1)
    chosen = np.linspace(0, len(truth) - 1, min(500, len(truth))).astype(int)

    def said(numbers: np.ndarray) -> Any:
        return _round(numbers[0]) if len(numbers) == 1 else ", ".join(f"{number:.4g}" for number in numbers)

    return {
        "n": len(truth),
        "figures": {name: _round(value) for name, value in (figures or {}).items()},
        "points": [[_round(truth[i, k]), _round(values[i, k])] for i in chosen for k in range(truth.shape[1])],
        "mistakes": [
            {
                "row": int(rows[i]) if rows is not None else i + 1,
                "text": show(texts[i]),
                "label": said(truth[i]),
                "predicted": said(values[i]),
            }
            for i in np.argsort(-error, kind="stable")[:MISTAKES].tolist()
        ],
    }


def show(text: Text) -> str:
    """A text, or a pair, as reports show it."""
    sides = text if isinstance(text, tuple | list) else (text,)
    joined = " / ".join(map(to_string, sides))
    return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 3] + "..."


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((np.asarray(confidence) * _BINS).astype(int), _BINS - 1)


def class_rows(
    names: Sequence[str], hits: Sequence[int], given: Sequence[int], there: Sequence[int]
) -> list[dict[str, Any]]:
    """A row for each class, from counts: how often it was said and right, was said, and was there.

    Returns:
        Dictionaries with `name`, `support`, `precision`, `recall` and `f1`.
    """
    return [
        {
            "name": name,
            "support": int(there[i]),
            "precision": _share(hits[i], given[i]),
            "recall": _share(hits[i], there[i]),
            "f1": _share(2 * hits[i], given[i] + there[i]),
        }
        for i, name in enumerate(names)
    ]


def calibration(right: np.ndarray, confidence: np.ndarray) -> list[dict[str, Any]]:
    """How often what is said with some confidence is right.

    Args:
        right: bool `[n]`.
        confidence: float `[n]`.

    Returns:
        For each tenth of the confidence that occurs, `n`, and the means as `confidence` and `accuracy`.
    """
    number = _bins(confidence)
    found = []
    for i in range(_BINS):
        here = number == i
        if here.any():
            mean, share = float(confidence[here].mean()), float(right[here].mean())
            found.append({"n": int(here.sum()), "confidence": _round(mean), "accuracy": _round(share)})
    return found


def _share(part: Any, whole: Any) -> float:
    return _round(part / whole) if whole else 0.0


def _round(value: Any) -> float:
    return round(float(value), 4)
