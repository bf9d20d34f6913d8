"""`eelbert evaluate`: measures a model on labelled texts."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.disk.files import check_file
from eelbert_tf.disk.inputs import chunks, read_texts
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.tables import Row, iter_rows
from eelbert_tf.disk.tagged import TaggedText, iter_tagged
from eelbert_tf.errors import InputError
from eelbert_tf.reports.tagging import TagReading
from eelbert_tf.scores import EMBEDDING, Outputs
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.runtimes.models import RUNTIMES, Model, default_runtime, model_help, open_model

from .predict import check_kind
from .predictions import Measured, write_page, write_predictions, write_tags

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
    add_label_arguments(parser)
    parser.add_argument("--unknown", metavar="F", help="texts that belong to no class: how many of them are refused")
    parser.add_argument("--report", metavar="F.html", help="page to write, with each class and the worst mistakes")
    parser.add_argument("--predictions", metavar="F.csv", help="table to write, with a row for each text")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, help="litert for a file or a preset that has one, keras for a directory"
    )


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where labels stand."""
    parser.add_argument(
        "--label-column", nargs="+", default=["label"], metavar="NAME", help="column of the labels, or one for each"
    )
    parser.add_argument("--label-separator", default="|", metavar="S", help="stands between several labels (|)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures and reports.

    Raises:
        InputError: a file cannot be read, or does not fit the model.
    """
    for path in (args.report, args.predictions):
        if path is not None:
            check_file(path)
    if args.report is not None and Path(args.report).suffix != ".html":
        raise InputError(f"--report: expected a name that ends in .html, not {args.report}")
    title = f"{Path(args.model).name}: {Path(args.test).name}"
    model = open_model(args.model, args.runtime)
    if model.metadata.task == EMBEDDING:
        raise InputError(f"{args.model}: gives embeddings, and no labels to measure; see eelbert embed and search")
    if model.metadata.task == "tagging":
        found, reading = measure_tags(model, iter_tagged(args.test))
        write_tags(reading, args.predictions, args.report, title, args.command_line)
        return {"runtime": args.runtime or default_runtime(args.model), **found}
    foreign: list[TextOrPair] = []
    if args.unknown is not None:
        if model.metadata.task != "classification":
            raise InputError(f"--unknown: is for classification; the model's task is {model.metadata.task}")
        foreign = list(check_kind(read_texts(args.unknown, args.text_columns), model.metadata, args.unknown))
    kept: list[Measured] | None = [] if args.report or args.predictions else None
    labels, rows = labelled(args, model.metadata, args.test, kept)
    found, logits = measure(model, (labels, rows), foreign)
    if kept is not None and args.predictions:
        write_predictions(args.predictions, kept, logits, labels.outputs)
    if kept is not None and args.report:
        write_page(args.report, title, kept, logits, labels.outputs, args.command_line)
    return {"runtime": args.runtime or default_runtime(args.model), **found}


@dataclass
class Labels:
    """Labels of a table as the metrics take them; those that the model does not know come after those that it does.

    Args:
        outputs: how the model's logits are read.
        path: the table, for messages.

    Attributes:
        unseen: how often there was each label that the model does not know.
    """

    outputs: Outputs
    path: str

    def __post_init__(self) -> None:
        names = [name for name in self.outputs.names if name is not None]
        self._index = {name: i for i, name in enumerate(names)}
        if not any(name.isdigit() for name in names):  # a table may number the classes that the model calls by name
            self._index |= {str(i): i for i in range(len(names))}
        self._known = len(names)
        self.unseen: Counter[str] = Counter()

    def number(self, label: Any) -> Any:
        """A row's label: an index, a list of indices, or numbers as they are."""
        if self.outputs.task == "regression":
            return label
        if isinstance(label, tuple):
            return [self._find(name) for name in label]
        return self._find(label)

    def name(self, label: Any, number: Any) -> Any:
        """A row's label by the model's own names, which the table may have numbered."""
        if isinstance(label, tuple) and self.outputs.task != "regression":
            return tuple(self.name(one, i) for one, i in zip(label, number, strict=True))
        known = self.outputs.task != "regression" and number < self._known
        return self.outputs.names[number] if known else label

    def _find(self, name: str) -> int:
        if name in self._index:
            return self._index[name]
        self.unseen[name] += 1
        return self._known + list(self.unseen).index(name)

    def as_truth(self, rows: Sequence[Any]) -> np.ndarray:
        """All rows' labels, as `metrics.task_figures` takes them.

        Raises:
            InputError: the model knows none of the labels.
        """
        if self.outputs.task == "regression":
            return np.array(rows, np.float64)
        flat = [i for row in rows for i in (row if isinstance(row, list) else [row])]
        if self.unseen and all(i >= self._known for i in flat):
            raise InputError(
                f"{self.path}: the model knows none of the labels, {_some(list(self.unseen))}; expected some of: "
                f"{_some(self.outputs.names)}"
            )
        if self.outputs.task != "multilabel":
            return np.array(rows, np.int64)
        truth = np.zeros((len(rows), self._known + len(self.unseen)), bool)
        for i, row in enumerate(rows):
            truth[i, row] = True
        return truth


def measure(
    model: Model, data: tuple[Labels, Iterator[tuple[TextOrPair, Any]]], foreign: Sequence[TextOrPair] = ()
) -> tuple[dict[str, Any], np.ndarray]:
    """Scores of a model on labelled texts, its time for one text, and how many texts it truncated.

    Of a model that reads long texts in windows also its time for 100 words, divided at white space.

    Args:
        model: what is measured.
        data: the labelled texts.
        foreign: texts that belong to none of the classes.

    Returns:
        The figures, and the logits of the labelled texts.
    """
    labels, rows = data
    truth: list[Any] = []
    outputs: list[np.ndarray] = []
    truncated, seconds, words = 0, 0.0, 0
    model.predict([("a", "a") if model.metadata.pair else "a"])  # loads and compiles
    for chunk in chunks(with_progress(rows, "text"), TEXTS_AT_ONCE):
        texts = [text for text, _ in chunk]
        start = time.perf_counter()
        outputs.append(model.predict(texts))
        seconds += time.perf_counter() - start
        truth += [label for _, label in chunk]
        truncated += sum(map(model.is_truncated, texts))
        if model.metadata.windows is not None:
            words += sum(len(text.split()) for text in texts if not isinstance(text, tuple))
    known = np.concatenate(outputs)
    figures = describe(labels, labels.as_truth(truth), known)
    if len(foreign):
        figures |= refusal(labels.outputs, known, model.predict(foreign))
    elif labels.outputs.can_refuse:
        figures["kept"] = float((labels.outputs.decide(known) < known.shape[1] - 1).mean())
    figures |= {"n": len(truth), "ms_per_text": round(1000 * seconds / len(truth), 4), "truncated": truncated}
    if model.metadata.windows is not None:
        figures["ms_per_100_words"] = round(100_000 * seconds / max(words, 1), 4)
    return figures, known


def measure_tags(model: Model, rows: Iterator[TaggedText]) -> tuple[dict[str, Any], TagReading]:
    """Scores of a tagger on tagged texts, its time for one of them, and how many it could not read whole.

    Returns:
        F1 of whole entities and the share of words with the right tag, and where model and texts have classes,
        `accuracy`; and what they were counted from.
    """
    reading = TagReading(model.metadata.names, model.metadata.labels)
    truncated, seconds = 0, 0.0
    model.tag_outputs(["a"])  # loads and compiles
    for chunk in chunks(with_progress(rows, "text"), TEXTS_AT_ONCE):
        start = time.perf_counter()
        found = model.tag_outputs([row.text for row in chunk])
        seconds += time.perf_counter() - start
        for row, outputs in zip(chunk, found, strict=True):
            reading.add(row, outputs)
        truncated += sum(model.is_truncated(row.text) for row in chunk)
    count = len(reading.answers)
    figures = {"n": count, "ms_per_text": round(1000 * seconds / count, 4), "truncated": truncated}
    return {**reading.figures(), **figures}, reading


def refusal(outputs: Outputs, known: np.ndarray, foreign: np.ndarray) -> dict[str, Any]:
    """How well a model tells known texts from foreign ones.

    Args:
        outputs: how its logits are read.
        known: float `[n, classes]`, logits of texts of its classes.
        foreign: of texts that belong to none.

    Returns:
        `auroc`, the chance that a known text looks more known than a foreign one; `refused`, the share of foreign texts
        that get no class, and `kept`, that of known ones that get one. A model that never refuses has only the first.
    """
    figures: dict[str, Any] = {
        "auroc": metrics.auroc(outputs.knownness(known), outputs.knownness(foreign)),
        "n_unknown": len(foreign),
    }
    if outputs.can_refuse:
        figures["refused"] = float((outputs.decide(foreign) == foreign.shape[1] - 1).mean())
        figures["kept"] = float((outputs.decide(known) < known.shape[1] - 1).mean())
    return figures


def describe(labels: Labels, truth: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """The figures of a task, with a row for each label, or for each number, where a text has several."""
    outputs = labels.outputs
    figures: dict[str, Any] = metrics.task_figures(outputs, truth, logits)
    if outputs.task == "multilabel":
        table = metrics.label_table(truth[:, : logits.shape[1]], outputs.decide(logits))
        figures["labels"] = {
            name: {
                **dict(zip(("precision", "recall", "f1"), np.round(row, 4).tolist(), strict=True)),
                "n": int(count),
                "threshold": round(float(least), 4),
            }
            for name, row, count, least in zip(outputs.names, table, truth.sum(axis=0), outputs.least, strict=False)
        }
    if outputs.task == "regression" and logits.shape[1] > 1:
        figures["values"] = {
            name: metrics.regression_figures(truth[:, i], logits[:, i]) for i, name in enumerate(outputs.names)
        }
    if labels.unseen:
        count = sum(labels.unseen.values())
        print(
            f"eelbert evaluate: {labels.path}: {count:,} labels do not occur in the model and count as missed: "
            f"{_some(list(labels.unseen))}",
            file=sys.stderr,
        )
        figures["unseen_labels"] = dict(labels.unseen)
    return figures


def labelled(
    args: argparse.Namespace, metadata: Metadata, path: str, kept: list[Measured] | None = None
) -> tuple[Labels, Iterator[tuple[TextOrPair, Any]]]:
    """Texts of a file with their labels, as `measure` takes them.

    Classes are named in it, or numbered from 0 where the model's own names are no numbers.

    Args:
        args: the options that say what stands where.
        metadata: what the model takes and gives.
        path: the file.
        kept: gets every row, with the label by the model's name, where it is given.

    Raises:
        InputError: a row cannot be read, or its text is of the other kind.
    """
    labels, columns = Labels(metadata.outputs, path), args.label_column
    if metadata.labels and len(columns) > 1 and set(columns) == set(metadata.labels):
        columns = metadata.labels  # in the order of the outputs

    def checked() -> Iterator[tuple[TextOrPair, Any]]:
        rows = iter_rows(path, args.text_columns, columns, task=metadata.task, separator=args.label_separator)
        for row in rows:
            _check_kind(row, metadata, path)
            number = labels.number(row.label)
            if kept is not None:
                kept.append(Measured(row.line, row.text, labels.name(row.label, number)))
            yield row.text, number

    return labels, checked()


def _check_kind(row: Row, metadata: Metadata, path: str) -> None:
    """Checks that a row fits the model.

    Raises:
        InputError: its text is of the other kind, or it has more or fewer numbers than the model gives.
    """
    where = f"{path}, row {row.line}"
    if isinstance(row.text, tuple) != metadata.pair:
        kinds = ("pairs of texts", "a single text") if metadata.pair else ("a single text", "pairs of texts")
        raise InputError(f"{where}: the model takes {kinds[0]}; the file holds {kinds[1]}")
    if metadata.task == "regression" and metadata.num_classes != np.size(row.label):
        raise InputError(
            f"{where}: the model gives {metadata.num_classes} numbers ({_some(metadata.outputs.names)}); name as many "
            f"columns with --label-column. Received: {np.size(row.label)}"
        )


def _some(names: Sequence[str | None]) -> str:
    shown = [repr(name) for name in names if name is not None]
    return ", ".join(shown[:10]) + (", ..." if len(shown) > 10 else "")
