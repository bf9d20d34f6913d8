"""kill -9 at random moments: what is on the disk then is nothing, the older output, or a whole new one."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from eelbert_tf.errors import InputError
from tests.faults import work
from tests.faults.bench import Bench, Command, Tally, must


def kill_finetune(bench: Bench) -> list[Tally]:
    """Each epoch replaces the model."""
    return [_kill(bench, work.finetune(_inputs(bench)))]


def kill_convert(bench: Bench) -> list[Tally]:
    """One file at the end."""
    return [_kill(bench, work.convert(_inputs(bench)))]


def kill_corpus(bench: Bench) -> list[Tally]:
    """Many parts, then many shards."""
    return [_kill(bench, work.corpus(_inputs(bench)))]


def kill_pretrain(bench: Bench) -> list[Tally]:
    """Each step writes a checkpoint and a model."""
    folder = _inputs(bench)
    must(bench, "corpus", "--input", folder / "corpus.txt", "--output", folder / "corpus", "--workers", 1)
    return [_kill(bench, work.pretrain(folder))]


def _inputs(bench: Bench) -> Path:
    folder = bench.folder("inputs")
    work.make_inputs(folder)
    return folder


def _kill(bench: Bench, job: work.Job) -> Tally:
    """Kills a command again and again; one that resumes is killed on its way to the end, then begins anew."""
    name = job.arguments[0]
    whole, path = bench.folder(f"{name}-whole") / job.name, bench.folder(name) / job.name
    began = time.monotonic()
    must(bench, *job.arguments, job.output, whole)
    seconds = time.monotonic() - began
    expected = job.look(whole)
    tally = Tally(f"kill -9 of {name}")
    before = work.ABSENT
    killed = bench.bar(range(bench.sizes["kills"]), tally.name)
    ended = False
    while ended or next(killed, None) is not None:
        command = Command([*job.arguments, job.output, path], bench.place / "killed.log")
        command.process.join(seconds * bench.random.uniform(0.0, 1.0))
        command.process.kill()
        ended = command.end() == 0
        try:
            found = job.look(path)
        except (InputError, ValueError, OSError) as error:
            tally.fail("half an output", str(error))
            ended = False
            continue
        if found == work.ABSENT and (before != work.ABSENT or ended):
            tally.fail("the output is lost", name)
        elif ended:
            tally.notes["ended before they were killed"] = tally.notes.get("ended before they were killed", 0) + 1
        elif found == work.ABSENT:
            tally.add("no output yet")
        elif found == before:
            tally.add("the older output")
        else:
            tally.add("a whole new output")
        before = found
        if ended and job.resumes:
            _check_end(tally, found, expected)
            shutil.rmtree(path)
            before = work.ABSENT
    must(bench, *job.arguments, job.output, path)
    _check_end(tally, job.look(path), expected)
    _check_rest(tally, path)
    tally.notes["seconds of an undisturbed run"] = round(seconds)
    return tally


def _check_end(tally: Tally, found: str, expected: str) -> None:
    if found == expected:
        tally.notes["ends equal to an undisturbed run"] = tally.notes.get("ends equal to an undisturbed run", 0) + 1
    else:
        tally.fail("another end than an undisturbed run", found)


def _check_rest(tally: Tally, path: Path) -> None:
    """What killed processes left is gone after a run that ended."""
    for rest in (*path.parent.glob(".*"), *path.rglob(".*"), *path.glob("parts")):
        tally.fail("left behind", rest.name)
