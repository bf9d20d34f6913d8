"""What reading long texts in windows is worth: texts cut off, read in windows, and TF-IDF beside them.

python experiments/long_texts.py --texts labelled/imdb.csv.xz --full --output experiments/long_texts.json

The texts are shuffled once; the first --train are learned, --test behind them scored. Heads are fitted on the frozen
encoder; --full trains the encoder too, by the defaults of `eelbert finetune --method full`. TF-IDF is a logistic
regression on words, and on words and pairs of words, at the strength that is best on the texts scored.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.tables import read_table
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.training.finetune.baselines import TfidfLogisticRegression
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import suited_recipe
from eelbert_tf.training.finetune.run import Options, finetune
from eelbert_tf.training.finetune.windows import AUTO_WINDOWS, about_windows

STRENGTHS = (1.0, 10.0, 100.0)  # C of the logistic regression


def accuracy(predicted: Sequence[str], truth: Sequence[str]) -> float:
    """The share of right labels, in percent."""
    return round(100 * float(np.mean([a == b for a, b in zip(predicted, truth, strict=True)])), 2)


def tfidf(train: Labelled, test: Labelled) -> dict[str, float]:
    """Accuracies by the number of words of a feature, each of the best strength."""
    return {
        f"tfidf_{n}": max(
            accuracy(TfidfLogisticRegression(n, c).fit(train.texts, train.labels).predict(test.texts), test.labels)
            for c in STRENGTHS
        )
        for n in (1, 2)
    }


def measure(preset: str, windows: int, train: Labelled, test: Labelled, full: bool, seed: int) -> dict[str, Any]:
    """Accuracy, and minutes and milliseconds for a training and for a text."""
    names = sorted(set(train.labels))
    model = EelbertClassifier.from_preset(preset, labels=names, max_windows=windows)
    begin = time.perf_counter()
    if full:
        mean = about_windows(train.texts, model.backbone.config)["mean"]
        recipe = suited_recipe(len(train), True, None, 32, None, seed, lexical=None, windows=mean)
        finetune(model, train, None, recipe, Options(quiet=True))
    else:
        model.fit_head(train.texts, train.labels, seed=seed)
    learned = time.perf_counter()
    logits = model.predict(list(test.texts), batch_size=128, verbose=0)
    seconds = time.perf_counter() - learned
    return {
        "method": "full" if full else "convex",
        "windows": windows,
        "accuracy": accuracy([names[i] for i in logits.argmax(axis=1)], test.labels),
        "training_seconds": round(learned - begin, 1),
        "ms_per_100_words": round(100_000 * seconds / sum(len(text.split()) for text in test.texts), 3),
    }


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True, metavar="F.csv", help="labelled texts, in columns text and label")
    parser.add_argument("--preset", default="uno_en")
    parser.add_argument("--train", type=int, default=2000, metavar="N")
    parser.add_argument("--test", type=int, default=2000, metavar="N")
    parser.add_argument("--windows", type=int, nargs="+", default=[1, AUTO_WINDOWS], metavar="N")
    parser.add_argument("--full", action="store_true", help="train the encoder too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="F.json")
    args = parser.parse_args()
    table = read_table(Path(args.texts))
    order = np.random.default_rng(args.seed).permutation(len(table))
    parts = np.split(order[: args.train + args.test], [args.train])
    train, test = (Labelled([table.texts[i] for i in p], [str(table.labels[i]) for i in p]) for p in parts)
    words = [len(text.split()) for text in train.texts]
    found: dict[str, Any] = {"texts": Path(args.texts).name, "train": len(train), "test": len(test), "seed": args.seed}
    found |= {"preset": args.preset, "median_words": int(np.median(words)), **tfidf(train, test), "rows": []}
    print(json.dumps(found), flush=True)
    for full in (False, True) if args.full else (False,):
        for windows in args.windows:
            found["rows"].append(measure(args.preset, windows, train, test, full, args.seed))
            print(json.dumps(found["rows"][-1]), flush=True)
            if args.output:
                args.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
