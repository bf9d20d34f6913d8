"""What several test modules share: small configurations, and weights that make outputs differ."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import EelbertConfig, HashConfig

# Shells start background jobs with SIGINT ignored, and what the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

TINY = EelbertConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=20,
    hash=HashConfig(widths=(6, 5, 5)),
    max_position_embeddings=16,
    max_tokens=16,
    max_bytes=64,
)
# Everything that a hashed model can have, and more than one batch shape: (16, 128), (32, 256) and (40, 400).
RICH = TINY.replace(
    num_hidden_layers=2,
    hash=HashConfig(widths=(6, 5), boundaries=True, word_width=4, pooling="sqrtn"),
    max_position_embeddings=48,
    max_tokens=40,
    max_bytes=400,
    lexicon_size=64,
    lexicon_width=3,
)


@pytest.fixture(scope="session")
def tiny() -> EelbertConfig:
    """The smallest useful model."""
    return TINY


@pytest.fixture(scope="session")
def rich() -> EelbertConfig:
    """A small model with a projection, a lexicon and several batch shapes."""
    return RICH


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
