"""Models that can be trained on labelled texts, by name: this project's, BERT, and the baselines.

Keras is imported only where a model of this project is trained, so that baselines start without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eelbert_tf.disk.tables import Table
from eelbert_tf.saving.folders import read_config, weights_digest

if TYPE_CHECKING:
    from eelbert_tf.models.classifier import EelbertClassifier

Predict = Callable[[Sequence[Any]], list[Any]]

# The values that a baseline's rate is chosen from, its default first: the inverse of the regularization's strength for
# TF-IDF, the initial learning rate for fastText.
BASELINES: dict[str, tuple[float, ...]] = {
    "tfidf": (1.0, 0.01, 0.03, 0.1, 0.3, 3.0, 10.0),
    "fasttext": (0.1, 0.003, 0.01, 0.03, 0.3, 1.0),
}
_SCRATCH = "scratch"
_FRESH = f"{_SCRATCH}:"


def labels_of(model: EelbertClassifier, texts: Sequence[Any]) -> list[Any]:
    """The name of the class that a model predicts for each text, or the score."""
    logits = model.predict(list(texts), batch_size=128, verbose=0)
    return [model.labels[i] for i in logits.argmax(axis=1)] if model.labels else logits[:, 0].tolist()


@dataclass(frozen=True)
class Candidate:
    """What to train.

    Args:
        model: "tfidf", "fasttext", "scratch", the name of a preset, a model folder, or the folder of a pretraining run.
            "scratch:" before one of the last three means the same shape with fresh weights.
        config: a named size, or a JSON file of fields; for "scratch" only.
        batch_size: texts per step.
    """

    model: str
    config: str = "eelbert_uno"
    batch_size: int = 32

    @property
    def name(self) -> str:
        """Its name in tables."""
        if self.model == _SCRATCH:
            return f"{Path(self.config).stem} from scratch"
        shape = self.model.removeprefix(_FRESH)
        return Path(shape).name + (" from scratch" if shape != self.model else "")

    @property
    def fingerprint(self) -> str:
        """Identifies the weights, so that scores of a changed model are not mixed with older ones."""
        if self.rate_grid:
            return self.model
        if self.model == _SCRATCH:
            return self.config
        return weights_digest(self.model.removeprefix(_FRESH))

    @property
    def rate_grid(self) -> tuple[float, ...]:
        """The values that a baseline's rate is chosen from, its default first; empty for models that are fine-tuned."""
        return BASELINES.get(self.model, ())

    @property
    def seeded(self) -> bool:
        """Whether the result depends on a seed."""
        return self.model != "tfidf"

    def train(
        self, train: Table, classes: Sequence[str], rate: float | None, seed: int, epochs: int | None = None
    ) -> Predict:
        """Learns from labelled texts.

        Args:
            train: the texts; labels are numbers if there are no classes.
            classes: names of the classes, in the order of the logits; none for regression.
            rate: the learning rate's peak, or one of `rate_grid`; `None` for the default.
            seed: fixes everything random.
            epochs: passes over the texts; `None` for the default. Baselines have their own.

        Returns:
            A function from texts to labels, or to scores.
        """
        if self.rate_grid:
            return self._baseline(train, classes, self.rate_grid[0] if rate is None else rate, seed)
        return self._finetune(train, classes, rate, seed, epochs)

    def _baseline(self, train: Table, classes: Sequence[str], rate: float, seed: int) -> Predict:
        from .baselines import FastText, TfidfLogisticRegression, TfidfRidge

        if self.model == "fasttext":
            return FastText(not classes, seed, learning_rate=rate).fit(train.texts, train.labels).predict
        model = TfidfLogisticRegression(inverse_regularization=rate) if classes else TfidfRidge(rate)
        return model.fit(train.texts, train.labels).predict

    def _finetune(
        self, train: Table, classes: Sequence[str], rate: float | None, seed: int, epochs: int | None
    ) -> Predict:
        import keras

        from .labelled import Labelled
        from .recipe import suited_recipe
        from .run import Options, finetune

        keras.utils.set_random_seed(seed)
        pretrained = not self.model.startswith(_SCRATCH)
        recipe = suited_recipe(len(train), pretrained, epochs, self.batch_size, rate, seed)
        model = self._start(isinstance(train.texts[0], tuple), classes or None)
        finetune(model, Labelled(train.texts, train.labels), None, recipe, Options(quiet=True))
        return lambda texts: labels_of(model, texts)

    def _start(self, pair: bool, classes: Sequence[str] | None) -> EelbertClassifier:
        """The model to fine-tune."""
        from eelbert_tf.models.backbone import EelbertBackbone
        from eelbert_tf.models.classifier import EelbertClassifier

        from .start import start

        name = self.model.removeprefix(_FRESH)
        model = start(name, read_config(self.config), pair, classes, {})
        if name == self.model:
            return model
        fresh = EelbertBackbone(model.backbone.config, pair=pair, name="backbone")
        return EelbertClassifier(fresh, labels=classes, task=model.task, preprocessor=model.preprocessor)
