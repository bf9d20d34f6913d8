"""Experiments on GLUE: every task with several seeds, and recipes chosen without using the development sets."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eelbert_tf.training.finetune.candidates import Candidate
from eelbert_tf.training.finetune.held_out import hold_out

from .scores import Result, Scores
from .tasks import TASKS, TaskData, read_task, scores


class Trial(NamedTuple):
    """What is chosen for each task: the learning rate's peak, or a baseline's rate, and the number of epochs.

    Args:
        rate, epochs: arguments of `Candidate.train`; `None` for the default.
    """

    rate: float | None
    epochs: int | None


@dataclass(frozen=True)
class GlueExperiment:
    """One training of one candidate on one task.

    Args:
        candidate: the model.
        task: a name in `TASKS`.
        data: the source of the texts, an argument of `read_task`.
        trial: learning rate and epochs.
        seed: fixes everything random.
        choosing: whether to hold out a tenth of the training texts and to score on them, so that a trial can be chosen
            without using the development set.
    """

    candidate: Candidate
    task: str
    data: str
    trial: Trial
    seed: int
    choosing: bool = False

    @property
    def key(self) -> str:
        """The name of its result."""
        kind = "choosing" if self.choosing else "seed"
        epochs = f", {self.trial.epochs} epochs" if self.trial.epochs else ""
        rate = "default" if self.trial.rate is None else f"{self.trial.rate:g}"
        return f"{self.candidate.name}: {self.task} {kind} {self.seed} {rate}{epochs}"

    def run(self) -> Result:
        """Trains and scores: `sets`, the official metrics of each development set, and `seconds`."""
        task = TASKS[self.task]
        data = read_task(task, self.data)
        train, sets = data.train, data.dev
        if self.choosing:
            train, held_out = hold_out(train)
            sets = {"held-out": held_out}
        start = time.perf_counter()
        predict = self.candidate.train(train, task.classes, self.trial.rate, self.seed, self.trial.epochs)
        seconds = time.perf_counter() - start
        scored = {name: scores(task, table.labels, predict(table.texts)) for name, table in sets.items()}
        return {"sets": scored, "seconds": round(seconds, 1)}


def score_of(result: Result) -> float:
    """The mean of a result's metrics over its sets."""
    return statistics.fmean(value for metrics in result["sets"].values() for value in metrics.values())


def trials_of(candidate: Candidate, trials: Sequence[Trial]) -> Sequence[Trial]:
    """The trials to choose from: for a baseline its own rates, if other models have a choice too."""
    if not candidate.rate_grid:
        return trials
    return [Trial(rate, None) for rate in candidate.rate_grid] if len(trials) > 1 else [Trial(None, None)]


def best_trial(scores: Scores, candidate: Candidate, task: str, data: str, trials: Sequence[Trial]) -> Trial:
    """The trial with the best held-out score; the first one of equals."""
    trials = trials_of(candidate, trials)
    tried = {trial: scores.get(GlueExperiment(candidate, task, data, trial, 0, choosing=True)) for trial in trials}
    return max(trials, key=lambda trial: score_of(tried[trial] or {"sets": {"": {"": float("-inf")}}}))


def summary(
    scores: Scores, candidate: Candidate, tasks: Sequence[str], data: str, trials: Sequence[Trial], seeds: int
) -> dict[str, Any]:
    """For each task: the chosen trial, the median, lowest and highest score over seeds, and each metric's median."""
    table: dict[str, Any] = {}
    for task in tasks:
        trial = best_trial(scores, candidate, task, data, trials)
        runs = [scores.get(GlueExperiment(candidate, task, data, trial, seed)) for seed in range(seeds)]
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
                name: {m: round(statistics.median(run["sets"][name][m] for run in done), 2) for m in metrics}
                for name, metrics in done[0]["sets"].items()
            },
        }
    average = round(statistics.fmean(row["score"] for row in table.values()), 2) if table else None
    return {"model": candidate.name, "tasks": table, "average": average}


def settings_of(candidates: Sequence[Candidate], tasks: dict[str, TaskData]) -> dict[str, Any]:
    """What a file of scores depends on: the texts and the weights, whatever their paths."""
    return {
        **{f"task {name}": {"sha256": data.digest} for name, data in tasks.items()},
        **{f"candidate {c.name}": {"weights": c.fingerprint, "batch_size": c.batch_size} for c in candidates},
    }
