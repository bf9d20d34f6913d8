"""What a user would pick instead: bags of words and fastText, on the same splits and measured in the same way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.tables import Text
from eelbert_tf.errors import InputError

# fastText's own number. Each thread fills a tenth of the input weights and leaves the others as the memory was: with
# fewer than eleven, trainings lose accuracy or end in NaN. With more than one, equal seeds give slightly unlike models.
_THREADS = 12


class _Tfidf:
    """TF-IDF weights of words under a linear model, by scikit-learn with its own settings.

    For pairs the features are the absolute difference and the product of the two sides' weights, and their cosine.
    """

    def __init__(self, ngrams: int = 1) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise InputError("the TF-IDF rival needs scikit-learn: pip install 'eelbert-tf[demo]'") from error
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
        """What the smallest plain file would hold: float32 weights, and the vocabulary in UTF-8, a byte after each."""
        weights = self._vectorizer.idf_.size + np.size(self._model.coef_) + np.size(self._model.intercept_)
        return 4 * int(weights) + sum(len(word.encode()) + 1 for word in self._vectorizer.vocabulary_)


class TfidfLogisticRegression(_Tfidf):
    """TF-IDF weights of words under a logistic regression.

    Args:
        ngrams: the longest run of words that is a feature: 1 for a bag of words.
        freedom: C, the inverse of the penalty's strength.

    Raises:
        InputError: scikit-learn is not installed.
    """

    def __init__(self, ngrams: int = 1, freedom: float = 1.0) -> None:
        super().__init__(ngrams)
        from sklearn.linear_model import LogisticRegression

        self._model = LogisticRegression(C=freedom, max_iter=1000)

    def predict(self, texts: Sequence[Text]) -> list[str]:
        """The label of each text."""
        return [str(label) for label in self._model.predict(self._features(texts))]

    def ms_per_text(self, texts: Sequence[Text], repeats: int = 3) -> float:
        """Milliseconds from one text to its label, texts one at a time: the mean, in the fastest of some rounds.

        Args:
            texts: what to predict.
            repeats: the number of rounds over all texts.

        Returns:
            The time in milliseconds.
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
        freedom: the inverse of the penalty's strength.

    Raises:
        InputError: scikit-learn is not installed.
    """

    def __init__(self, freedom: float = 1.0) -> None:
        super().__init__()
        from sklearn.linear_model import Ridge

        self._model = Ridge(1 / freedom)

    def predict(self, texts: Sequence[Text]) -> list[float]:
        """The score of each text."""
        return [float(score) for score in self._model.predict(self._features(texts))]


class FastText:
    """fastText's supervised classifier (Joulin et al. 2017), on words and pairs of words; a pair counts as one text.

    Its settings are its own but for the passes: 25, and more over few texts, which its own 5 leave at chance.

    Numbers are rounded to classes; the mean of the classes' values, weighted by their probabilities, is the score.

    Args:
        regression: whether labels are numbers.
        seed: of its initial weights.
        ngrams: the longest run of words that is a feature.
        learning_rate: at the start.

    Raises:
        InputError: fastText is not installed.
    """

    def __init__(self, regression: bool = False, seed: int = 0, ngrams: int = 2, learning_rate: float = 0.1) -> None:
        try:
            import fasttext
        except ImportError as error:
            raise InputError("the fastText rival needs it: pip install 'eelbert-tf[bench]'") from error
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
        with tempfile.TemporaryDirectory() as folder:  # it reads files only
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
        """A model from the file that `model.save_model` wrote, and the classes in `names` when it did."""
        rival = cls()
        rival.names, rival.model = list(names), rival._fasttext.load_model(str(path))
        return rival

    def predict(self, texts: Sequence[Text]) -> list[Any]:
        """The label, or the score, of each text."""
        found, shares = self.model.predict(_lines(texts), k=len(self.names))
        ranked = [[self.names[int(label.removeprefix("__label__"))] for label in labels] for labels in found]
        if not self.regression:
            return [names[0] if names else self.names[0] for names in ranked]
        return [float(np.dot(n, s) / max(np.sum(s), 1e-9)) for n, s in zip(ranked, shares, strict=True)]


def _lines(texts: Sequence[Text]) -> list[str]:
    """Lower case, punctuation apart, one line each."""
    joined = (text if isinstance(text, str) else " ".join(text) for text in texts)
    return [" ".join("".join(c if c.isalnum() else f" {c} " for c in text.lower()).split()) for text in joined]
