"""What a user would pick instead: a bag of words, on the same split and measured in the same way."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from eelbert_tf.errors import InputError

Text = str | tuple[str, str]


class TfidfLogisticRegression:
    """TF-IDF weights of words under a logistic regression, by scikit-learn with its own settings.

    Args:
        ngrams: the longest run of words that is a feature: 1 for a bag of words.
        c: the inverse strength of the L2 penalty.

    Raises:
        InputError: scikit-learn is not installed.
    """

    def __init__(self, ngrams: int = 1, c: float = 1.0) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise InputError("the TF-IDF rival needs scikit-learn: pip install 'eelbert-tf[demo]'") from error
        self.ngrams = ngrams
        self.c = c
        self._vectorizer = TfidfVectorizer(ngram_range=(1, ngrams), dtype=np.float32)
        self._classifier = LogisticRegression(C=c, max_iter=1000)

    def fit(self, texts: Sequence[Text], labels: Sequence[str]) -> TfidfLogisticRegression:
        """Learns from labelled texts; a pair counts as one text."""
        self._classifier.fit(self._vectorizer.fit_transform(_joined(texts)), list(labels))
        return self

    def predict(self, texts: Sequence[Text]) -> list[str]:
        """The label of each text."""
        return [str(label) for label in self._classifier.predict(self._vectorizer.transform(_joined(texts)))]

    def size_bytes(self) -> int:
        """What the smallest plain file would hold: float32 weights, and the vocabulary in UTF-8, a byte after each."""
        weights = self._vectorizer.idf_.size + self._classifier.coef_.size + self._classifier.intercept_.size
        return 4 * int(weights) + sum(len(word.encode()) + 1 for word in self._vectorizer.vocabulary_)

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


def _joined(texts: Sequence[Text]) -> list[str]:
    return [text if isinstance(text, str) else " ".join(text) for text in texts]
