"""`eelbert pretrain` as processes: killed, without TensorFlow, several that train together."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import safetensors.numpy

from eelbert_tf.saving.folders import WEIGHTS_FILE
from tests.configs import TINY
from tests.small_corpora import topical

# TensorFlow is not there, as on a machine that has JAX alone; nor is what makes a process start later: matplotlib would
# draw a curve at each checkpoint, and Keras imports scikit-learn and pandas where they are.
BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_text", "tf_keras", "matplotlib", "sklearn", "pandas"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


class Bench:
    """Runs `eelbert pretrain` in processes of its own, on one small corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
        (folder / "sitecustomize.py").write_text(BLOCK)
        self.processes: list[subprocess.Popen] = []
        self.errors: dict[int, IO[str]] = {}  # by process

    def start(self, output: str, *options: str):
        """A process that trains, on JAX without TensorFlow."""
        environment = {
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles sooner
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPATH": str(self.folder),
        }
        command = [sys.executable, "-m", "eelbert_tf", "pretrain", "--corpus", topical().directory, "--output"]
        command += [self.folder / output, "--config", self.folder / "tiny.json", "--sequence-length", "16"]
        command += ["--batch-size", "16", "--steps", "60", "--eval-every", "25", *options]
        log = (self.folder / f"{output}.{len(self.processes)}.err").open("w+")
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.errors[process.pid] = log
        self.processes.append(process)
        return process

    def end(self, process) -> dict:
        """The report of a process."""
        output, _ = process.communicate(timeout=900)
        log = self.errors[process.pid]
        log.seek(0)
        assert process.returncode == 0, log.read()[-3000:]
        return json.loads(output.splitlines()[-1])

    def weights(self, output: str) -> dict[str, np.ndarray]:
        return safetensors.numpy.load_file(self.folder / output / WEIGHTS_FILE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("processes"))
    yield made
    for process in made.processes:
        process.kill()
        process.wait()
        made.errors[process.pid].close()


@pytest.fixture(scope="module")
def whole(bench) -> str:
    """A run that was not disturbed, on JAX without TensorFlow."""
    report = bench.end(bench.start("whole"))
    assert report["backend"] == "jax"
    return "whole"


def test_killed_at_any_moment_it_ends_the_same(bench, whole):
    """kill -9 twice, wherever it is then, and each time resumed: the same file, bit by bit."""
    rng = random.Random()
    checkpoints = bench.folder / "killed" / "checkpoints"
    options = ("--resume", "--checkpoint-minutes", "1e-9")  # so that it is often killed while it writes
    seen = -1
    for _ in range(2):
        process = bench.start("killed", *options)
        # Somewhere in the next steps, once it has gone beyond the last kill.
        while process.poll() is None and reached(checkpoints) <= seen + 5:
            time.sleep(0.02)
        time.sleep(rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = reached(checkpoints)
    report = bench.end(bench.start("killed", "--resume"))
    assert report["steps"] == 60
    assert (bench.folder / "killed" / WEIGHTS_FILE).read_bytes() == (bench.folder / whole / WEIGHTS_FILE).read_bytes()


def reached(checkpoints: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name[5:]) for path in checkpoints.glob("step-*")), default=-1)


def test_two_processes_equal_one(bench, whole):
    """Half of each batch in each of two processes gives the weights of one process with the whole batch."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    together = ["--strategy", "jax", "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
    # The second one needs a folder too, but only the first one writes.
    both = [bench.start("both", *together, "--process", str(number)) for number in range(2)]
    for process in both:
        bench.end(process)
    compare(bench.weights(whole), bench.weights("both"))


def compare(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], atol=1e-5, rtol=0, err_msg=name)
