"""Runs a TFLite file in TFLite Micro's own interpreter, on this machine: what a microcontroller would compute."""

from __future__ import annotations

import bisect
import os
import re
import zlib
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.metadata import Length, read_file

from .litert import Runtime
from .stderr import stderr_of

# Enough for any model of this library; `arena_bytes` says how much of it a model needs.
_ARENA_BYTES = 2**25
_ALIGNMENT = 16


class TflmRuntime(Runtime):
    """A file for the target "micro", in TFLite Micro.

    Safe to share between threads, as `EelbertRuntime` is.

    Args:
        path: the file.
        arena_size: bytes that the model may use; by default more than any needs.

    Attributes:
        metadata: labels, limits and kind of the model.

    Raises:
        InputError: the file is missing, damaged or not ours, TFLite Micro cannot run it, or it is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], arena_size: int = _ARENA_BYTES) -> None:
        self._data, metadata = read_file(path)
        super().__init__(metadata, zlib.crc32(self._data))
        self._interpreter = load(self._data, path, arena_size)

    def invoke(self, row: np.ndarray, length: Length) -> list[np.ndarray]:
        """Runs TFLite Micro on one text. Called with the lock held.

        Args:
            row: int32 `[1, length.bytes]`.
            length: of the model's one graph.

        Returns:
            The outputs.

        Raises:
            InputError: TFLite Micro gives up: the file is damaged in a way that only shows while it runs.
        """
        self._interpreter.set_input(row, 0)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise InputError(f"TFLite Micro cannot run the model: {error}. Copy or convert its file again") from None
        m = self.metadata
        count = 1 if m.task != "tagging" else 3 if m.num_classes else 2
        return [self._interpreter.get_output(number) for number in range(count)]

    def arena_bytes(self) -> int:
        """The smallest arena that the model runs in, in bytes, weights not among it.

        Measured on this 64-bit machine; a microcontroller's pointers are half as long. It is what TFLite Micro records
        or, for a model of many small tensors, more, because memory planning takes memory too.

        Raises:
            RuntimeError: TFLite Micro reported none.
        """
        with self._lock:
            report = stderr_of(self._interpreter.print_allocations)
        total = re.search(r"Arena allocation total (\d+)", report)
        if total is None:
            raise RuntimeError(f"TFLite Micro reported no arena: {report!r}")
        least = int(total[1])
        if self._suffices(least):
            return least
        most = least * 5 // 4  # for nearly all models; every trial parses the file
        most = most if self._suffices(most) else _ARENA_BYTES
        steps = range(least, most + _ALIGNMENT, _ALIGNMENT)
        return steps[bisect.bisect_left(steps, True, key=self._suffices)]

    def _suffices(self, arena_size: int) -> bool:
        try:
            load(self._data, "", arena_size)
        except InputError:
            return False
        return True


def load(data: bytes, path: str | os.PathLike[str], arena_size: int = _ARENA_BYTES) -> Any:
    """TFLite Micro's interpreter for a file.

    Raises:
        InputError: it cannot run the file, or is not installed.
    """
    try:
        from tflite_micro import runtime
    except ImportError:
        raise InputError(
            "TFLite Micro is not installed (it is for Linux on x86-64): pip install 'eelbert-tf[micro]'"
        ) from None
    interpreter: list[Any] = []
    failed: list[Exception] = []

    def start() -> None:
        try:
            interpreter.append(runtime.Interpreter.from_bytes(data, arena_size=arena_size))
        except RuntimeError as error:
            failed.append(error)

    report = stderr_of(start)
    if failed:
        reason = " ".join(report.split()) or str(failed[0])
        raise InputError(f"{os.fspath(path)}: TFLite Micro cannot run it: {reason}. Convert it with --target micro")
    return interpreter[0]
