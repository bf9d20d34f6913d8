"""Scores on GLUE: every task with several seeds, kept run by run, so that an interrupted table goes on where it was."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError
from eelbert_tf.files import replace_file

from .contenders import Contender, split_off
from .glue_tasks import TASKS, read_task, scores

Result = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        contender: what is trained.
        task: a name in `TASKS`.
        data: where from, as `read_task` takes it.
        learning_rate: the peak.
        seed: fixes everything random.
        choosing: whether to train without a tenth of the training texts and to score on that, so that a learning
            rate can be chosen without a look at the development set.
    """

    contender: Contender
    task: str
    data: str
    learning_rate: float
    seed: int
    choosing: bool = False

    @property
    def key(self) -> str:
        """What names its result within a contender's."""
        return f"{self.task} {'choosing' if self.choosing else 'seed'} {self.seed} {self.learning_rate:g}"


def run_job(job: Job) -> Result:
    """Trains and scores: `sets`, the official metrics of each development set, and `seconds`."""
    task = TASKS[job.task]
    data = read_task(task, job.data)
    train, sets = data.train, data.dev
    if job.choosing:
        train, held_out = split_off(train)
        sets = {"held-out": held_out}
    begin = time.perf_counter()
    predict = job.contender.train(train, task.classes, job.learning_rate, job.seed)
    seconds = time.perf_counter() - begin
    found = {name: scores(task, table.labels, predict(table.texts)) for name, table in sets.items()}
    return {"sets": found, "seconds": round(seconds, 1)}


def score_of(result: Result) -> float:
    """The mean of a result's metrics over its sets."""
    return statistics.fmean(value for found in result["sets"].values() for value in found.values())


class Scores:
    """The results of one contender, in a JSON file that is written after every run.

    Args:
        path: the file.
        settings: all that the results depend on; a file with others is refused.

    Raises:
        InputError: the file holds something else.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        self.results: dict[str, Result] = {}
        if path.is_file():
            try:
                found = json.loads(path.read_text("utf-8"))
                before, self.results = found["settings"], found["results"]
            except (OSError, ValueError, KeyError, TypeError):
                raise InputError(f"{path}: holds something else than scores; choose another --output") from None
            for name, value in self.settings.items():
                if before.get(name) != value:
                    raise InputError(
                        f"{path}: was begun with {name} {json.dumps(before.get(name))}, not {json.dumps(value)}; "
                        "go on with the same, or choose another --output"
                    )

    def add(self, job: Job, result: Result) -> None:
        """Keeps one result."""
        self.results[f"{job.contender.name}: {job.key}"] = result
        with replace_file(self.path) as temporary:
            temporary.write_text(
                json.dumps({"settings": self.settings, "results": self.results}, indent=1) + "\n", "utf-8"
            )

    def get(self, job: Job) -> Result | None:
        """The result of a job that is done."""
        return self.results.get(f"{job.contender.name}: {job.key}")


def run_jobs(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Result]]:
    """Runs jobs, several at a time, each on its share of the cores; results come as they are ready."""
    if processes <= 1:
        for job in jobs:
            yield job, run_job(job)
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_limit_threads, initargs=(threads,)) as pool:
        futures: dict[Future[Result], Job] = {pool.submit(run_job, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()


def _limit_threads(threads: int) -> None:
    """For a fresh process: small models on small batches gain nothing from a second core, two of them do."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def best_rate(scores: Scores, contender: Contender, task: str, data: str, rates: Sequence[float]) -> float:
    """The learning rate with the best held-out score among those that were tried; 0 where there is none to choose."""
    if not contender.tunable:
        return 0.0
    tried = {rate: scores.get(Job(contender, task, data, rate, 0, choosing=True)) for rate in rates}
    return max(rates, key=lambda rate: score_of(tried[rate] or {"sets": {"": {"": float("-inf")}}}))


def summary(
    scores: Scores, contender: Contender, tasks: Sequence[str], data: str, rates: Sequence[float], seeds: int
) -> dict[str, Any]:
    """Per task: the chosen rate, the median, least and greatest score over seeds, and each metric's median."""
    table: dict[str, Any] = {}
    for task in tasks:
        rate = best_rate(scores, contender, task, data, rates)
        runs = [scores.get(Job(contender, task, data, rate, seed)) for seed in range(seeds)]
        done = [run for run in runs if run is not None]
        if not done:
            continue
        values = [score_of(run) for run in done]
        table[task] = {
            "score": round(statistics.median(values), 2),
            "least": round(min(values), 2),
            "greatest": round(max(values), 2),
            "seeds": len(done),
            "learning_rate": rate if contender.tunable else None,
            "sets": {
                name: {m: round(statistics.median(run["sets"][name][m] for run in done), 2) for m in found}
                for name, found in done[0]["sets"].items()
            },
        }
    average = round(statistics.fmean(row["score"] for row in table.values()), 2) if table else None
    return {"model": contender.name, "tasks": table, "average": average}


def settings_of(contenders: Sequence[Contender], data: str) -> dict[str, Any]:
    """What a file of scores must have been made with."""
    return {
        "data": data if data == "tfds" else str(Path(data).resolve()),
        **{f"contender {c.name}": {**asdict(c), "weights": c.fingerprint} for c in contenders},
    }
