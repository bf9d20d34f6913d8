"""What the campaigns share: a tally of outcomes, and commands in processes of their own."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from eelbert_tf.disk.progress import with_progress

Item = TypeVar("Item")

# Imported once, in a process from which the others are forked before TensorFlow has begun to work.
_PRELOADED = ["keras", "tensorflow", "matplotlib.figure", "ai_edge_litert.interpreter"]
_PRELOADED += [
    "eelbert_tf.tflite.conversion.convert",
    "eelbert_tf.training.pretrain.run",
    "eelbert_tf.training.finetune.run",
]


@dataclasses.dataclass
class Tally:
    """What happened in many tries of one fault.

    Args:
        name: the fault.
        outcomes: how often each outcome was seen.
        failures: the first outcomes that must not be, in words.
        notes: figures to show beside them.
    """

    name: str
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[str] = dataclasses.field(default_factory=list)
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def add(self, outcome: str, count: int = 1) -> None:
        """Notes an outcome that may be."""
        self.outcomes[outcome] += count

    def fail(self, outcome: str, detail: str) -> None:
        """Notes an outcome that must not be."""
        self.outcomes[f"**{outcome}**"] += 1
        if len(self.failures) < 10:
            self.failures.append(f"{self.name}: {outcome}: {detail[-1500:]}")


@dataclasses.dataclass
class Bench:
    """Where a campaign works, and how much it does.

    Args:
        place: an empty folder.
        sizes: a number of tries by name.
        random: the only source of chance.
    """

    place: Path
    sizes: dict[str, int]
    random: random.Random

    def folder(self, name: str) -> Path:
        """A new empty folder."""
        shutil.rmtree(self.place / name, ignore_errors=True)
        (self.place / name).mkdir(parents=True)
        return self.place / name

    def bar(self, items: Iterable[Item], name: str, total: int | None = None) -> Iterator[Item]:
        """The items, with a progress bar."""
        yield from with_progress(items, "try", name, total)


class Command:
    """`eelbert` in a process of its own.

    Args:
        arguments: of the command line.
        log: a file that gets stderr.
        out: a file that gets stdout.
        prepare: is called in the process before the command begins.
    """

    def __init__(
        self,
        arguments: Iterable[object],
        log: Path,
        out: Path | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self.log, self.out = log, out or log.with_suffix(".out")
        self.process = context.Process(target=_run, args=([*map(str, arguments)], self.log, self.out, prepare))
        self.process.start()

    def end(self) -> int | None:
        """Waits; the status."""
        self.process.join()
        return self.process.exitcode

    def complaint(self) -> str:
        """What it refused with: the last line of stderr."""
        lines = self.log.read_text("utf-8", "replace").replace("\r", "\n").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")

    def refused(self) -> bool:
        """Whether it ended with status 2 and one line of error."""
        status, errors = self.end(), self.log.read_text("utf-8", "replace")
        return status == 2 and self.complaint().startswith("eelbert ") and "Traceback" not in errors


def _run(arguments: list[str], log: Path, out: Path, prepare: Callable[[], None] | None) -> None:
    for number, path in ((1, out), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    from eelbert_tf.__main__ import main

    if prepare is not None:
        prepare()
    try:
        status = main(arguments)
        sys.stdout.flush()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    sys.stderr.flush()
    os._exit(status)  # a signal that comes now would not meet the command, but what ends the process here


def must(bench: Bench, *arguments: object) -> None:
    """Runs a command that has to succeed.

    Raises:
        RuntimeError: it did not.
    """
    command = Command(arguments, bench.place / "must.log")
    if command.end():
        raise RuntimeError(f"eelbert {' '.join(map(str, arguments))}:\n{command.log.read_text('utf-8', 'replace')}")
