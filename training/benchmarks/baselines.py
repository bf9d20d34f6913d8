"""Trained baselines of a benchmark, as files: TF-IDF with logistic regression, and fastText, float and quantized."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.disk.tables import Table
from eelbert_tf.errors import InputError
from eelbert_tf.training.finetune.baselines import FastText, TfidfLogisticRegression

# Quantized as its authors recommend: the norms separately and, with pairs of words, only the vectors with the largest.
_KEPT_VECTORS = 100_000
# The most words of a feature, and whether to quantize. The float file with pairs would have two million rows, 800 MB.
FASTTEXT = ((1, False), (1, True), (2, True))


@dataclass(frozen=True)
class TfidfFile:
    """A fitted TF-IDF baseline.

    Args:
        path: its pickle.
        bytes: size of the smallest plain file that could hold it.
    """

    path: Path
    bytes: int

    name = "TF-IDF + logistic regression"
    format = "float32"
    modules = ("sklearn.feature_extraction.text", "sklearn.linear_model")

    def load(self) -> Callable[[str], str]:
        """A function from a text to its class."""
        model = pickle.loads(self.path.read_bytes())
        return lambda text: model.predict([text])[0]


@dataclass(frozen=True)
class FastTextFile:
    """A trained fastText model.

    Args:
        name: its name in tables.
        path: its file, .bin or .ftz.
        labels: names of the classes.
    """

    name: str
    path: Path
    labels: tuple[str, ...]

    modules = ("fasttext",)

    @property
    def format(self) -> str:
        """The format, which the file's extension tells."""
        return {".bin": "float32", ".ftz": "quantized (.ftz)"}[self.path.suffix]

    @property
    def bytes(self) -> int:
        """The file's size."""
        return self.path.stat().st_size

    def load(self) -> Callable[[str], str]:
        """A function from a text to its class."""
        model = FastText.load(self.path, self.labels)
        return lambda text: model.predict([text])[0]


def train_baselines(train: Table, folder: Path) -> tuple[list[Any], list[str]]:
    """Trains the baselines.

    Args:
        train: labelled single texts.
        folder: where to write their files.

    Returns:
        The baselines, and a line for each one that is left out: if its package is not installed, or if there are too
        few words to quantize.
    """
    trained: list[Any] = []
    left_out = []
    try:
        tfidf = TfidfLogisticRegression().fit(train.texts, train.labels)
        path = folder / "tfidf.pickle"
        path.write_bytes(pickle.dumps(tfidf))
        trained.append(TfidfFile(path, tfidf.size_bytes()))
    except InputError as error:
        left_out.append(str(error))
    try:
        for ngrams, quantize in FASTTEXT:
            name = "fastText, words" + (" and pairs" if ngrams > 1 else "")
            model = FastText(ngrams=ngrams).fit(train.texts, train.labels)
            path = folder / f"fasttext{ngrams}{'.ftz' if quantize else '.bin'}"
            if quantize:
                try:
                    model.model.quantize(qnorm=True, cutoff=_KEPT_VECTORS if ngrams > 1 else 0)
                except ValueError as error:  # too few words
                    left_out.append(f"{name}, quantized: {error}")
                    continue
            model.model.save_model(os.fspath(path))
            trained.append(FastTextFile(name, path, tuple(model.names)))
    except InputError as error:
        left_out.append(str(error))
    return trained, left_out
