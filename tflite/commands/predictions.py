"""What `eelbert evaluate` writes beside its figures: a page, and a table with a row for each text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eelbert_tf.disk.files import replace_file
from eelbert_tf.reports.evaluation import evaluate
from eelbert_tf.reports.page import write_report
from eelbert_tf.reports.tagging import TagReading
from eelbert_tf.scores import Outputs
from eelbert_tf.text.strings import TextOrPair, to_string


class Measured(NamedTuple):
    """A text that was measured."""

    row: int  # where it begins in the file
    text: TextOrPair
    label: Any  # a name, names, a number or numbers


def write_page(
    path: str, title: str, rows: Sequence[Measured], logits: np.ndarray, outputs: Outputs, command: str = ""
) -> None:
    """Writes the report of a test set, and beside it the same as JSON.

    Args:
        path: of the page.
        title: of the page.
        rows: the texts.
        logits: float `[n, num_outputs]`, of these texts.
        outputs: how they are read.
        command: that repeats it.

    Raises:
        InputError: a place cannot be written.
    """
    found = evaluate(
        logits, [row.label for row in rows], outputs, [row.text for row in rows], [row.row for row in rows]
    )
    write_report({"title": title, "evaluation": found, "command": command}, path)


def write_predictions(path: str, rows: Sequence[Measured], logits: np.ndarray, outputs: Outputs) -> None:
    """Writes a CSV file with `row`, `label`, `predicted`, `score` and the text or the two texts of each row.

    Args:
        path: of the file.
        rows: the texts.
        logits: float `[n, num_outputs]`, of these texts.
        outputs: how they are read. A class of no text is an empty cell; several labels stand between `|`.

    Raises:
        InputError: the file cannot be written.
    """
    pair = bool(rows) and isinstance(rows[0].text, tuple | list)
    with replace_file(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label", "predicted", "score", *(["text_a", "text_b"] if pair else ["text"])])
        for row, values in zip(rows, logits, strict=True):
            predicted, score = _said(outputs.answer(values))
            sides = row.text if isinstance(row.text, tuple | list) else (row.text,)
            writer.writerow([row.row, _cell(row.label), predicted, score, *map(to_string, sides)])


def write_tags(reading: TagReading, predictions: str | None, page: str | None, title: str, command: str = "") -> None:
    """Writes for a tagger what `write_predictions` and `write_page` write for other tasks; spans stand between `;`.

    Args:
        reading: the texts, and what is said of them. A text's score is the least of its spans.
        predictions: path of the table, or `None`.
        page: path of the page, or `None`.
        title: of the page.
        command: that repeats it.

    Raises:
        InputError: a place cannot be written.
    """
    if predictions is not None:
        with replace_file(Path(predictions)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "label", "predicted", "score", "text"])
            for answer in reading.answers:
                score = f"{min(answer.found.values()):.4f}" if answer.found else ""
                writer.writerow([answer.row.line, answer.label(), answer.said(), score, answer.row.text])
    if page is not None:
        write_report({"title": title, "evaluation": reading.evaluate(), "command": command}, page)


def _said(answer: dict[str, Any]) -> tuple[str, str]:
    """The cells for an answer, and for the probability of what it says."""
    if "label" in answer:
        return answer["label"] or "", f"{answer['score']:.4f}"
    if "labels" in answer:
        return "|".join(answer["labels"]), "|".join(f"{answer['scores'][name]:.4f}" for name in answer["labels"])
    return _cell(answer.get("value", tuple(answer.get("values", {}).values()))), ""


def _cell(label: Any) -> str:
    if isinstance(label, tuple | list):
        return "|".join(map(_cell, label))
    return f"{label:.6g}" if isinstance(label, float) else str(label)
