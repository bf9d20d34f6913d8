r"""Scores on one task of GLUE of an encoder that is taught it by a larger one, for docs/results.md.

    python experiments/taught.py --data GLUE --task STS-B --teacher tuned --answers answers.npz --output taught.json

The teacher is what `eelbert finetune` made of the task's training file. It is asked about the training texts, made-up
variants of them, and more texts: pairs of the other tasks, or lines of --texts where the task has single texts. The
pupil learns all of it, as in `eelbert distill --train`. What holds a text of a development set is left out, and nothing
is chosen by one. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
from preset_texts import sides, texts_of

from eelbert_tf.disk.reports import markdown_table, spread
from eelbert_tf.disk.tables import Table, Text, iter_rows
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import read_config, weights_digest
from eelbert_tf.training.distill.soft_targets import lessons
from eelbert_tf.training.finetune.candidates import labels_of
from eelbert_tf.training.finetune.run import Labelled, Recipe, finetune, start
from eelbert_tf.training.glue.scores import Result, Scores
from eelbert_tf.training.glue.tasks import TASKS, Task, read_task, scores


@dataclass(frozen=True)
class Job:
    """One pupil.

    Args:
        preset: what it starts from.
        task: a name in `TASKS`.
        teacher: what tells the teacher from others.
        more, made_up: texts without labels; variants of each training text.
        trust: share of the teacher's word where there is a label.
        recipe: of the pupil.
        lessons: all texts with their soft labels.
        dev: texts to be scored on.
    """

    preset: str
    task: str
    teacher: str
    more: int
    made_up: int
    trust: float
    recipe: Recipe
    lessons: Labelled
    dev: Table

    @property
    def key(self) -> str:
        """What names its result."""
        told = {**vars(self), "recipe": vars(self.recipe), "lessons": len(self.lessons.texts), "dev": len(self.dev)}
        return json.dumps(told)

    def run(self) -> Result:
        """Trains and scores: the official metrics of the development set."""
        task = TASKS[self.task]
        keras.utils.set_random_seed(self.recipe.seed)
        pupil = start(self.preset, read_config("eelbert_uno"), task.pair, task.classes or None, {})
        finetune(pupil, self.lessons, None, self.recipe)
        return {"sets": {"dev": scores(task, self.dev.labels, labels_of(pupil, self.dev.texts))}}


def other_pairs(data: Path, task: str) -> Iterator[Text]:
    """Pairs of the other tasks' training files."""
    for path in sorted({*data.glob("*/train.tsv"), *data.glob("*/all.tsv")}):
        other = TASKS.get(path.parent.name.removesuffix("_part"))
        if other and other.pair and other.name != task:
            yield from (row.text for row in iter_rows(path, other.texts, None, other.header))


def unlabelled(data: Path, task: Task, texts: Path | None, most: int) -> list[Text]:
    """Texts for the teacher to label, in random order: none that holds a text of a development set."""
    held_out = {text for path in data.glob("*/dev*.tsv") for text in texts_of(path)}
    found = other_pairs(data, task.name) if task.pair else texts.read_text("utf-8").splitlines() if texts else []
    kept = [text for text in dict.fromkeys(found) if not held_out.intersection(sides(text))]
    random.Random(0).shuffle(kept)
    return kept[:most]


def main() -> None:
    """Trains what is not in the output yet, and prints the teacher's score and the pupils'."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="folder of GLUE's folders")
    add("--task", required=True, choices=[name for name, task in TASKS.items() if len(task.dev) == 1])
    add("--teacher", required=True, help="what `eelbert finetune` wrote")
    add("--preset", default="uno_en")
    add("--texts", type=Path, help="a file with one text a line, as experiments/preset_texts.py writes it")
    add("--more", type=int, default=20_000, help="texts without labels, at most")
    add("--made-up", type=int, default=2, help="variants of each training text")
    add("--trust", type=float, default=0.5, help="share of the teacher's word where there is a label")
    add("--epochs", type=int, default=3)
    add("--batch-size", type=int, default=32)
    add("--learning-rate", type=float, default=1e-3)
    add("--seeds", type=int, default=3)
    add("--answers", type=Path, required=True, help="what the teacher says is kept in this .npz")
    add("--output", required=True, type=Path)
    args = parser.parse_args()

    task = TASKS[args.task]
    data = read_task(task, str(args.data))
    ((_, dev),) = data.dev.items()
    more = unlabelled(args.data, task, args.texts, args.more)
    teacher, digest = EelbertClassifier.from_preset(args.teacher), weights_digest(args.teacher)
    learned = lessons(
        teacher, data.train, more, args.made_up, args.trust, held_out=dev.texts, kept=args.answers, identity=digest
    )

    kept = Scores(args.output, {"script": "experiments/taught.py", f"task {task.name}": {"sha256": data.digest}})
    results = []
    for seed in range(args.seeds):
        recipe = Recipe(args.epochs, args.batch_size, args.learning_rate, seed=seed)
        job = Job(args.preset, task.name, digest, args.more, args.made_up, args.trust, recipe, learned, dev)
        if kept.get(job) is None:
            kept.add(job, job.run())
        results.append(kept.results[job.key]["sets"]["dev"])
    rows = [
        ["the teacher", *cells([scores(task, dev.labels, labels_of(teacher, dev.texts))])],
        [f"{args.preset}, taught", *cells(results)],
    ]
    print(f"{len(data.train):,} labelled texts, {len(learned.texts) - len(data.train):,} more, dev {len(dev):,}")
    print(markdown_table([task.name, *task.metrics, "mean"], rows), end="")


def cells(results: Sequence[dict[str, float]]) -> list[str]:
    """Median, least and greatest of each metric, and of their mean."""
    columns = [list(values) for values in zip(*(result.values() for result in results), strict=True)]
    columns.append([statistics.fmean(result.values()) for result in results])
    return [spread(values, 2) for values in columns]


if __name__ == "__main__":
    main()
