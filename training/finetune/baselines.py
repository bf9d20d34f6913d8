"""Baselines that users know: TF-IDF under a linear model, and fastText, trained and measured on the same texts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.tables import Text
from eelbert_tf.errors import InputError

# fastText's default. Each thread initializes a tenth of the input weights, so that with fewer than eleven threads some
# stay as the memory was: trainings then lose accuracy or end in NaN. With several threads, equal seeds do not give
# exactly equal models.
_THREADS = 12


class _Tfidf:
    """TF-IDF weights of words under a linear model, both by scikit-learn with its default settings.

    For pairs of texts the features are the absolute difference of the two texts' weights, their product, and their
    cosine.
    """

    def __init__(self, ngrams: int = 1) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise InputError("the TF-IDF baseline needs scikit-learn: pip install 'eelbert-tf[demo]'") from error
        self._vectorizer = TfidfVectorizer(ngram_range=(1, ngrams), dtype=np.float32)
        self._model: Any = None

    def fit(self, texts: Sequence[Text], labels: Sequence[Any]) -> Any:
        """Learns from labelled texts, or pairs of texts."""
        self._vectorizer.fit([side for text in texts for side in ([text] if isinstance(text, str) else text)])
        self._model.fit(self._features(texts), list(labels))
        return self

    def _features(self, texts: Sequence[Text]) -> Any:
        if not texts or isinstance(texts[0], str):
            return self._vectorizer.transform(texts)
        from scipy.sparse import csr_matrix, hstack

        first, second = (self._vectorizer.transform(side) for side in zip(*texts, strict=True))
        product = first.multiply(second)
        return hstack([abs(first - second), product, csr_matrix(product.sum(axis=1))]).tocsr()

    def size_bytes(self) -> int:
        """Size of the smallest plain file: float32 weights, and the vocabulary in UTF-8 with a byte after each word."""
        weights = self._vectorizer.idf_.size + np.size(self._model.coef_) + np.size(self._model.intercept_)
        return 4 * int(weights) + sum(len(word.encode()) + 1 for word in self._vectorizer.vocabulary_)


class TfidfLogisticRegression(_Tfidf):
    """TF-IDF weights of words under a logistic regression.

    Args:
        ngrams: the most words of a feature: 1 for a bag of words.
        inverse_regularization: C, the inverse of the regularization's strength.
        class_weight: "balanced" gives all classes the same weight in total; `None` gives all texts the same.

    Raises:
        InputError: scikit-learn is not installed.
    """

    def __init__(self, ngrams: int = 1, inverse_regularization: float = 1.0, class_weight: str | None = None) -> None:
        super().__init__(ngrams)
        from sklearn.linear_model import LogisticRegression

        self._model = LogisticRegression(C=inverse_regularization, class_weight=class_weight, max_iter=1000)

    def predict(self, texts: Sequence[Text]) -> list[str]:
        """The label of each text."""
        return [str(label) for label in self._model.predict(self._features(texts))]

    def ms_per_text(self, texts: Sequence[Text], repeats: int = 3) -> float:
        """The mean time from one text to its label, texts one at a time, in the fastest of some rounds.

        Args:
            texts: what to predict.
            repeats: the number of rounds over all texts.

        Returns:
            Milliseconds.
        """
        self.predict(texts[:1])
        rounds = []
        for _ in range(repeats):
            start = time.perf_counter()
            for text in texts:
                self.predict([text])
            rounds.append(time.perf_counter() - start)
        return 1000 * min(rounds) / len(texts)


class TfidfRidge(_Tfidf):
    """TF-IDF weights of words under a ridge regression.

    Args:
        inverse_regularization: the inverse of the regularization's strength.

    Raises:
        InputError: scikit-learn is not installed.
    """

    def __init__(self, inverse_regularization: float = 1.0) -> None:
        super().__init__()
        from sklearn.linear_model import Ridge

        self._model = Ridge(1 / inverse_regularization)

    def predict(self, texts: Sequence[Text]) -> list[float]:
        """The score of each text."""
        return [float(score) for score in self._model.predict(self._features(texts))]


class FastText:
    """fastText's supervised classifier (Joulin et al. 2017) on words and word n-grams. It reads a pair as one text.

    Its settings are the defaults except for the epochs: 25, and more for few texts, where its default of 5 does not get
    beyond chance.

    For regression, numbers are rounded to classes; the score is the mean of the classes' values, weighted by their
    probabilities.

    Args:
        regression: whether labels are numbers.
        seed: of its initial weights.
        ngrams: the most words of a feature.
        learning_rate: at the start.

    Raises:
        InputError: fastText is not installed.
    """

    def __init__(self, regression: bool = False, seed: int = 0, ngrams: int = 2, learning_rate: float = 0.1) -> None:
        try:
            import fasttext
        except ImportError as error:
            raise InputError("the fastText baseline needs it: pip install 'eelbert-tf[bench]'") from error
        self._fasttext = fasttext
        self.regression = regression
        self.seed = seed
        self.ngrams = ngrams
        self.learning_rate = learning_rate
        self.names: list[Any] = []
        self.model: Any = None

    def fit(self, texts: Sequence[Text], labels: Sequence[Any]) -> FastText:
        """Learns from labelled texts."""
        classes = [round(label) for label in labels] if self.regression else list(labels)
        self.names = sorted(set(classes))
        number = {name: i for i, name in enumerate(self.names)}
        lines = [f"__label__{number[c]} {line}\n" for c, line in zip(classes, _lines(texts), strict=True)]
        epochs = min(1000, max(25, 100_000 // len(lines)))
        with tempfile.TemporaryDirectory() as folder:  # fastText reads files only
            file = Path(folder, "train.txt")
            file.write_text("".join(lines), "utf-8")
            self.model = self._fasttext.train_supervised(
                str(file),
                lr=self.learning_rate,
                epoch=epochs,
                wordNgrams=self.ngrams,
                seed=self.seed,
                thread=_THREADS,
                verbose=0,
            )
        return self

    @classmethod
    def load(cls, path: Path, names: Sequence[Any]) -> FastText:
        """Loads a model from the file that `model.save_model` wrote; `names` are its classes."""
        loaded = cls()
        loaded.names, loaded.model = list(names), loaded._fasttext.load_model(str(path))
        return loaded

    def predict(self, texts: Sequence[Text]) -> list[Any]:
        """The label, or the score, of each text."""
        labels, probabilities = self.model.predict(_lines(texts), k=len(self.names))
        ranked = [[self.names[int(label.removeprefix("__label__"))] for label in row] for row in labels]
        if not self.regression:
            return [names[0] if names else self.names[0] for names in ranked]
        return [float(np.dot(n, p) / max(np.sum(p), 1e-9)) for n, p in zip(ranked, probabilities, strict=True)]


def _lines(texts: Sequence[Text]) -> list[str]:
    """Each text as one line in lower case, with spaces around punctuation."""
    joined = (text if isinstance(text, str) else " ".join(text) for text in texts)
    return [" ".join("".join(c if c.isalnum() else f" {c} " for c in text.lower()).split()) for text in joined]
