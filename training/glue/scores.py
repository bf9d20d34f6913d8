"""Runs experiments, several at a time, and keeps each result in a file, so that interrupted work can be continued."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.refusals import read_if_any
from eelbert_tf.errors import InputError

Result = dict[str, Any]


class Experiment(Protocol):
    """One training, which can run in this process or in another."""

    @property
    def key(self) -> str:
        """The name of its result."""

    def run(self) -> Result:
        """Trains and scores; JSON values."""


AnyExperiment = TypeVar("AnyExperiment", bound=Experiment)


class Scores:
    """The results of many experiments, in a JSON file that is written after each of them.

    Args:
        path: the file.
        settings: everything that the results depend on.

    Raises:
        InputError: the file exists and holds something else, or results with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        self.results: dict[str, Result] = {}
        written = read_if_any(path)
        if written is not None:
            try:
                content = json.loads(written.decode("utf-8"))
                before, self.results = content["settings"], content["results"]
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{path}: holds something else than scores; choose another --output") from None
            for name, value in self.settings.items():
                if before.setdefault(name, value) != value:
                    raise InputError(
                        f"{path}: was begun with {name} {json.dumps(before[name])}, not {json.dumps(value)}; "
                        "go on with the same, or choose another --output"
                    )
            self.settings = before

    def add(self, experiment: Experiment, result: Result) -> None:
        """Adds a result, and writes the file."""
        self.results[experiment.key] = result
        with replace_file(self.path) as temporary:
            temporary.write_text(
                json.dumps({"settings": self.settings, "results": self.results}, indent=1) + "\n", "utf-8"
            )

    def get(self, experiment: Experiment) -> Result | None:
        """The result of an experiment; `None` if it has not been run."""
        return self.results.get(experiment.key)


def run_experiments(experiments: Sequence[AnyExperiment], processes: int) -> Iterator[tuple[AnyExperiment, Result]]:
    """Runs experiments, several at a time, each on its share of the cores; yields results when they are ready."""
    if processes <= 1:
        for experiment in experiments:
            yield experiment, experiment.run()
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_limit_threads, initargs=(threads,)) as pool:
        futures: dict[Future[Result], AnyExperiment] = {pool.submit(one.run): one for one in experiments}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()


def _limit_threads(threads: int) -> None:
    """Limits the threads of a new process: small models gain nothing from a second core, a second process does."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
