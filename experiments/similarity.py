"""Similarity of sentences without training for it: STS-B by cosines of sentence embeddings, and TF-IDF as baseline.

    python experiments/similarity.py --data GLUE --model uno_en tfidf

Prints a Markdown table of Spearman's correlation, in percent, between cosines and human scores. TF-IDF takes its word
counts from the texts that are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.reports import markdown_table
from eelbert_tf.metrics import spearman
from eelbert_tf.training.glue.tasks import TASKS, read_task


def cosines(model: str, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """The cosine of each pair, float `[n]`, of sentence embeddings or, for "tfidf", of word counts."""
    sides = [[pair[i] for pair in pairs] for i in (0, 1)]
    if model == "tfidf":
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True).fit(sides[0] + sides[1])
        first, second = (vectorizer.transform(side) for side in sides)
        return np.asarray(first.multiply(second).sum(axis=1))[:, 0]
    from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

    encoder = EelbertSentenceEncoder.from_preset(model)
    first, second = (encoder.predict(side, 128, verbose=0) for side in sides)
    return np.sum(first * second, axis=1)


def main() -> None:
    """Scores each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of GLUE's folders")
    parser.add_argument("--model", nargs="+", default=["uno_en", "tfidf"], help="presets, model directories, tfidf")
    args = parser.parse_args()
    (dev,) = read_task(TASKS["STS-B"], args.data).dev.values()
    truth = np.array(dev.labels, np.float64)
    rows = [[model, f"{100 * spearman(truth, cosines(model, dev.texts)):.1f}"] for model in args.model]
    print(markdown_table(["model", "STS-B dev, Spearman"], rows))


if __name__ == "__main__":
    main()
