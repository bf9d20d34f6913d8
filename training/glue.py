"""Scores on GLUE: every task with several seeds, and a learning rate chosen without a look at the development sets."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .contenders import Contender, split_off
from .glue_tasks import TASKS, read_task, scores
from .score_runs import Result, Scores


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
        """What names its result."""
        kind = "choosing" if self.choosing else "seed"
        return f"{self.contender.name}: {self.task} {kind} {self.seed} {self.learning_rate:g}"

    def run(self) -> Result:
        """Trains and scores: `sets`, the official metrics of each development set, and `seconds`."""
        task = TASKS[self.task]
        data = read_task(task, self.data)
        train, sets = data.train, data.dev
        if self.choosing:
            train, held_out = split_off(train)
            sets = {"held-out": held_out}
        begin = time.perf_counter()
        predict = self.contender.train(train, task.classes, self.learning_rate, self.seed)
        seconds = time.perf_counter() - begin
        found = {name: scores(task, table.labels, predict(table.texts)) for name, table in sets.items()}
        return {"sets": found, "seconds": round(seconds, 1)}


def score_of(result: Result) -> float:
    """The mean of a result's metrics over its sets."""
    return statistics.fmean(value for found in result["sets"].values() for value in found.values())


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
