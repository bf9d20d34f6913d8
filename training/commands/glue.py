"""`eelbert glue`: scores of models and baselines on GLUE, from the official files or from tensorflow-datasets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.progress import Progress
from eelbert_tf.disk.reports import check_results
from eelbert_tf.errors import InputError
from eelbert_tf.training.glue.tasks import TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--data", required=True, metavar="DIR|tfds", help="folder of GLUE's folders of TSV files, or tfds")
    add(
        "--model",
        required=True,
        nargs="+",
        metavar="MODEL",
        help="presets, model directories, folders of pretraining runs, each with scratch: before it for the same shape "
        "with fresh weights; scratch, tfidf, fasttext",
    )
    add("--config", default="eelbert_uno", metavar="NAME|F.json", help="shape of the model called scratch")
    add("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    add("--seeds", type=int, default=3, metavar="N", help="trainings of each model on each task")
    add(
        "--epochs",
        type=int,
        nargs="+",
        metavar="N",
        help="passes over the training texts (3 to 40, depending on their number)",
    )
    add("--batch-size", type=int, default=32, metavar="N", help="texts per step")
    add(
        "--learning-rates",
        type=float,
        nargs="+",
        metavar="X",
        help="peak of the schedule (0.001, or 0.0003 for very many texts). Of several rates and epochs, those with the "
        "best score on a held-out tenth of the training texts are taken; tfidf and fasttext then have their own grid",
    )
    add("--jobs", type=int, default=1, metavar="N", help="trainings at the same time, each on its share of the cores")
    add(
        "--output",
        required=True,
        metavar="F.json",
        help="scores; a table (.md) and a plot (.png) are written beside it",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the experiments that are not in the output yet, and reports all of them.

    Returns:
        The output's path, and a row for each model.

    Raises:
        InputError: bad input, or an impossible output.
    """
    from eelbert_tf.training.finetune.candidates import Candidate
    from eelbert_tf.training.glue.report import markdown, plot
    from eelbert_tf.training.glue.run import GlueExperiment, Trial, best_trial, settings_of, summary, trials_of
    from eelbert_tf.training.glue.scores import Scores, run_experiments
    from eelbert_tf.training.glue.tasks import read_task

    output = Path(args.output)
    if output.suffix != ".json":
        raise InputError(f"--output: expected a name that ends in .json, not {args.output}")
    positive = [("seeds", args.seeds), ("batch-size", args.batch_size), ("jobs", args.jobs)]
    for name, value in [*positive, *(("epochs", epochs) for epochs in args.epochs or [])]:
        if value < 1:
            raise InputError(f"--{name}: must be positive, not {value}")
    candidates = [Candidate(model, args.config, args.batch_size) for model in args.model]
    tasks = [task for task in TASKS if task in args.tasks]
    data = {task: read_task(TASKS[task], args.data) for task in tasks}  # so that bad files are found before any work
    scores = Scores(output, settings_of(candidates, data))
    check_results(output, "results", [output.with_suffix(".md"), output.with_suffix(".png")])
    trials = [
        Trial(rate, epochs)
        for rate in sorted(set(args.learning_rates or [])) or [None]
        for epochs in dict.fromkeys(args.epochs or [None])
    ]

    choosing = [
        GlueExperiment(candidate, task, args.data, trial, 0, choosing=True)
        for candidate in candidates
        for task in tasks
        for trial in trials_of(candidate, trials)
        if len(trials) > 1
    ]
    seeds = {candidate: range(args.seeds if candidate.seeded else 1) for candidate in candidates}
    total = len(choosing) + len(tasks) * sum(map(len, seeds.values()))
    with Progress("GLUE", total, "run") as progress:

        def complete(experiments: Sequence[GlueExperiment]) -> None:
            """Runs those that have no result yet."""
            missing = [experiment for experiment in experiments if scores.get(experiment) is None]
            progress.update(len(experiments) - len(missing))
            for experiment, result in run_experiments(missing, args.jobs):
                scores.add(experiment, result)
                progress.update()
                shown = ", ".join(f"{m} {v:.2f}" for metrics in result["sets"].values() for m, v in metrics.items())
                progress.write(f"{experiment.key}: {shown}")

        complete(choosing)
        complete(
            [
                GlueExperiment(candidate, task, args.data, best_trial(scores, candidate, task, args.data, trials), seed)
                for candidate in candidates
                for task in tasks
                for seed in seeds[candidate]
            ]
        )
    rows = [summary(scores, candidate, tasks, args.data, trials, len(seeds[candidate])) for candidate in candidates]
    table = markdown(rows, tasks)
    with replace_file(output.with_suffix(".md")) as temporary:
        temporary.write_text(table, "utf-8")
    try:
        plot(rows, tasks, output.with_suffix(".png"))
    except ImportError:
        print("eelbert glue: no plot without matplotlib: pip install 'eelbert-tf[plot]'", file=sys.stderr)
    print(table, file=sys.stderr)
    return {"output": str(output), "models": rows}
