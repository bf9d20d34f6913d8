"""The nine tasks of GLUE (Wang et al. 2019): their files, columns and official metrics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.disk.tables import Table, read_table
from eelbert_tf.errors import InputError

TFDS = "tfds"


@dataclass(frozen=True)
class Task:
    """One task.

    Args:
        name: the name of GLUE's folder.
        texts: names of the columns of texts in the TSV files.
        label: the name of the column of labels.
        metrics: names in `METRICS`; their mean is the task's score.
        classes: labels in the order of the logits; none for regression.
        dev: names of the development sets, without ".tsv".
        header: names of the columns, for files that have no header line.
        features: names of the texts in tensorflow-datasets, if they differ from `texts`.
    """

    name: str
    texts: tuple[str, ...]
    label: str
    metrics: tuple[str, ...]
    classes: tuple[str, ...] = ("0", "1")
    dev: tuple[str, ...] = ("dev",)
    header: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None

    @property
    def regression(self) -> bool:
        """Whether labels are numbers."""
        return not self.classes

    @property
    def pair(self) -> bool:
        """Whether texts are pairs."""
        return len(self.texts) == 2


_SENTENCES = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
TASKS = {
    task.name: task
    for task in (
        Task("CoLA", ("sentence",), "label", ("matthews",), header=("source", "label", "star", "sentence")),
        Task("SST-2", ("sentence",), "label", ("accuracy",)),
        Task("MRPC", ("#1 String", "#2 String"), "Quality", ("f1", "accuracy"), features=_SENTENCES),
        Task("STS-B", _SENTENCES, "score", ("pearson", "spearman"), ()),
        Task("QQP", ("question1", "question2"), "is_duplicate", ("f1", "accuracy")),
        Task(
            "MNLI",
            _SENTENCES,
            "gold_label",
            ("accuracy",),
            ("entailment", "neutral", "contradiction"),
            ("dev_matched", "dev_mismatched"),
            features=("premise", "hypothesis"),
        ),
        Task("QNLI", ("question", "sentence"), "label", ("accuracy",), _ENTAILMENT),
        Task("RTE", _SENTENCES, "label", ("accuracy",), _ENTAILMENT),
        Task("WNLI", _SENTENCES, "label", ("accuracy",)),
    )
}
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": metrics.accuracy,
    "f1": lambda truth, predicted: float(metrics.f1_scores(truth, predicted, 2)[1]),
    "matthews": metrics.matthews,
    "pearson": metrics.pearson,
    "spearman": metrics.spearman,
}


@dataclass(frozen=True)
class TaskData:
    """A task's labelled texts: the training set, and each development set by name."""

    train: Table
    dev: dict[str, Table]

    @property
    def digest(self) -> str:
        """The SHA-256 of all texts and labels; it does not depend on where they were read from."""
        sets = {name: [table.texts, table.labels] for name, table in {"train": self.train, **self.dev}.items()}
        return hashlib.sha256(json.dumps(sets).encode()).hexdigest()


def read_task(task: Task, source: str) -> TaskData:
    """Reads a task's training and development sets.

    Args:
        task: the task.
        source: a folder with GLUE's folders of TSV files, or "tfds" for tensorflow-datasets.

    Raises:
        InputError: a file is missing or damaged, or tensorflow-datasets is not installed.
    """
    if source == TFDS:
        return _read_tfds(task)
    folder = Path(source, task.name)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected train.tsv and {task.dev[0]}.tsv of GLUE's {task.name}")
    kind = "regression" if task.regression else "classification"
    sets = {
        name: read_table(folder / f"{name}.tsv", task.texts, task.label, kind, task.header)
        for name in ("train", *task.dev)
    }
    for table in sets.values():
        for line, label in zip(table.lines, table.labels, strict=True):
            if task.classes and label not in task.classes:
                raise InputError(
                    f"{table.path}, row {line}: the label {label!r} is none of {task.name}'s: {', '.join(task.classes)}"
                )
    return TaskData(sets.pop("train"), sets)


def _read_tfds(task: Task) -> TaskData:
    """Reads a task from tensorflow-datasets, which downloads it once.

    Raises:
        InputError: tensorflow-datasets is not installed.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise InputError("--data tfds: needs tensorflow-datasets: pip install 'eelbert-tf[datasets]'") from None
    name = f"glue/{task.name.lower().replace('-', '')}"
    parts = {"train": "train", **{dev: dev.replace("dev", "validation") for dev in task.dev}}
    sets = {part: _from_tfds(task, tfds.load(name, split=split), name) for part, split in parts.items()}
    return TaskData(sets.pop("train"), sets)


def _from_tfds(task: Task, dataset: Any, name: str) -> Table:
    texts: list[Any] = []
    labels: list[Any] = []
    for row in dataset.as_numpy_iterator():
        sides = [row[feature].decode() for feature in task.features or task.texts]
        texts.append(sides[0] if len(sides) == 1 else tuple(sides))
        labels.append(float(row["label"]) if task.regression else task.classes[int(row["label"])])
    return Table(Path(name), texts, labels, list(range(1, len(texts) + 1)))


def scores(task: Task, truth: Sequence[Any], predicted: Sequence[Any]) -> dict[str, float]:
    """The official metrics, times 100.

    Args:
        task: the task, whose metrics are computed.
        truth: labels as in a `Table`.
        predicted: labels in the same form.
    """
    if task.regression:
        arrays = [np.asarray(values, np.float64) for values in (truth, predicted)]
    else:
        index = {name: i for i, name in enumerate(task.classes)}
        arrays = [np.array([index[label] for label in values], np.int64) for values in (truth, predicted)]
    return {name: 100 * METRICS[name](*arrays) for name in task.metrics}
