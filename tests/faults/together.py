"""Many processes replace one model folder at the same time, and many read it: none is lost, none seems damaged.

Half of them run in PID namespaces of their own, as in containers, where that is allowed: each is process 1 there.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from eelbert_tf.disk.files import check_directory
from eelbert_tf.saving.folders import MODEL_FOLDER, write_model
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import read_stored
from tests.configs import TINY
from tests.faults.bench import Bench, Tally
from tests.forms import ROOT

_NAMESPACE = ["unshare", "--pid", "--fork"]
_FOREIGN = "README.md"


def together(bench: Bench) -> list[Tally]:
    """Four writers, four readers, and one writer that is killed again and again."""
    count = bench.sizes["together"] // 8
    return [run(bench.folder("together"), 4, count, bench.random)]


def run(place: Path, pairs: int, count: int, rng: random.Random) -> Tally:
    """Lets pairs of a writer and a reader work on one folder, `count` times each.

    Args:
        place: an empty folder.
        pairs: how many of each.
        count: replacements, and readings, of each process.
        rng: when to kill.
    """
    path = place / "model"
    _write(path, 0)
    (path / _FOREIGN).write_text("mine")
    namespaces = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    tally = Tally("a model folder replaced and read by many processes" + ", in two PID namespaces" * namespaces)
    workers = [
        _start(role, path, count, _NAMESPACE if namespaces and number % 2 else [])
        for role in ("write", "read")
        for number in range(pairs)
    ]
    kills = 0
    while any(worker.poll() is None for worker in workers):
        victim = _start("write", path, 10**9)
        try:
            victim.wait(rng.uniform(1.0, 2.0))
        except subprocess.TimeoutExpired:
            victim.kill()
            kills += 1
        victim.communicate()
    for worker in workers:
        out, errors = worker.communicate()
        if worker.returncode:
            tally.fail("failed", errors)
        else:
            for outcome, number in json.loads(out).items():
                tally.add(outcome, number)
    _write(path, 1)
    if (path / _FOREIGN).read_text() != "mine" or sorted(os.listdir(path.parent)) != ["model"]:
        tally.fail("a user's file is lost, or a temporary one left", f"{os.listdir(path)} {os.listdir(path.parent)}")
    tally.notes["killed writers"] = kills
    return tally


def _start(role: str, path: Path, count: int, before: list[str] | None = None) -> subprocess.Popen[str]:
    command = [*(before or []), sys.executable, "-m", "tests.faults.together", role, str(path), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _write(path: Path, number: int) -> None:
    """A model whose weights and notes all say one number."""
    width = TINY.hidden_size
    shapes = {
        "position_embedding": (TINY.max_position_embeddings, width),
        "segment_embedding": (TINY.type_vocab_size, width),
        "pooler/kernel": (width, width),
    }
    if TINY.hash is not None and TINY.hash.size != width:
        shapes["projection/kernel"] = (TINY.hash.size, width)
    if TINY.lexicon_size:
        shapes["lexicon/table"] = (TINY.lexicon_size, TINY.lexicon_width)
    for i in range(TINY.num_blocks):
        shapes[f"block_{i}/intermediate/kernel"] = (width, TINY.intermediate_size)
    arrays = {name: np.full(shape, number, np.float32) for name, shape in shapes.items()}
    write_model(path, ModelInfo(TINY, notes={"number": number}), arrays)


def _work(role: str, path: Path, count: int) -> dict[str, int]:
    """What one process does."""
    for i in range(count):
        if role == "write":
            check_directory(path, MODEL_FOLDER)
            _write(path, os.getpid() * 1000 + i)
        else:
            stored = read_stored(path)
            number = stored.info.notes["number"]
            assert all((array == np.float32(number)).all() for array in stored.arrays.values())
    return {"whole replacements" if role == "write" else "whole readings": count}


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
