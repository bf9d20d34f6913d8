"""Checkpoints: the whole state of a training in one folder. Damage is detected, and the last two are kept.

checkpoints/step-00001200/state.safetensors   every array, by name
checkpoints/step-00001200/state.json          step, seconds, backend, SHA-256 of the arrays, own checksum
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.files import FolderKind, recover_directory, replace_directory
from eelbert_tf.disk.refusals import read_error
from eelbert_tf.errors import InputError
from eelbert_tf.saving.checksum import has_valid_checksum, with_checksum

ARRAYS_FILE = "state.safetensors"
STATE_FILE = "state.json"
KEPT = 2

Arrays = dict[str, np.ndarray]


_NAME = re.compile(r"step-\d{8,}")
# What the system answers to readers of a damaged checkpoint; other refusals, too many open files for example, pass.
_OF_DAMAGE = (errno.ENOENT, errno.EISDIR, errno.EIO)
_FOLDER = FolderKind(lambda path: (path / STATE_FILE).is_file(), (ARRAYS_FILE, STATE_FILE))


def write_checkpoint(folder: Path, step: int, arrays: Arrays, state: dict[str, Any]) -> Path:
    """Writes a checkpoint, then removes all but the last two.

    Args:
        folder: the folder of a run's checkpoints.
        step: number of the step.
        arrays: everything that training changes.
        state: more values, as JSON.

    Returns:
        The checkpoint's folder.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    import safetensors.numpy

    data = safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    fields = with_checksum({**state, "step": step, "arrays_sha256": hashlib.sha256(data).hexdigest()})
    path = folder / f"step-{step:08d}"
    with replace_directory(path, _FOLDER) as temporary:
        (temporary / ARRAYS_FILE).write_bytes(data)
        (temporary / STATE_FILE).write_text(json.dumps(fields, indent=1) + "\n", "utf-8")
    for old in _paths(folder)[:-KEPT]:
        with contextlib.suppress(OSError):  # the folder stays where it holds something else
            for name in (STATE_FILE, ARRAYS_FILE):
                (old / name).unlink(missing_ok=True)
            old.rmdir()
    return path


def read_checkpoint(folder: Path, warn: Callable[[str], None]) -> tuple[Arrays, dict[str, Any]] | None:
    """Reads the newest checkpoint that is not damaged; `None` if there are no checkpoints.

    Args:
        folder: the folder of a run's checkpoints.
        warn: called with a message about each damaged checkpoint.

    Raises:
        InputError: all checkpoints are damaged, or the system refuses to read.
    """  # noqa: DOC501, `read_error` makes an InputError
    for name in {path.name.rpartition(".tmp-")[0][1:] for path in folder.glob(".step-*.tmp-*")}:
        recover_directory(folder / name, _FOLDER.names)
    paths = _paths(folder)
    for path in reversed(paths):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno not in _OF_DAMAGE:  # an older one would lose work
                raise read_error(error, path) from None
            warn(f"{path}: damaged ({error}); trying the one before it")
    if paths:
        raise InputError(f"{folder}: every checkpoint is damaged; start again in another folder")
    return None


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    import safetensors
    import safetensors.numpy

    state = json.loads((path / STATE_FILE).read_text("utf-8"))
    if not has_valid_checksum(state):
        raise ValueError(f"{STATE_FILE} differs from its checksum")
    data = (path / ARRAYS_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != state["arrays_sha256"]:
        raise ValueError(f"{ARRAYS_FILE} differs from its checksum")
    try:
        return safetensors.numpy.load(data), state
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error


def _paths(folder: Path) -> list[Path]:
    """All checkpoints, the oldest first."""
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())
    return sorted(found, key=lambda path: path.name)
