"""The figures of docs/results-v1.md beside GLUE: labelled sets, few examples, frozen encoders, typing errors.

    python experiments/quality.py --data snips trec emotion --model uno_en tfidf fasttext --output quality.json

Each folder of --data holds a train file and a test (or dev) file, CSV or TSV, with the columns `text` (or another one,
see --text-column) and `label`. Every model learns from the whole training set, and from 10 and 50 examples of each
class, which are drawn anew for every seed. `frozen:` before a preset means logistic regression on its sentence
embeddings; the encoder does not change. --typos N also scores texts with one and with N random edits in each. An
interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.reports import markdown_table, spread
from eelbert_tf.disk.tables import Table, read_table
from eelbert_tf.errors import InputError
from eelbert_tf.metrics import accuracy
from eelbert_tf.training.finetune.candidates import Candidate, Predict
from eelbert_tf.training.glue.scores import Result, Scores, run_experiments

FROZEN = "frozen:"
EVERY = 0  # stands for all examples of each class


@dataclass(frozen=True)
class Experiment:
    """One training on one set.

    Args:
        model: an argument of `Candidate`, or "frozen:" and a preset.
        folder: the folder of the data set.
        column: the name of the column of texts.
        examples: number for each class; `EVERY` for all.
        epochs: passes over the training texts; `None` for the default.
        learning_rate: the peak; `None` for the default.
        seed: fixes the examples and everything else that is random.
        typos: edits in each test text for the third score; 0 for the first score only.
    """

    model: str
    folder: str
    column: str
    examples: int
    epochs: int | None
    learning_rate: float | None
    seed: int
    typos: int = 0

    @property
    def key(self) -> str:
        """The name of its result."""
        return json.dumps(asdict(self))

    def run(self) -> Result:
        """Accuracy on the test set, in percent."""
        train, test = (read_table(path, (self.column,)) for path in files(self.folder))
        if self.examples:
            train = few(train, self.examples, self.seed)
        classes = sorted({str(label) for label in train.labels})
        if self.model.startswith(FROZEN):
            predict = frozen(self.model.removeprefix(FROZEN), train)
        else:
            candidate = Candidate(self.model)
            rate = None if candidate.rate_grid else self.learning_rate
            predict = candidate.train(train, classes, rate, self.seed, self.epochs)
        variants = {0: test.texts}
        if self.typos:
            variants |= {n: [misspelt(str(text), n, i) for i, text in enumerate(test.texts)] for n in (1, self.typos)}
        truth = np.array(test.labels)
        return {
            str(n): 100 * accuracy(truth == truth, truth == np.array(predict(texts))) for n, texts in variants.items()
        }


def files(folder: str) -> tuple[Path, Path]:
    """The training file and the test file of a folder.

    Raises:
        InputError: one is missing.
    """
    names = {path.stem: path for path in Path(folder).iterdir() if path.suffix in (".csv", ".tsv")}
    test = names.get("test", names.get("dev"))
    if "train" not in names or test is None:
        raise InputError(f"{folder}: expected train and test, or train and dev, as CSV or TSV files")
    return names["train"], test


def few(table: Table, examples: int, seed: int) -> Table:
    """Draws some rows of each class at random."""
    rng = np.random.default_rng(seed)
    labels = np.array(table.labels)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:examples] for label in sorted(set(table.labels))]
    rows = np.concatenate(chosen).tolist()
    return Table(table.path, [table.texts[i] for i in rows], [table.labels[i] for i in rows], rows)


def frozen(preset: str, train: Table) -> Predict:
    """Trains logistic regression on the sentence embeddings of an encoder that does not change."""
    from sklearn.linear_model import LogisticRegression

    from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

    encoder = EelbertSentenceEncoder.from_preset(preset)
    model = LogisticRegression(C=10.0, max_iter=2000).fit(encoder.predict(train.texts, 128, verbose=0), train.labels)

    def predict(texts: Sequence[Any]) -> list[Any]:
        return list(model.predict(encoder.predict(list(texts), 128, verbose=0)))

    return predict


def misspelt(text: str, edits: int, seed: int) -> str:
    """Edits a text at random: a letter is dropped, doubled, replaced, or swapped with the next one."""
    rng = random.Random(seed)
    for _ in range(edits):
        letters = [i for i, c in enumerate(text) if c.isalpha()]
        if not letters:
            return text
        i = rng.choice(letters)
        swapped = text[i + 1 : i + 2] + text[i]
        kinds = ("", 2 * text[i], rng.choice("abcdefghijklmnopqrstuvwxyz"), swapped)
        kind = rng.randrange(4)
        text = text[:i] + kinds[kind] + text[i + (2 if kind == 3 else 1) :]
    return text


def main() -> None:
    """Trains the models that are not in the output yet, and prints all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", nargs="+", required=True)
    add("--text-column", default="text")
    add("--model", nargs="+", required=True)
    add("--examples", nargs="+", type=int, default=[10, 50, EVERY], help="of each class; 0 for all")
    add("--seeds", type=int, default=3)
    add("--epochs", type=int)
    add("--learning-rate", type=float)
    add("--typos", type=int, default=0)
    add("--jobs", type=int, default=1)
    add("--output", required=True, type=Path)
    args = parser.parse_args()

    kinds = [(model, folder, n) for model in args.model for folder in args.data for n in args.examples]
    experiments = {
        kind: [
            Experiment(kind[0], kind[1], args.text_column, kind[2], args.epochs, args.learning_rate, seed, args.typos)
            for seed in range(args.seeds)
        ]
        for kind in kinds
    }
    kept = Scores(args.output, {"script": "experiments/quality.py"})
    missing = [experiment for group in experiments.values() for experiment in group if kept.get(experiment) is None]
    for experiment, result in with_progress(run_experiments(missing, args.jobs), "run", "quality", len(missing)):
        kept.add(experiment, result)

    edits = ["0"] + ([str(n) for n in (1, args.typos)] if args.typos else [])
    columns = [(folder, n, edit) for folder in args.data for n in args.examples for edit in edits]
    names = [
        f"{Path(folder).name}, {n or 'all'}" + (f", {edit} edits" if edit != "0" else "") for folder, n, edit in columns
    ]
    rows = []
    for model in args.model:
        cells = []
        for folder, n, edit in columns:
            values = [(kept.get(experiment) or {})[edit] for experiment in experiments[model, folder, n]]
            cells.append(spread(values))
        rows.append([Path(model).name, *cells])
    print(markdown_table(["model", *names], rows), end="")


if __name__ == "__main__":
    main()
