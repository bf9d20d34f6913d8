"""Scores on GLUE: every task with several seeds, and a recipe chosen without a look at the development sets."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eelbert_tf.training.finetune.candidates import Contender
from eelbert_tf.training.finetune.held_out import split_off

from .scores import Result, Scores
from .tasks import TASKS, TaskData, read_task, scores


class Trial(NamedTuple):
    """What is chosen for each task: the learning rate's peak, or what a rival has instead, and the passes.

    Args:
        rate, epochs: of `Contender.train`; `None` for what suits the task.
    """

    rate: float | None
    epochs: int | None


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        contender: what is trained.
        task: a name in `TASKS`.
        data: where from, as `read_task` takes it.
        trial: how.
        seed: fixes everything random.
        choosing: whether to train without a tenth of the training texts and to score on that, so that a trial can be
            chosen without a look at the development set.
    """

    contender: Contender
    task: str
    data: str
    trial: Trial
    seed: int
    choosing: bool = False

    @property
    def key(self) -> str:
        """What names its result."""
        kind = "choosing" if self.choosing else "seed"
        epochs = f", {self.trial.epochs} epochs" if self.trial.epochs else ""
        rate = "default" if self.trial.rate is None else f"{self.trial.rate:g}"
        return f"{self.contender.name}: {self.task} {kind} {self.seed} {rate}{epochs}"

    def run(self) -> Result:
        """Trains and scores: `sets`, the official metrics of each development set, and `seconds`."""
        task = TASKS[self.task]
        data = read_task(task, self.data)
        train, sets = data.train, data.dev
        if self.choosing:
            train, held_out = split_off(train)
            sets = {"held-out": held_out}
        begin = time.perf_counter()
        predict = self.contender.train(train, task.classes, self.trial.rate, self.seed, self.trial.epochs)
        seconds = time.perf_counter() - begin
        found = {name: scores(task, table.labels, predict(table.texts)) for name, table in sets.items()}
        return {"sets": found, "seconds": round(seconds, 1)}


def score_of(result: Result) -> float:
    """The mean of a result's metrics over its sets."""
    return statistics.fmean(value for found in result["sets"].values() for value in found.values())


def trials_of(contender: Contender, trials: Sequence[Trial]) -> Sequence[Trial]:
    """What to choose from: a rival has as much of a choice as the others, by rates of its own."""
    if not contender.own_rates:
        return trials
    return [Trial(rate, None) for rate in contender.own_rates] if len(trials) > 1 else [Trial(None, None)]


def best_trial(scores: Scores, contender: Contender, task: str, data: str, trials: Sequence[Trial]) -> Trial:
    """The trial with the best held-out score, the first of equals."""
    trials = trials_of(contender, trials)
    tried = {trial: scores.get(Job(contender, task, data, trial, 0, choosing=True)) for trial in trials}
    return max(trials, key=lambda trial: score_of(tried[trial] or {"sets": {"": {"": float("-inf")}}}))


def summary(
    scores: Scores, contender: Contender, tasks: Sequence[str], data: str, trials: Sequence[Trial], seeds: int
) -> dict[str, Any]:
    """Per task: the chosen trial, the median, least and greatest score over seeds, and each metric's median."""
    table: dict[str, Any] = {}
    for task in tasks:
        trial = best_trial(scores, contender, task, data, trials)
        runs = [scores.get(Job(contender, task, data, trial, seed)) for seed in range(seeds)]
        done = [run for run in runs if run is not None]
        if not done:
            continue
        values = [score_of(run) for run in done]
        table[task] = {
            "score": round(statistics.median(values), 2),
            "least": round(min(values), 2),
            "greatest": round(max(values), 2),
            "seeds": len(done),
            **trial._asdict(),
            "sets": {
                name: {m: round(statistics.median(run["sets"][name][m] for run in done), 2) for m in found}
                for name, found in done[0]["sets"].items()
            },
        }
    average = round(statistics.fmean(row["score"] for row in table.values()), 2) if table else None
    return {"model": contender.name, "tasks": table, "average": average}


def settings_of(contenders: Sequence[Contender], tasks: dict[str, TaskData]) -> dict[str, Any]:
    """What a file of scores must have been made with: the same texts and the same weights, wherever they lie."""
    return {
        **{f"task {name}": {"sha256": data.digest} for name, data in tasks.items()},
        **{f"contender {c.name}": {"weights": c.fingerprint, "batch_size": c.batch_size} for c in contenders},
    }
