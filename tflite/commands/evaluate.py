"""`eelbert evaluate`: measures a model on labelled texts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.disk.inputs import chunks
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.tables import iter_rows, parse_number
from eelbert_tf.disk.tagged import TaggedText, iter_tagged
from eelbert_tf.errors import InputError
from eelbert_tf.scores import label_names
from eelbert_tf.text.spans import tags_by_outputs, tags_of_words
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.runtimes.models import RUNTIMES, Model, default_runtime, model_help, open_model

TEXTS_AT_ONCE = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", required=True, metavar="MODEL", help=model_help())
    parser.add_argument(
        "--test",
        required=True,
        metavar="F",
        help="CSV or TSV with a header: text (text_a, text_b), label; of a tagger: tokens, tags; or CoNLL columns",
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, help="litert for a file or a preset that has one, keras for a directory"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures and reports."""
    model = open_model(args.model, args.runtime)
    if model.metadata.task == "tagging":
        return {"runtime": args.runtime or default_runtime(args.model), **measure_tags(model, iter_tagged(args.test))}
    rows = labelled(args.test, args.text_columns, args.label_column, model.metadata)
    return {"runtime": args.runtime or default_runtime(args.model), **measure(model, rows)}


def measure(model: Model, rows: Iterator[tuple[TextOrPair, float]]) -> dict[str, Any]:
    """Scores of a model on labelled texts, its time for one text, and how many texts it truncated."""
    truth: list[float] = []
    predicted: list[float] = []
    truncated, seconds = 0, 0.0
    regression = model.metadata.task == "regression"
    model.predict([("a", "a") if model.metadata.pair else "a"])  # loads and compiles
    for chunk in chunks(with_progress(rows, "text"), TEXTS_AT_ONCE):
        texts = [text for text, _ in chunk]
        start = time.perf_counter()
        logits = model.predict(texts)
        seconds += time.perf_counter() - start
        truth += [label for _, label in chunk]
        predicted += (logits[:, 0] if regression else logits.argmax(axis=1)).tolist()
        truncated += sum(map(model.is_truncated, texts))
    if regression:
        figures = metrics.regression_figures(truth, predicted)
    else:
        classes = np.array(truth, np.int64), np.array(predicted, np.int64)
        figures = metrics.classification_figures(*classes, model.metadata.num_classes)
    return {**figures, "n": len(truth), "ms_per_text": round(1000 * seconds / len(truth), 4), "truncated": truncated}


def measure_tags(model: Model, rows: Iterator[TaggedText]) -> dict[str, Any]:
    """Scores of a tagger on tagged texts, its time for one of them, and how many it could not read whole.

    Returns:
        F1 of whole entities and the share of words with the right tag; where model and texts have classes, `accuracy`.
    """
    metadata = model.metadata
    labels = metadata.labels or []
    truth: list[list[str]] = []
    predicted: list[list[str]] = []
    right: list[bool] = []
    truncated, seconds = 0, 0.0
    model.tag_outputs(["a"])  # loads and compiles
    for chunk in chunks(with_progress(rows, "text"), TEXTS_AT_ONCE):
        start = time.perf_counter()
        found = model.tag_outputs([row.text for row in chunk])
        seconds += time.perf_counter() - start
        for row, outputs in zip(chunk, found, strict=True):
            truth.append(tags_of_words(row.text, row.words, row.spans))
            predicted.append(tags_by_outputs(outputs, metadata.names, row.text, row.words))
            if labels and row.intent is not None:
                right.append(labels[int(outputs["label"].argmax())] == row.intent)
        truncated += sum(model.is_truncated(row.text) for row in chunk)
    figures = metrics.tagging_figures(truth, predicted)
    if right:
        figures["accuracy"] = float(np.mean(right))
    return {**figures, "n": len(truth), "ms_per_text": round(1000 * seconds / len(truth), 4), "truncated": truncated}


def labelled(
    path: str, text_columns: list[str] | None, label_column: str, metadata: Metadata
) -> Iterator[tuple[TextOrPair, float]]:
    """Texts of a file, with the index of their class or, for regression, their number.

    Classes are named in it, or numbered from 0 where the model's own names are no numbers.

    Raises:
        InputError: a row's label is unknown to the model, or its text is of the other kind.
    """
    names = label_names(metadata.labels, metadata.num_classes)
    index = {name: float(i) for i, name in enumerate(names)}
    if not any(name.isdigit() for name in names):  # a table may number the classes that the model calls by name
        index |= {str(i): float(i) for i in range(len(names))}
    for row in iter_rows(path, text_columns, label_column):
        where = f"{path}, row {row.line}"
        if isinstance(row.text, tuple) != metadata.pair:
            kinds = ("pairs of texts", "a single text") if metadata.pair else ("a single text", "pairs of texts")
            raise InputError(f"{where}: the model takes {kinds[0]}; the file holds {kinds[1]}")
        label = row.label or ""
        if metadata.task == "regression":
            yield row.text, parse_number(label, path, row.line)
        elif label in index:
            yield row.text, index[label]
        else:
            known = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
            raise InputError(f"{where}: the label {label[:40]!r} does not occur in the model; expected one of: {known}")
