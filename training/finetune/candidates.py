"""Whatever can be trained on labelled texts and then predict, by name: our models, BERT, and what a user would pick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.disk.tables import Table
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import read_config, weights_digest

from .run import SCRATCH, Labelled, finetune, start, suited_recipe

Predict = Callable[[Sequence[Any]], list[Any]]

# What a rival has instead of a learning rate's peak: TF-IDF its freedom from the penalty, fastText its first rate. The
# first is its own default.
RIVALS: dict[str, tuple[float, ...]] = {
    "tfidf": (1.0, 0.01, 0.03, 0.1, 0.3, 3.0, 10.0),
    "fasttext": (0.1, 0.003, 0.01, 0.03, 0.3, 1.0),
}
_FRESH = f"{SCRATCH}:"


def labels_of(model: EelbertClassifier, texts: Sequence[Any]) -> list[Any]:
    """The class that a model gives each text, by name, or its score."""
    logits = model.predict(list(texts), batch_size=128, verbose=0)
    return [model.labels[i] for i in logits.argmax(axis=1)] if model.labels else logits[:, 0].tolist()


@dataclass(frozen=True)
class Contender:
    """What to train.

    Args:
        model: "tfidf", "fasttext", "scratch", a preset's name, a model directory, the folder of a pretraining run, or
            "scratch:" before one of these three: the same shape with fresh weights.
        config: a named size, or a JSON file of fields; used by "scratch" only.
        batch_size: texts per step.
    """

    model: str
    config: str = "eelbert_uno"
    batch_size: int = 32

    @property
    def name(self) -> str:
        """How tables call it."""
        if self.model == SCRATCH:
            return f"{Path(self.config).stem} from scratch"
        shape = self.model.removeprefix(_FRESH)
        return Path(shape).name + (" from scratch" if shape != self.model else "")

    @property
    def fingerprint(self) -> str:
        """What tells a changed model from the one that was scored."""
        if self.own_rates:
            return self.model
        if self.model == SCRATCH:
            return self.config
        return weights_digest(self.model.removeprefix(_FRESH))

    @property
    def own_rates(self) -> tuple[float, ...]:
        """What a rival's rate is chosen from, its default first; empty for what is fine-tuned."""
        return RIVALS.get(self.model, ())

    @property
    def seeded(self) -> bool:
        """Whether its result depends on a seed."""
        return self.model != "tfidf"

    def train(
        self, train: Table, classes: Sequence[str], rate: float | None, seed: int, epochs: int | None = None
    ) -> Predict:
        """Learns from labelled texts.

        Args:
            train: the texts; labels are numbers where there are no classes.
            classes: names of the classes, in the order of the logits; none for regression.
            rate: the learning rate's peak, or one of `own_rates`; `None` for one that suits them.
            seed: fixes everything random.
            epochs: passes over the texts; `None` for as many as suit them. Rivals have their own.

        Returns:
            A function from texts to labels, or to scores.
        """
        if self.own_rates:
            return self._rival(train, classes, self.own_rates[0] if rate is None else rate, seed)
        return self._finetune(train, classes, rate, seed, epochs)

    def _rival(self, train: Table, classes: Sequence[str], rate: float, seed: int) -> Predict:
        from .baselines import FastText, TfidfLogisticRegression, TfidfRidge

        if self.model == "fasttext":
            return FastText(not classes, seed, learning_rate=rate).fit(train.texts, train.labels).predict
        rival = TfidfLogisticRegression(freedom=rate) if classes else TfidfRidge(rate)
        return rival.fit(train.texts, train.labels).predict

    def _finetune(
        self, train: Table, classes: Sequence[str], rate: float | None, seed: int, epochs: int | None
    ) -> Predict:
        import keras

        keras.utils.set_random_seed(seed)
        pretrained = not self.model.startswith(SCRATCH)
        recipe = suited_recipe(len(train), pretrained, epochs, self.batch_size, rate, seed)
        model = self._start(isinstance(train.texts[0], tuple), classes or None)
        finetune(model, Labelled(train.texts, train.labels), None, recipe, quiet=True)
        return lambda texts: labels_of(model, texts)

    def _start(self, pair: bool, classes: Sequence[str] | None) -> EelbertClassifier:
        """The model to fine-tune."""
        name = self.model.removeprefix(_FRESH)
        model = start(name, read_config(self.config), pair, classes, {})
        if name == self.model:
            return model
        fresh = EelbertBackbone(model.backbone.config, pair=pair, name="backbone")
        return EelbertClassifier(fresh, labels=classes, task=model.task, preprocessor=model.preprocessor)
