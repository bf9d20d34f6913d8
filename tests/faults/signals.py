"""Ctrl-C and SIGTERM at random moments: the command ends; on the disk is the older output or a whole new one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from eelbert_tf.errors import InputError
from tests.faults import work
from tests.faults.bench import Bench, Command, Tally, must

_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# A command that goes on for longer than this after a signal has not heard it, or does not clean up as it should.
_PATIENCE = 20.0  # seconds


def signals(bench: Bench) -> list[Tally]:
    """Every command that takes its time."""
    folder = bench.folder("inputs")
    work.make_inputs(folder)
    must(bench, "corpus", "--input", folder / "corpus.txt", "--output", folder / "corpus", "--workers", 1)
    jobs = (work.finetune(folder), work.convert(folder), work.corpus(folder), work.pretrain(folder))
    return [interrupt(bench, job, bench.sizes["signals"]) for job in jobs]


def interrupt(bench: Bench, job: work.Job, count: int) -> Tally:
    """Sends `count` signals to runs of one command, each at a random moment.

    Args:
        bench: where to work.
        job: the command.
        count: how many.
    """
    name = job.arguments[0]
    whole, path = bench.folder(f"{name}-whole") / job.name, bench.folder(name) / job.name
    began = time.monotonic()
    must(bench, *job.arguments, job.output, whole)
    seconds = time.monotonic() - began
    tally = Tally(f"SIGINT and SIGTERM to {name}")
    before, slowest = work.ABSENT, 0.0
    for number in bench.bar(range(count), tally.name):
        sent = list(_STATUS)[number % 2]
        command = Command([*job.arguments, job.output, path], bench.place / "signal.log")
        command.process.join(bench.random.uniform(0.0, seconds))
        if command.process.pid is None or not command.process.is_alive():
            tally.add("ended before")
            continue
        began = time.monotonic()
        os.kill(command.process.pid, sent)
        command.process.join(_PATIENCE)
        slowest = max(slowest, time.monotonic() - began)
        if command.process.is_alive():
            tally.fail("swallowed", f"signal {number} of {name}")
            command.process.kill()
        _judge(tally, command, sent)
        before = _look(tally, job, path, before)
    tally.notes["slowest end after a signal, seconds"] = slowest
    must(bench, *job.arguments, job.output, path)
    for rest in path.parent.glob(".*"):
        tally.fail("left behind", rest.name)
    return tally


def _judge(tally: Tally, command: Command, sent: signal.Signals) -> None:
    status, errors = command.end(), command.log.read_text("utf-8", "replace") if command.log.exists() else ""
    if status == _STATUS[sent]:
        tally.add("interrupted")
    elif status == 0 or not errors:
        tally.add("ended before it came" if status == 0 else "before the command began")
    else:
        tally.fail(f"status {status}", errors)
    if "Traceback" in errors and status != 1:
        tally.fail("traceback", errors)


def _look(tally: Tally, job: work.Job, path: Path, before: str) -> str:
    try:
        found = job.look(path)
    except (InputError, ValueError, OSError) as error:
        tally.fail("half an output", str(error))
        return before
    if found == work.ABSENT and before != work.ABSENT:
        tally.fail("the output is lost", str(path))
    return found
