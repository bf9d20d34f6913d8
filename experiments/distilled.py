r"""Scores on a GLUE task of a small model that is distilled from a fine-tuned larger one, for docs/results-v1.md.

    python experiments/distilled.py --data GLUE --task STS-B --teacher tuned --cached-predictions answers.npz --output
    distilled.json

The teacher is the model that `eelbert finetune` wrote for the task. It predicts labels of the training texts, of
generated variants of them, and of more texts: pairs of the other tasks, or lines of --texts if the task has single
texts. The student learns from all of these, as in `eelbert distill --train`. Texts that contain a text of a development
set are left out, and development sets are used for scoring only. An interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from preset_texts import sides, texts_of

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.reports import markdown_table, spread
from eelbert_tf.disk.tables import Table, Text, iter_rows
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import read_config, weights_digest
from eelbert_tf.training.distill.soft_targets import distilled_targets
from eelbert_tf.training.finetune.candidates import labels_of
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import Recipe
from eelbert_tf.training.finetune.run import finetune
from eelbert_tf.training.finetune.start import start
from eelbert_tf.training.glue.scores import Result, Scores
from eelbert_tf.training.glue.tasks import TASKS, Task, read_task, scores


@dataclass(frozen=True)
class Experiment:
    """One training of a student.

    Args:
        preset: the preset that it starts from.
        task: a name in `TASKS`.
        teacher: identifies the teacher's weights.
        more, made_up: the number of texts without labels; of variants of each training text.
        teacher_weight: the teacher's share in the target of a labelled text.
        recipe: how the student is trained.
        data: all texts with their soft targets.
        dev: the development set.
    """

    preset: str
    task: str
    teacher: str
    more: int
    made_up: int
    teacher_weight: float
    recipe: Recipe
    data: Labelled
    dev: Table

    @property
    def key(self) -> str:
        """The name of its result."""
        fields = {**vars(self), "recipe": vars(self.recipe), "data": len(self.data.texts), "dev": len(self.dev)}
        return json.dumps(fields)

    def run(self) -> Result:
        """Trains and scores: the official metrics of the development set."""
        import keras

        task = TASKS[self.task]
        keras.utils.set_random_seed(self.recipe.seed)
        student = start(self.preset, read_config("eelbert_uno"), task.pair, task.classes or None, {})
        finetune(student, self.data, None, self.recipe)
        return {"sets": {"dev": scores(task, self.dev.labels, labels_of(student, self.dev.texts))}}


def other_pairs(data: Path, task: str) -> Iterator[Text]:
    """Pairs of the other tasks' training files."""
    for path in sorted({*data.glob("*/train.tsv"), *data.glob("*/all.tsv")}):
        other = TASKS.get(path.parent.name.removesuffix("_part"))
        if other and other.pair and other.name != task:
            yield from (row.text for row in iter_rows(path, other.texts, None, other.header))


def unlabelled(data: Path, task: Task, texts: Path | None, most: int) -> list[Text]:
    """Texts for the teacher to label, in random order, without those that contain a text of a development set."""
    held_out = {text for path in data.glob("*/dev*.tsv") for text in texts_of(path)}
    candidates = other_pairs(data, task.name) if task.pair else texts.read_text("utf-8").splitlines() if texts else []
    kept = [text for text in dict.fromkeys(candidates) if not held_out.intersection(sides(text))]
    random.Random(0).shuffle(kept)
    return kept[:most]


def main() -> None:
    """Trains the students that are not in the output yet, and prints the scores of the teacher and the students."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="folder of GLUE's folders")
    add("--task", required=True, choices=[name for name, task in TASKS.items() if len(task.dev) == 1])
    add("--teacher", required=True, help="the folder that `eelbert finetune` wrote")
    add("--preset", default="uno_en")
    add("--texts", type=Path, help="a file with one text per line, as experiments/preset_texts.py writes it")
    add("--more", type=int, default=20_000, help="texts without labels, at most")
    add("--made-up", type=int, default=2, help="variants of each training text")
    add("--teacher-weight", type=float, default=0.5, help="the teacher's share in the target of a labelled text")
    add("--epochs", type=int, default=3)
    add("--batch-size", type=int, default=32)
    add("--learning-rate", type=float, default=1e-3)
    add("--seeds", type=int, default=3)
    add("--cached-predictions", type=Path, required=True, help="the teacher's predictions are kept in this .npz")
    add("--output", required=True, type=Path)
    args = parser.parse_args()

    task = TASKS[args.task]
    data = read_task(task, str(args.data))
    ((_, dev),) = data.dev.items()
    more = unlabelled(args.data, task, args.texts, args.more)
    teacher, digest = EelbertClassifier.from_preset(args.teacher), weights_digest(args.teacher)
    learned = distilled_targets(
        teacher,
        data.train,
        more,
        args.made_up,
        args.teacher_weight,
        held_out=dev.texts,
        kept=args.cached_predictions,
        identity=digest,
    )

    kept = Scores(args.output, {"script": "experiments/distilled.py", f"task {task.name}": {"sha256": data.digest}})
    results = []
    for seed in range(args.seeds):
        recipe = Recipe(args.epochs, args.batch_size, args.learning_rate, seed=seed)
        experiment = Experiment(
            args.preset, task.name, digest, args.more, args.made_up, args.teacher_weight, recipe, learned, dev
        )
        if kept.get(experiment) is None:
            kept.add(experiment, experiment.run())
        results.append(kept.results[experiment.key]["sets"]["dev"])
    rows = [
        ["the teacher", *cells([scores(task, dev.labels, labels_of(teacher, dev.texts))])],
        [f"{args.preset}, distilled", *cells(results)],
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
