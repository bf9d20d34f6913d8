"""Twenty files of a user's beside and in every output of every command: all are there afterwards, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults import work
from tests.faults.bench import Bench, Command, Tally, must
from tests.small_models import saved

_NAMES = [
    "README.md",
    ".gitignore",
    "notes.txt",
    "shard-mine.txt",
    "shard-00000.txt",
    "shard-99999.u32",
    "words.csv",
    "model.h5",
    "model.keras",
    "train.csv",
    "weights.safetensors.bak",
    "config.json.old",
    "eelbert_model.h.orig",
    "report.docx",
    ".hidden",
    "index.html",
    "folder/config.json",
    "folder/weights.safetensors",
    "parts/mine.npz",
    "cache/mine.f32",
]


def foreign(bench: Bench) -> list[Tally]:
    """Each command writes, gets company, and writes again."""
    folder = bench.folder("inputs")
    work.make_inputs(folder)
    must(bench, "corpus", "--input", folder / "corpus.txt", "--output", folder / "corpus", "--workers", 1)
    micro = work.Job([*work.convert(folder).arguments, "--target", "micro"], work.look_at_file, output="--kit")
    jobs = [
        work.finetune(folder),
        work.convert(folder),
        work.corpus(folder),
        work.pretrain(folder, 2),
        micro,
        work.Job(["glue", *f"--data {folder}/glue --tasks SST-2 --model tfidf".split()], str, name="g.json"),
        work.Job(["benchmark", *["--suite", "hash", "--limit", "20", "--rounds", "1"]], str, name="b.json"),
        work.Job(
            f"distill --teacher {saved('small')} --train {folder}/distill.csv --config {folder}/tiny.json --epochs 1 "
            "--made-up 1".split(),
            str,
        ),
    ]
    rows = "".join(f"switch {i},{('lights_on', 'lights_off')[i % 2]}\n" for i in range(40))
    (folder / "distill.csv").write_text("text,label\n" + rows)
    return [_try(bench, job) for job in jobs]


def _try(bench: Bench, job: work.Job) -> Tally:
    tally = Tally(f"twenty foreign files beside and in the output of {' '.join(job.arguments[:1])} {job.output}")
    place = bench.folder("foreign")
    path = place / job.name
    arguments = [*job.arguments, job.output, path]
    if job.output == "--kit":
        arguments += ["--output", place / "out.tflite"]
    must(bench, *arguments)
    mine = {}
    for folder in (place, path) if path.is_dir() else (place,):
        for name in _NAMES:
            file = folder / name
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(os.urandom(1000))
                mine[file] = file.read_bytes()
    for extra in ([], ["--overwrite", "--max-words", 50]) if job.arguments[0] == "corpus" else ([],):
        command = Command([*arguments, *extra], bench.place / "foreign.log")
        status = command.end()
        lost = [str(file) for file, data in mine.items() if not _is(file, data)]
        if lost:
            tally.fail("lost or changed", ", ".join(lost))
        elif status:
            tally.fail(f"status {status}", command.log.read_text("utf-8", "replace"))
        else:
            tally.add("all there", len(mine))
    return tally


def _is(file: Path, data: bytes) -> bool:
    return file.is_file() and file.read_bytes() == data
