"""Commands on file systems that are too small: one line, status 2, and no output that could be taken for whole."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from eelbert_tf.errors import InputError
from tests.faults import work
from tests.faults.bench import Bench, Command, Tally, must
from tests.small_models import converted, saved

_KIB = (0, 4, 16, 64, 256, 1024, 4096)


def disk(bench: Bench) -> list[Tally]:
    """Every command that writes, on larger and larger disks until it succeeds."""
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        tally = Tally("full disk")
        tally.add("skipped: needs the right to mount file systems")
        return [tally]
    folder = bench.folder("inputs")
    work.make_inputs(folder)
    (folder / "corpus.txt").write_bytes((folder / "corpus.txt").read_bytes()[:400_000])
    must(bench, "corpus", "--input", folder / "corpus.txt", "--output", folder / "corpus", "--workers", 1)
    jobs = [work.finetune(folder), work.convert(folder), work.corpus(folder), work.pretrain(folder, 2)]
    jobs += [
        work.Job([*work.convert(folder).arguments, "--target", "micro", "--kit", "DISK/kit"], work.look_at_file),
        work.Job(["glue", *f"--data {folder}/glue --tasks SST-2 --model tfidf".split()], look_at_json, name="g.json"),
        work.Job(["benchmark", *["--suite", "hash", "--limit", "20", "--rounds", "1"]], look_at_json, name="b.json"),
        work.Job(
            f"distill --teacher {saved('small')} --train {folder}/distil.csv --config {folder}/tiny.json --epochs 1 "
            "--made-up 1".split(),
            work.look_at_classifier,
        ),
    ]
    labels = ("lights_on", "lights_off")
    rows = "".join(f"switch {i},{labels[i % 2]}\n" for i in range(40))
    (folder / "distil.csv").write_text("text,label\n" + rows)
    found = [_fill(bench, job) for job in jobs]
    found.append(_caches(bench, folder))
    found.append(_stdout(bench, folder))
    return found


def _fill(bench: Bench, job: work.Job) -> Tally:
    """Runs a command on one disk after the other."""
    what = f"{job.arguments[0]}{' --kit' * ('--kit' in job.arguments)}"
    tally = Tally(f"full disk under {what}")
    for size in bench.bar(_KIB, tally.name):
        with _mounted(bench.folder("disk"), size) as place:
            path = place / job.name
            arguments = [argument.replace("DISK", str(place)) for argument in job.arguments]
            command = Command([*arguments, job.output, path], bench.place / "disk.log")
            if _judge(tally, command, lambda path=path: job.look(path)):  # type: ignore[misc]
                tally.notes["succeeds on a disk of KiB"] = size
                break
    return tally


def _caches(bench: Bench, folder: Path) -> Tally:
    """Pretraining computes tables in the corpus's folder, here on the full disk."""
    tally = Tally("full disk under the corpus that pretrain reads")
    for spare in bench.bar((0, 16, 64), tally.name):
        size = sum(path.stat().st_size for path in (folder / "corpus").glob("*.*")) // 1024 + 40 + spare
        with _mounted(bench.folder("disk"), size) as place:
            shutil.copytree(folder / "corpus", place / "corpus", ignore=shutil.ignore_patterns("cache"))
            with open(place / "filler", "wb") as filler:
                _fill_up(filler.fileno(), spare)
            job = work.pretrain(folder, 2)
            arguments = [argument.replace(f"{folder}/corpus", f"{place}/corpus") for argument in job.arguments]
            path = bench.folder("run") / "out"
            command = Command([*arguments, job.output, path], bench.place / "disk.log")
            _judge(tally, command, partial(job.look, path))
    return tally


def _stdout(bench: Bench, folder: Path) -> Tally:
    """Predictions go to stdout, which the shell may lead to a full disk."""
    tally = Tally("full disk under predict > F")
    model, _ = converted("small")
    for runtime_model in bench.bar((model, saved("small")), tally.name):
        with _mounted(bench.folder("disk"), 16) as place:
            arguments = ["predict", "--model", runtime_model, "--input", folder / "texts.txt"]
            _judge(tally, Command(arguments, bench.place / "disk.log", place / "out"), lambda: work.ABSENT)
    return tally


def _judge(tally: Tally, command: Command, look: Callable[[], str]) -> bool:
    """Whether the command succeeded; all else must be a clear refusal without a half-written output."""
    status = command.end()
    try:
        found = look()
    except (InputError, ValueError, OSError) as error:
        tally.fail("half an output", str(error))
        return False
    if status == 0:
        tally.add("succeeded" if found != work.ABSENT else "**no output**")
        return True
    if not command.refused() or "cannot write: the disk is full" not in command.complaint():
        tally.fail("no clear line", f"status {status}: {command.log.read_text('utf-8', 'replace')}")
    else:
        tally.add("refused in one line, " + ("nothing written" if found == work.ABSENT else "a whole output kept"))
    return False


def look_at_json(path: Path) -> str:
    """A file of results."""
    return path.read_text() if path.exists() else work.ABSENT


@contextmanager
def _mounted(place: Path, kib: int) -> Iterator[Path]:
    """A disk of some KiB; of 0: one that is full, since none can be smaller than a page."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib or 4}k", "tmpfs", place], check=True)
    try:
        if not kib:
            (place / "filler").write_bytes(bytes(4096))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _fill_up(descriptor: int, spare_kib: int) -> None:
    """Fills a disk but for some KiB."""
    free = os.fstatvfs(descriptor)
    os.write(descriptor, bytes(max(0, free.f_bavail * free.f_bsize - 1024 * spare_kib)))
