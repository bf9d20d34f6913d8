"""`eelbert glue`: scores of models and rivals on GLUE, from the official files or from tensorflow-datasets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
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
        help="passes over the training texts (3 to 40, by their number)",
    )
    add("--batch-size", type=int, default=32, metavar="N", help="texts per step")
    add(
        "--learning-rates",
        type=float,
        nargs="+",
        metavar="X",
        help="peak of the schedule (0.001, or 0.0003 for very many texts); of several rates and passes the best on a "
        "tenth of the training texts is taken; tfidf and fasttext then choose from values of their own",
    )
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time, each on its share of the cores")
    add("--output", required=True, metavar="F.json", help="scores; a table (.md) and a plot (.png) are put beside it")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Trains what is not in the output yet, and reports all of it.

    Returns:
        The output, and a row for each model.

    Raises:
        InputError: bad input, or an impossible output.
    """
    from tqdm import tqdm

    from eelbert_tf.training.finetune.candidates import Contender
    from eelbert_tf.training.glue.report import markdown, plot
    from eelbert_tf.training.glue.run import Job, Trial, best_trial, settings_of, summary, trials_of
    from eelbert_tf.training.glue.scores import Scores, run_jobs
    from eelbert_tf.training.glue.tasks import read_task

    output = Path(args.output)
    if output.suffix != ".json":
        raise InputError(f"--output: expected a name that ends in .json, not {args.output}")
    positive = [("seeds", args.seeds), ("batch-size", args.batch_size), ("jobs", args.jobs)]
    for name, value in [*positive, *(("epochs", epochs) for epochs in args.epochs or [])]:
        if value < 1:
            raise InputError(f"--{name}: must be positive, not {value}")
    contenders = [Contender(model, args.config, args.batch_size) for model in args.model]
    tasks = [task for task in TASKS if task in args.tasks]
    data = {task: read_task(TASKS[task], args.data) for task in tasks}  # before any work
    scores = Scores(output, settings_of(contenders, data))
    trials = [
        Trial(rate, epochs)
        for rate in sorted(set(args.learning_rates or [])) or [None]
        for epochs in dict.fromkeys(args.epochs or [None])
    ]

    choosing = [
        Job(contender, task, args.data, trial, 0, choosing=True)
        for contender in contenders
        for task in tasks
        for trial in trials_of(contender, trials)
        if len(trials) > 1
    ]
    seeds = {contender: range(args.seeds if contender.seeded else 1) for contender in contenders}
    total = len(choosing) + len(tasks) * sum(map(len, seeds.values()))
    with tqdm(total=total, desc="GLUE", unit="run", file=sys.stderr, dynamic_ncols=True) as bar:

        def work(jobs: list[Job]) -> None:
            waiting = [job for job in jobs if scores.get(job) is None]
            bar.update(len(jobs) - len(waiting))
            for job, result in run_jobs(waiting, args.jobs):
                scores.add(job, result)
                bar.update()
                found = ", ".join(f"{m} {v:.2f}" for found in result["sets"].values() for m, v in found.items())
                bar.write(f"{job.key}: {found}", file=sys.stderr)

        work(choosing)
        work(
            [
                Job(contender, task, args.data, best_trial(scores, contender, task, args.data, trials), seed)
                for contender in contenders
                for task in tasks
                for seed in seeds[contender]
            ]
        )
    rows = [summary(scores, contender, tasks, args.data, trials, len(seeds[contender])) for contender in contenders]
    table = markdown(rows, tasks)
    with replace_file(output.with_suffix(".md")) as temporary:
        temporary.write_text(table, "utf-8")
    try:
        plot(rows, tasks, output.with_suffix(".png"))
    except ImportError:
        print("eelbert glue: no plot without matplotlib: pip install 'eelbert-tf[plot]'", file=sys.stderr)
    print(table, file=sys.stderr)
    return {"output": str(output), "models": rows}
