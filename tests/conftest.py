"""What several test modules share: small configurations, and weights that make outputs differ."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import EelbertConfig
from tests.configs import RICH, TINY
from tests.shared import FOLDER

# Shells start background jobs with SIGINT ignored, and what the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_configure() -> None:
    """The folder of what all test processes share is there before the first of them starts: they inherit its name."""
    FOLDER.mkdir(exist_ok=True)


# The files that take longest. They come first, so that all test processes end at about the same time.
LONG = (
    *("pretrain_processes", "tasks", "convert", "keras_files", "quantize", "pretrain", "distill", "objectives"),
    *("answers", "readme", "columns", "strategies", "experiment", "lexical", "benchmark", "tagger", "soft_labels"),
)


def pytest_collection_finish() -> None:
    """Leaves what has been imported out of garbage collections, which would walk through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests of the longest files to the front."""
    place = {f"test_{name}": i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def tiny() -> EelbertConfig:
    """The smallest useful model."""
    return TINY


@pytest.fixture(scope="session")
def rich() -> EelbertConfig:
    """A small model with a projection, a lexicon and several batch shapes."""
    return RICH


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw no curves, which would take longer than their steps."""
    monkeypatch.setattr("eelbert_tf.training.pretrain.log.RunLog.draw", lambda self: None)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras runs steps as they are: to make a graph of a tiny model takes longer than some ten steps of it."""
    import keras

    monkeypatch.setattr(keras.Model, "run_eagerly", property(lambda self: True, lambda self, value: None))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def randomize(model: Any, seed: int = 0) -> Any:
    """Fills a model with weights large enough for its outputs to depend on every input; returns it."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            centre = 1.0 if weight.path.endswith("gamma") else 0.0
            spread = weight.shape[0] ** -0.5 if weight.path.endswith("kernel") else 0.3
            weight.assign(rng.normal(centre, spread, weight.shape).astype(np.float32))
    return model


@contextmanager
def interrupted_after(passes: int) -> Iterator[None]:
    """Interrupts a training of the command `finetune` behind so many passes, each of which is saved at once."""
    from eelbert_tf.training.finetune.passes import AfterPass

    after = AfterPass.on_epoch_end

    def stopped(self: AfterPass, epoch: int, logs: Any = None) -> None:
        self._saved_until = 0.0
        after(self, epoch, logs)
        if epoch + 1 == passes:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AfterPass, "on_epoch_end", stopped)
        yield
