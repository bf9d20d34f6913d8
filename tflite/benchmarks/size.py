"""Size, memory, speed and accuracy of classifiers in all formats, and of baselines, in one table."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.tables import Table, check_seen
from eelbert_tf.errors import InputError
from eelbert_tf.scores import label_names
from eelbert_tf.tflite.runtimes.interpreter import LiteRT
from eelbert_tf.tflite.runtimes.models import check_classifier, check_model, load_keras

from .latency import (
    bert_classifier,
    ids_to_tflite,
    rust_tokenizer,
    wordpiece_vocabulary,
)
from .memory import Classify, Loadable, peak_growth
from .timing import interleave, summary

FORMATS = (
    *(("mobile", quantize) for quantize in ("none", "float16", "dynamic", "int8")),
    *(("micro", quantize) for quantize in ("none", "int8")),
)
_NUMBERS = {"none": "float32", "float16": "float16 weights", "dynamic": "dynamic", "int8": "int8 weights"}
_MEMORY_TEXTS = 50

METHOD = (
    "All models read the same slots and bytes of a text. Bytes are the file's; of TF-IDF, float32 weights and the "
    "vocabulary in UTF-8; of BERT, the file without its vocabulary. The arena is what TFLite Micro needs on this "
    "64-bit machine, weights not among it. Latency is from a text to its class, one text at a time, one thread: "
    "EELBERT through EelbertRuntime in LiteRT; BERT in LiteRT, with WordPiece by Hugging Face's tokenizers, in Rust, "
    "for every text; TF-IDF and fastText through their Python packages. All take turns on every text, in one process; "
    "p50 and p95 are over all these texts and rounds. TFLite Micro has no latency here: it is made for other machines. "
    "Peak memory is how much the resident set of a fresh process without TensorFlow grows, at its peak, from "
    f"its imports to the end of its first {_MEMORY_TEXTS} texts; in TFLite Micro the arena stands for it. Accuracy is "
    "on all test texts, of the file in the runtime it is for; a BERT with random weights has none. int8 on micro is "
    "calibrated on texts of the training set, the one that TF-IDF and fastText learn from."
)


class Classifier(Loadable, Protocol):
    """A row of the table."""

    @property
    def name(self) -> str:
        """What was trained."""

    @property
    def format(self) -> str:
        """How it is stored."""

    @property
    def bytes(self) -> int:
        """Size on a device."""


@dataclass(frozen=True)
class EelbertFile:
    """A file that `convert` wrote.

    Args:
        name: the model's.
        target: "mobile" or "micro".
        quantize: "none", "float16", "dynamic" or "int8".
        path: the file.
        arena_bytes: of TFLite Micro; `None` for "mobile".
    """

    name: str
    target: str
    quantize: str
    path: Path
    arena_bytes: int | None = None

    modules = ("ai_edge_litert.interpreter", "eelbert_tf.tflite.runtimes.litert")

    @property
    def format(self) -> str:
        """As a table says it: on micro int8 is more than the weights."""
        return f"micro {_NUMBERS[self.quantize].split()[0]}" if self.target == "micro" else _NUMBERS[self.quantize]

    @property
    def bytes(self) -> int:
        """The file's."""
        return self.path.stat().st_size

    def load(self) -> Classify:
        """A call from a text to its class."""
        from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
        from eelbert_tf.tflite.runtimes.tflm import TflmRuntime

        runtime = TflmRuntime(self.path) if self.target == "micro" else EelbertRuntime(self.path)
        names = label_names(runtime.metadata.labels, runtime.metadata.num_classes)
        return lambda text: names[int(runtime.predict([text])[0].argmax())]


@dataclass(frozen=True)
class BertFile:
    """BERT on token ids, and the pieces of its vocabulary.

    Args:
        name: the model's.
        path: the TFLite file.
        pieces: in the order of their ids.
        slots: tokens of a text.
        labels: names of the classes; `None` where the weights are random.
    """

    name: str
    path: Path
    pieces: Sequence[str]
    slots: int
    labels: Sequence[str] | None

    format = "float32"
    modules = ("ai_edge_litert.interpreter", "tokenizers.implementations")

    @property
    def bytes(self) -> int:
        """The file's."""
        return self.path.stat().st_size

    def load(self) -> Classify:
        """A call from a text to its class."""
        tokenize, run = rust_tokenizer(self.pieces, self.slots), LiteRT(self.path.read_bytes())
        names = self.labels or ("", "")
        return lambda text: names[int(run(tokenize(text))[0].argmax())]


