"""Whatever can be trained on labelled texts and then predict, by name: our models, BERT, and what a user would pick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.tables import Table

from .finetune import SCRATCH, Labelled, Recipe, default_epochs, finetune, start

Predict = Callable[[Sequence[Any]], list[Any]]

RIVALS = ("tfidf", "fasttext")


@dataclass(frozen=True)
class Contender:
    """What to train.

    Args:
        model: "tfidf", "fasttext", "scratch", a preset's name, a model directory, or the folder of a pretraining run.
        config: a named size; used from scratch only.
        epochs: passes over the training texts; `None` for as many as suit them.
        batch_size: texts per step.
    """

    model: str
    config: str = "eelbert_uno"
    epochs: int | None = None
    batch_size: int = 32

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.config} from scratch" if self.model == SCRATCH else Path(self.model).name

    @property
    def tunable(self) -> bool:
        """Whether it has a learning rate."""
        return self.model not in RIVALS

    @property
    def seeded(self) -> bool:
        """Whether its result depends on a seed."""
        return self.model != "tfidf"

    def train(self, train: Table, classes: Sequence[str], learning_rate: float, seed: int) -> Predict:
        """Learns from labelled texts.

        Args:
            train: the texts; labels are numbers where there are no classes.
            classes: names of the classes, in the order of the logits; none for regression.
            learning_rate: the peak, where there is one.
            seed: fixes everything random.

        Returns:
            A function from texts to labels, or to scores.
        """
        if self.model == "tfidf":
            from .rivals import TfidfLogisticRegression, TfidfRidge

            rival = TfidfLogisticRegression() if classes else TfidfRidge()
            return rival.fit(train.texts, train.labels).predict
        if self.model == "fasttext":
            from .rivals import FastText

            return FastText(not classes, seed).fit(train.texts, train.labels).predict
        return self._finetune(train, classes, learning_rate, seed)

    def _finetune(self, train: Table, classes: Sequence[str], learning_rate: float, seed: int) -> Predict:
        import keras

        from eelbert_tf.config import named_config

        keras.utils.set_random_seed(seed)
        epochs = self.epochs or default_epochs(len(train), self.batch_size)
        backbone = start(self.model, named_config(self.config), isinstance(train.texts[0], tuple), {})
        vocabulary = None
        if backbone.config.vocab_size is not None:
            from .bert_texts import read_vocabulary

            vocabulary = read_vocabulary(self.model, backbone.config)
        recipe = Recipe(epochs, self.batch_size, learning_rate, seed=seed)
        labels = Labelled(train.texts, train.labels)
        model, _ = finetune(backbone, labels, None, recipe, None, classes or None, vocabulary=vocabulary, quiet=True)

        def predict(texts: Sequence[Any]) -> list[Any]:
            logits = model.predict(list(texts), batch_size=128, verbose=0)
            return [classes[i] for i in logits.argmax(axis=1)] if classes else logits[:, 0].tolist()

        return predict


def split_off(table: Table, share: float = 0.1, most: int = 1000, seed: int = 0) -> tuple[Table, Table]:
    """A table without some of its rows, drawn at random, and those rows: to choose a recipe by.

    Args:
        table: labelled texts.
        share: of the rows.
        most: rows to take at most.
        seed: fixes the draw.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    count = max(1, min(most, round(share * len(table))))

    def part(indices: np.ndarray) -> Table:
        chosen = sorted(indices.tolist())
        columns: dict[str, Any] = {
            name: [getattr(table, name)[i] for i in chosen] for name in ("texts", "labels", "lines")
        }
        return replace(table, **columns)

    return part(order[count:]), part(order[:count])
