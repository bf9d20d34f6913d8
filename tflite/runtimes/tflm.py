"""Runs a TFLite file in TFLite Micro's own interpreter, on this machine: what a microcontroller would compute."""

from __future__ import annotations

import bisect
import os
import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.metadata import Length, Metadata, read_file

from .litert import Runtime
from .stderr import stderr_of

if TYPE_CHECKING:
    from eelbert_tf.tflite.kits.front_end import Encoder

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
        """The smallest arena that the model runs in, in bytes, weights not among it: see `arena_bytes`."""
        with self._lock:
            return arena_bytes(self._data, self._interpreter)


class EncoderRuntime(Runtime):
    """An encoder behind a front end in C, in TFLite Micro: what a kit's sources do, with the front end in NumPy.

    Args:
        encoder: the encoder.
        metadata: of the model.
        crc32: as in `Runtime`.

    Raises:
        InputError: TFLite Micro cannot run it, or is not installed.
    """

    def __init__(self, encoder: Encoder, metadata: Metadata, crc32: int) -> None:
        super().__init__(metadata, crc32)
        self._encoder = encoder
        self._interpreters = [load(encoder.graph(number), "encoder") for number in range(len(encoder.slots))]

    def _run(self, data: bytes) -> list[np.ndarray]:
        front_end = self._encoder.front_end
        number = self._encoder.number_for(front_end.count(data))
        interpreter = self._interpreters[number]
        with self._lock:
            for place, values in enumerate(front_end.inputs(data, self._encoder.slots[number])):
                shape = interpreter.get_input_details(place)["shape"]
                interpreter.set_input(values.reshape(shape), place)
            interpreter.invoke()
            return [interpreter.get_output(0) + front_end.lexical_logits(data)]

    def arena_bytes(self) -> int:
        """The smallest arena that each of the graphs runs in."""
        with self._lock:
            pairs = enumerate(self._interpreters)
            return max(arena_bytes(self._encoder.graph(number), interpreter) for number, interpreter in pairs)


def arena_bytes(data: bytes, interpreter: Any) -> int:
    """The smallest arena that a file runs in, in bytes, weights not among it.

    Measured on this 64-bit machine; a microcontroller's pointers are half as long. It is what TFLite Micro records
    or, for a model of many small tensors, more, because memory planning takes memory too.

    Args:
        data: the file.
        interpreter: of the file, as `load` gives it.

    Raises:
        RuntimeError: TFLite Micro reported none.
    """

    def suffices(arena_size: int) -> bool:
        try:
            load(data, "", arena_size)
        except InputError:
            return False
        return True

    report = stderr_of(interpreter.print_allocations)
    total = re.search(r"Arena allocation total (\d+)", report)
    if total is None:
        raise RuntimeError(f"TFLite Micro reported no arena: {report!r}")
    least = int(total[1])
    if suffices(least):
        return least
    most = least * 5 // 4  # for nearly all models; every trial parses the file
    most = most if suffices(most) else _ARENA_BYTES
    steps = range(least, most + _ALIGNMENT, _ALIGNMENT)
    return steps[bisect.bisect_left(steps, True, key=suffices)]


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
