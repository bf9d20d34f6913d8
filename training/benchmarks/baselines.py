"""The trained rivals of a benchmark as files: TF-IDF under a logistic regression, and fastText, float and quantized."""

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

# Quantized by the recipe of its authors: the norms apart and, of pairs of words, the 100,000 vectors with the largest.
_KEPT_VECTORS = 100_000
# Longest run of words, and whether quantized. The float file with pairs has two million rows for them, 800 MB.
FASTTEXT = ((1, False), (1, True), (2, True))


@dataclass(frozen=True)
class TfidfFile:
    """A fitted TF-IDF rival.

    Args:
        path: where it is pickled.
        bytes: what a plain file would hold.
    """

    path: Path
    bytes: int

    name = "TF-IDF + logistic regression"
    format = "float32"
    modules = ("sklearn.feature_extraction.text", "sklearn.linear_model")

    def load(self) -> Callable[[str], str]:
        """A call from a text to its class."""
        rival = pickle.loads(self.path.read_bytes())
        return lambda text: rival.predict([text])[0]


@dataclass(frozen=True)
class FastTextFile:
    """A trained fastText.

    Args:
        name: how a table calls it.
        path: its file, .bin or .ftz.
        labels: names of the classes.
    """

    name: str
    path: Path
    labels: tuple[str, ...]

    modules = ("fasttext",)

    @property
    def format(self) -> str:
        """By the file's extension."""
        return {".bin": "float32", ".ftz": "quantized (.ftz)"}[self.path.suffix]

    @property
    def bytes(self) -> int:
        """The file's."""
        return self.path.stat().st_size

    def load(self) -> Callable[[str], str]:
        """A call from a text to its class."""
        rival = FastText.load(self.path, self.labels)
        return lambda text: rival.predict([text])[0]


def rivals(train: Table, folder: Path) -> tuple[list[Any], list[str]]:
    """Trains the rivals.

    Args:
        train: labelled single texts.
        folder: where their files go.

    Returns:
        The rivals, and a line for each left out: its package is not installed, or there are too few words to quantize.
    """
    found: list[Any] = []
    left_out = []
    try:
        tfidf = TfidfLogisticRegression().fit(train.texts, train.labels)
        path = folder / "tfidf.pickle"
        path.write_bytes(pickle.dumps(tfidf))
        found.append(TfidfFile(path, tfidf.size_bytes()))
    except InputError as error:
        left_out.append(str(error))
    try:
        for ngrams, quantize in FASTTEXT:
            name = "fastText, words" + (" and pairs" if ngrams > 1 else "")
            rival = FastText(ngrams=ngrams).fit(train.texts, train.labels)
            path = folder / f"fasttext{ngrams}{'.ftz' if quantize else '.bin'}"
            if quantize:
                try:
                    rival.model.quantize(qnorm=True, cutoff=_KEPT_VECTORS if ngrams > 1 else 0)
                except ValueError as error:  # too few words
                    left_out.append(f"{name}, quantized: {error}")
                    continue
            rival.model.save_model(os.fspath(path))
            found.append(FastTextFile(name, path, tuple(rival.names)))
    except InputError as error:
        left_out.append(str(error))
    return found, left_out
