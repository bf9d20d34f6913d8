"""What words beside the encoder are worth: TF-IDF, the frozen encoder, both heads fitted convexly, and fine-tuning.

python experiments/lexical.py --sets DIR/trec DIR/emotion ... --preset uno_en --output experiments/lexical.json

Each folder holds train.csv and test.csv. With --shots N so many texts of each class are drawn from train.csv, once for
each seed; without it all texts are learned, at most --most of them. --finetune trains the encoder as well, by the
defaults of `eelbert finetune --method full`, alone and beside the words, which takes minutes for each set. --fasttext
trains fastText on the same texts, with as many epochs as `eelbert glue` gives it (1,000 for a hundred texts, 25 for
4,000 and more); its learning rate is the best of that command's on parts held out of these texts. What the output has
already is not repeated; fastText is added to rows that lack it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.tables import Table, read_table
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.training.finetune.baselines import FastText, TfidfLogisticRegression
from eelbert_tf.training.finetune.candidates import BASELINES
from eelbert_tf.training.finetune.experiment import Experiment, Validation, run_experiment
from eelbert_tf.training.finetune.heads import fit_heads
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import suited_recipe
from eelbert_tf.training.finetune.run import Options

TFIDF_STRENGTH = 20.0  # C of the logistic regression; the same for all sets
FEW = 1000  # texts; below, fastText's rate is chosen on five parts in turn, from there on one tenth
COLUMNS = ("tfidf", "fasttext", "encoder", "heads", "finetuned", "beside")


def draw(table: Table, shots: int | None, most: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts and labels to learn from."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table))
    labels = np.array([str(label) for label in table.labels])
    if shots is not None:
        order = np.concatenate([order[labels[order] == name][:shots] for name in sorted(set(labels))])
    order = order[:most]
    return [str(table.texts[i]) for i in order], labels[order].tolist()


def read(settings: dict[str, Any], folder: Path, seed: int) -> tuple[list[str], list[str], list[str], list[str]]:
    """Texts and labels to learn from, texts and labels to test on."""
    test = read_table(folder / "test.csv")
    learned = draw(read_table(folder / "train.csv"), settings["shots"], settings["most"], seed)
    return *learned, [str(text) for text in test.texts], [str(label) for label in test.labels]


def accuracy(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    """In percent."""
    return round(100 * float(np.mean([a == b for a, b in zip(predicted, wanted, strict=True)])), 2)


def fasttext(texts: list[str], labels: list[str], test: list[str], truth: list[str], seed: int) -> dict[str, Any]:
    """Accuracy of fastText on a test part, and its learning rate, which held-out parts of its own texts chose."""
    parts = StratifiedKFold(5 if len(texts) < FEW else 10, shuffle=True, random_state=seed).split(texts, labels)
    folds = list(parts) if len(texts) < FEW else [next(parts)]

    def trained(rows: Sequence[int], rate: float) -> FastText:
        return FastText(seed=seed, learning_rate=rate).fit([texts[i] for i in rows], [labels[i] for i in rows])

    def held_out(rate: float) -> float:
        return fmean(
            accuracy(trained(rest, rate).predict([texts[i] for i in held]), [labels[i] for i in held])
            for rest, held in folds
        )

    rate = max(BASELINES["fasttext"], key=held_out)
    return {"fasttext": accuracy(trained(range(len(texts)), rate).predict(test), truth), "rate": rate}


def measure(settings: dict[str, Any], folder: Path, seed: int) -> dict[str, Any]:
    """Accuracies on a test part, and what they took."""
    texts, labels, test, truth = read(settings, folder, seed)
    names = sorted(set(labels))

    def of(model: EelbertClassifier) -> float:
        logits = model.predict(test, batch_size=128, verbose=0)
        return accuracy([names[i] for i in logits.argmax(axis=1)], truth)

    def train(lexical: bool | None) -> tuple[float, Experiment]:
        import keras

        keras.utils.set_random_seed(seed)
        model = EelbertClassifier.from_preset(settings["preset"], labels=names)
        validation = Validation.choose(Labelled(texts, labels), None, seed=seed)
        recipe = suited_recipe(len(validation.train), True, None, 32, None, seed, lexical=lexical)
        trained = run_experiment(model, validation, recipe, 1, Options(quiet=True))
        return of(model), trained

    found: dict[str, Any] = {"texts": len(texts), "classes": len(names)}
    tfidf = TfidfLogisticRegression(2, TFIDF_STRENGTH).fit(texts, labels)
    found["tfidf"] = accuracy(tfidf.predict(test), truth)
    model = EelbertClassifier.from_preset(settings["preset"], labels=names)
    model.fit_head(texts, labels, lexical=False)
    found["encoder"] = of(model)
    begin = time.perf_counter()
    report = fit_heads(model, Labelled(texts, labels))
    found |= {"heads": of(model), "words": report["lexical"], "seconds": round(time.perf_counter() - begin, 1)}
    if settings["finetune"]:
        found["finetuned"], _ = train(False)
        found["beside"], trained = train(None)
        found["kept"] = trained.trained.method
    return found


def main() -> None:
    """Measures every set and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--preset", default="uno_en")
    parser.add_argument("--shots", type=int, metavar="N")
    parser.add_argument("--most", type=int, default=20_000, metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--finetune", action="store_true")
    parser.add_argument("--fasttext", action="store_true")
    parser.add_argument("--output", type=Path, required=True, metavar="F.json")
    args = parser.parse_args()
    settings = {name: getattr(args, name) for name in ("preset", "shots", "most", "finetune")}
    rows: list[dict[str, Any]] = json.loads(args.output.read_text("utf-8")) if args.output.exists() else []
    mine = []
    for folder in args.sets:
        for seed in range(args.seeds):
            key = {"set": folder.name, "seed": seed, **settings}
            known = [row for row in rows if key.items() <= row.items()]
            if not known:
                known = [{**key, **measure(settings, folder, seed)}]
                rows += known
            if args.fasttext and "fasttext" not in known[0]:
                known[0] |= fasttext(*read(settings, folder, seed), seed)
            args.output.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", "utf-8")
            mine += known
            print(json.dumps(known[0]), flush=True)
    columns = [name for name in COLUMNS if all(name in row for row in mine)]
    print(json.dumps({"mean": {name: round(float(np.mean([row[name] for row in mine])), 2) for name in columns}}))


if __name__ == "__main__":
    main()
