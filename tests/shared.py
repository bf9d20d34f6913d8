"""Things that are built once for all test processes of a run: `make test` has several, side by side."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

# The first line of a program that uses Keras, which imports the first two where they are; the last would draw curves.
LIGHT_KERAS = "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'pandas', 'matplotlib']))\n"
# The same on TensorFlow, which imports JAX where it is.
LIGHT_TENSORFLOW = LIGHT_KERAS + "sys.modules['jax'] = None\n"

_VARIABLE = "EELBERT_TEST_FOLDER"  # the first process makes the folder, and those that it starts inherit its name


def _folder() -> Path:
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="eelbert-tests-")
        atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)
    return Path(os.environ[_VARIABLE])


FOLDER = _folder()


def once(name: str, build: Callable[[Path], object]) -> Path:
    """Builds a file or folder unless another process of this run has built it, or waits while one builds it.

    Args:
        name: of the file or folder.
        build: is called with its path.

    Returns:
        The path.
    """
    done = FOLDER / f".{name}.done"
    if not done.exists():
        with (FOLDER / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                build(FOLDER / name)
                done.touch()
    return FOLDER / name
