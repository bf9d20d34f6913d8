"""Figures of docs/results.md beside GLUE: other labelled sets, few examples, frozen encoders, and typing errors.

    python experiments/quality.py --data snips trec emotion --model uno_en tfidf fasttext --output quality.json

Each folder of --data holds train and test (or dev) files, CSV or TSV, with the columns `text` and `label`, or the one
that --text-column names. Every model learns from the whole training set, and from 10 and 50 examples of each class,
drawn anew with every seed. `frozen:` before a preset leaves the encoder as it is: logistic regression on its sentence
embeddings. --typos N also scores texts with one and with N random edits in each. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eelbert_tf.disk.reports import markdown_table, spread
from eelbert_tf.disk.tables import Table, read_table
from eelbert_tf.errors import InputError
from eelbert_tf.metrics import accuracy
from eelbert_tf.training.finetune.candidates import Contender, Predict
from eelbert_tf.training.glue.scores import Result, Scores, run_jobs

FROZEN = "frozen:"
EVERY = 0  # examples of each class: all


@dataclass(frozen=True)
class Job:
    """One training on one set.

    Args:
        model: as `Contender` takes it, or a preset after "frozen:".
        folder: the set's.
        column: the name of the column of texts.
        examples: of each class; `EVERY` for all.
        epochs: passes over the training texts; `None` for as many as suit them.
        learning_rate: the peak; likewise.
        seed: fixes the examples and everything else that is random.
        typos: edits in each test text of the third score; 0 for one score only.
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
        """What names its result."""
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
            contender = Contender(self.model)
            rate = None if contender.own_rates else self.learning_rate
            predict = contender.train(train, classes, rate, self.seed, self.epochs)
        found = {0: test.texts}
        if self.typos:
            found |= {n: [misspelt(str(text), n, i) for i, text in enumerate(test.texts)] for n in (1, self.typos)}
        truth = np.array(test.labels)
        return {str(n): 100 * accuracy(truth == truth, truth == np.array(predict(texts))) for n, texts in found.items()}


def files(folder: str) -> tuple[Path, Path]:
    """The files to learn from and to be scored on.

    Raises:
        InputError: one is missing.
    """
    names = {path.stem: path for path in Path(folder).iterdir() if path.suffix in (".csv", ".tsv")}
    test = names.get("test", names.get("dev"))
    if "train" not in names or test is None:
        raise InputError(f"{folder}: expected train and test, or train and dev, as CSV or TSV files")
    return names["train"], test


def few(table: Table, examples: int, seed: int) -> Table:
    """So many rows of each class, drawn at random."""
    rng = np.random.default_rng(seed)
    labels = np.array(table.labels)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:examples] for label in sorted(set(table.labels))]
    rows = np.concatenate(chosen).tolist()
    return Table(table.path, [table.texts[i] for i in rows], [table.labels[i] for i in rows], rows)


def frozen(preset: str, train: Table) -> Predict:
    """Logistic regression on the sentence embeddings of an encoder that does not change."""
    from sklearn.linear_model import LogisticRegression

    from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

    encoder = EelbertSentenceEncoder.from_preset(preset)
    model = LogisticRegression(C=10.0, max_iter=2000).fit(encoder.predict(train.texts, 128, verbose=0), train.labels)

    def predict(texts: Sequence[Any]) -> list[Any]:
        return list(model.predict(encoder.predict(list(texts), 128, verbose=0)))

    return predict


def misspelt(text: str, edits: int, seed: int) -> str:
    """A text after random edits: a letter dropped, doubled, replaced, or swapped with the next one."""
    rng = random.Random(seed)
    for _ in range(edits):
        places = [i for i, c in enumerate(text) if c.isalpha()]
        if not places:
            return text
        i = rng.choice(places)
        swapped = text[i + 1 : i + 2] + text[i]
        kinds = ("", 2 * text[i], rng.choice("abcdefghijklmnopqrstuvwxyz"), swapped)
        kind = rng.randrange(4)
        text = text[:i] + kinds[kind] + text[i + (2 if kind == 3 else 1) :]
    return text


def main() -> None:
    """Trains what is not in the output yet, and prints all of it."""
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
    jobs = {
        kind: [
            Job(kind[0], kind[1], args.text_column, kind[2], args.epochs, args.learning_rate, seed, args.typos)
            for seed in range(args.seeds)
        ]
        for kind in kinds
    }
    kept = Scores(args.output, {"script": "experiments/quality.py"})
    waiting = [job for group in jobs.values() for job in group if kept.get(job) is None]
    for job, result in tqdm(run_jobs(waiting, args.jobs), total=len(waiting), unit="run", file=sys.stderr):
        kept.add(job, result)

    edits = ["0"] + ([str(n) for n in (1, args.typos)] if args.typos else [])
    columns = [(folder, n, edit) for folder in args.data for n in args.examples for edit in edits]
    names = [
        f"{Path(folder).name}, {n or 'all'}" + (f", {edit} edits" if edit != "0" else "") for folder, n, edit in columns
    ]
    rows = []
    for model in args.model:
        cells = []
        for folder, n, edit in columns:
            values = [(kept.get(job) or {})[edit] for job in jobs[model, folder, n]]
            cells.append(spread(values))
        rows.append([Path(model).name, *cells])
    print(markdown_table(["model", *names], rows), end="")


if __name__ == "__main__":
    main()
