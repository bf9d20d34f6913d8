"""Trainings that make a table: run several at a time, kept one by one, so that an interrupted table goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

from eelbert_tf.disk.files import replace_file
from eelbert_tf.errors import InputError

Result = dict[str, Any]


class Job(Protocol):
    """One training, to be run in this process or another."""

    @property
    def key(self) -> str:
        """What names its result."""

    def run(self) -> Result:
        """Trains and scores; JSON values."""


AnyJob = TypeVar("AnyJob", bound=Job)


class Scores:
    """The results of many trainings, in a JSON file that is written after each of them.

    Args:
        path: the file.
        settings: all that the results depend on; a file in which one of them is another is refused.

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
                if before.setdefault(name, value) != value:
                    raise InputError(
                        f"{path}: was begun with {name} {json.dumps(before[name])}, not {json.dumps(value)}; "
                        "go on with the same, or choose another --output"
                    )
            self.settings = before

    def add(self, job: Job, result: Result) -> None:
        """Keeps one result."""
        self.results[job.key] = result
        with replace_file(self.path) as temporary:
            temporary.write_text(
                json.dumps({"settings": self.settings, "results": self.results}, indent=1) + "\n", "utf-8"
            )

    def get(self, job: Job) -> Result | None:
        """The result of a job that is done."""
        return self.results.get(job.key)


def run_jobs(jobs: Sequence[AnyJob], processes: int) -> Iterator[tuple[AnyJob, Result]]:
    """Runs jobs, several at a time, each on its share of the cores; results come as they are ready."""
    if processes <= 1:
        for job in jobs:
            yield job, job.run()
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_limit_threads, initargs=(threads,)) as pool:
        futures: dict[Future[Result], AnyJob] = {pool.submit(job.run): job for job in jobs}
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