def check(models: Sequence[str], train: Table, test: Table, max_tokens: int, max_bytes: int) -> None:
    """Checks models and texts before any work.

    Raises:
        InputError: a model is missing, or is no classifier of single texts with the labels of the test set.
    """
    from eelbert_tf.saving.folders import find_model
    from eelbert_tf.saving.info import read_info

    for table in (train, test):
        if isinstance(table.texts[0], tuple):
            raise InputError(f"{table.path}: pairs of texts; the size suite compares classifiers of single texts")
    names = [_name(model) for model in models]
    for model, name in zip(models, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"--model: {name} is the name of more than one; the table could not tell them apart")
        check_classifier(model)
        check_model(model, max_tokens, max_bytes)
        info, _ = read_info(find_model(model))
        if info.pair or info.task != "classification":
            kind = "classifier of pairs" if info.pair else f"model of the task {info.task}"
            raise InputError(f"{model}: a {kind}; the size suite compares classifiers of single texts")
        check_seen(test, label_names(info.labels, info.num_classes or 0))


def our_files(
    models: Sequence[str], train: Table, folder: Path, max_tokens: int, max_bytes: int
) -> tuple[list[EelbertFile | BertFile], list[str]]:
    """Converts models to all formats.

    Args:
        models: directories or presets, `check`ed. Where none is a BERT, one with random weights joins them.
        train: texts, to calibrate on.
        folder: where the files go.
        max_tokens: token slots.
        max_bytes: bytes of a text.

    Returns:
        The files, and a line for each thing that was left out.
    """
    from eelbert_tf.saving.folders import find_model
    from eelbert_tf.saving.info import read_info
    from eelbert_tf.tflite.conversion.convert import convert

    files: list[EelbertFile | BertFile] = []
    left_out = []
    formats = FORMATS
    if importlib.util.find_spec("tflite_micro") is None:
        formats = tuple(entry for entry in FORMATS if entry[0] != "micro")
        left_out.append("micro files: TFLite Micro is not installed: pip install 'eelbert-tf[micro]'")
    for model in models:
        name = _name(model)
        if read_info(find_model(model))[0].config.vocab_size is not None:
            bert = load_keras(model, max_tokens=max_tokens)
            path = folder / f"{name}.tflite"
            path.write_bytes(ids_to_tflite(bert))
            vocabulary = getattr(bert.preprocessor, "vocabulary", [])
            pieces = [piece.decode("utf-8", "backslashreplace") for piece in vocabulary]
            files.append(BertFile(name, path, pieces, max_tokens, label_names(bert.labels, bert.num_classes)))
            continue
        for target, quantize in with_progress(formats, "file"):
            path = folder / f"{name}-{target}-{quantize}.tflite"
            one = [max_tokens] if target == "mobile" else None  # length
            report = convert(model, path, target, quantize, max_tokens, max_bytes, train.texts, lengths=one)
            files.append(EelbertFile(name, target, quantize, path, report.get("arena_bytes")))
    if not any(isinstance(file, BertFile) for file in files):
        path = folder / "bert_tiny.tflite"
        path.write_bytes(ids_to_tflite(bert_classifier("bert_tiny", max_tokens)))
        pieces = wordpiece_vocabulary([str(text) for text in train.texts])
        files.append(BertFile("BERT-tiny, random weights", path, pieces, max_tokens, None))
        left_out.append("the accuracy of BERT-tiny: name a fine-tuned one among --model")
    return files, left_out


def run_suite(classifiers: Sequence[Classifier], test: Table, limit: int, rounds: int) -> dict[str, Any]:
    """Measures classifiers.

    Args:
        classifiers: in the order of the table.
        test: labelled single texts.
        limit: how many of them time is taken on.
        rounds: passes over these.

    Returns:
        The method and the rows; `None` stands for what does not apply.
    """
    texts = [str(text) for text in test.texts]
    rows, calls = [], {}
    for number, classifier in enumerate(with_progress(classifiers, "row")):
        arena = classifier.arena_bytes if isinstance(classifier, EelbertFile) else None
        untrained = isinstance(classifier, BertFile) and classifier.labels is None
        classify = classifier.load()
        rows.append(
            {
                "model": classifier.name,
                "format": classifier.format,
                "bytes": classifier.bytes,
                "arena_bytes": arena,
                "p50_ms": None,
                "p95_ms": None,
                "peak_bytes": None if arena else peak_growth(classifier, texts[:_MEMORY_TEXTS]),
                "accuracy": None if untrained else _accuracy(classify, test),
            }
        )
        if arena is None:
            calls[str(number)] = classify
    for key, times in interleave(calls, texts[:limit], rounds).items():
        rows[int(key)] |= summary(times)
    return {"method": METHOD, "rows": rows}


def _accuracy(classify: Classify, test: Table) -> float:
    right = [classify(str(text)) == label for text, label in zip(test.texts, test.labels, strict=True)]
    return round(float(np.mean(right)), 4)


def _name(model: str) -> str:
    return Path(os.path.abspath(model)).name
