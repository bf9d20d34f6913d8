"""TF-IDF on the tasks of docs/tasks.md, beside the figures in docs/results.md.

    python experiments/tasks.py --train train.csv --test test.csv --task multilabel
    python experiments/tasks.py --train train.csv --test test.csv --unknown foreign.csv near.csv

Several labels: one logistic regression for each, and thresholds chosen on a tenth of the training texts as `eelbert
finetune` does. None of these: the largest probability, and a threshold that keeps 95 % of a tenth of the known texts.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf import metrics
from eelbert_tf.disk.inputs import read_texts
from eelbert_tf.disk.tables import Table, check_labels, read_table
from eelbert_tf.training.finetune.thresholds import label_thresholds
from eelbert_tf.training.finetune.validation import split

KEEP = 0.95


def features(train: list[str]) -> Any:
    """Words and pairs of words under TF-IDF, fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train)


def parts(table: Table) -> list[tuple[list[str], list[Any]]]:
    """Texts and labels to learn from, and those that are held out."""
    rows = split(table.texts, table.labels)
    return [([table.texts[i] for i in some], [table.labels[i] for i in some]) for some in rows]


def several(train: Table, test: Table) -> dict[str, float]:
    """Micro and macro F1 and mean average precision."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    names = check_labels(train, "multilabel") or []
    (texts, labels), (held_texts, held_labels) = parts(train)

    def truth(several: list[Any]) -> np.ndarray:
        return np.array([[name in given for name in names] for given in several])

    words = features(texts)
    model = OneVsRestClassifier(LogisticRegression(C=10.0, max_iter=300))
    model.fit(words.transform(texts), truth(labels).astype(int))
    held, scores = (model.predict_proba(words.transform(some)) for some in (held_texts, test.texts))
    least = label_thresholds(truth(held_labels), held)
    return metrics.multilabel_figures(truth(list(test.labels)), scores >= np.array(least), scores)


def refused(train: Table, test: Table, foreign: list[str]) -> dict[str, Any]:
    """Accuracy, and for each file of foreign texts the area under the ROC curve and the share refused."""
    from sklearn.linear_model import LogisticRegression

    names = check_labels(train) or []
    (texts, labels), (held_texts, _) = parts(train)
    words = features(texts)
    model = LogisticRegression(C=10.0, max_iter=300).fit(words.transform(texts), labels)

    def scores(texts: list[str]) -> np.ndarray:
        return model.predict_proba(words.transform(texts)).max(axis=1)

    known, least = scores(test.texts), np.quantile(scores(held_texts), 1 - KEEP)
    right = np.mean(model.predict(words.transform(test.texts)) == np.array(test.labels))
    found: dict[str, Any] = {"accuracy": float(right), "kept": float((known > least).mean()), "classes": len(names)}
    for path in foreign:
        texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in read_texts(path)]
        other = scores(texts)
        found[path] = {"auroc": metrics.auroc(known, other), "refused": float((other <= least).mean())}
    return found


def main() -> None:
    """Reads the options, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--task", default="classification", choices=("classification", "multilabel"))
    parser.add_argument("--unknown", nargs="*", default=[])
    args = parser.parse_args()
    train, test = (read_table(path, task=args.task) for path in (args.train, args.test))
    found = several(train, test) if args.task == "multilabel" else refused(train, test, args.unknown)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
