"""Runs a TFLite file in TFLite Micro's own interpreter, on this machine: what a microcontroller would compute."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.scores import is_cut, rank
from eelbert_tf.tflite.settings import read_file

# Room for any model of this library: how much of it is needed, `arena_bytes` says.
_ARENA_BYTES = 2**25


class TflmRuntime:
    """A file for the target "micro", in TFLite Micro. It has the methods of `EelbertRuntime`.

    Args:
        path: the file.

    Attributes:
        settings: labels, limits and kind of the model.

    Raises:
        InputError: the file is missing, damaged or not ours, TFLite Micro cannot run it, or it is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        data, self.settings = read_file(path)
        self._interpreter = load(data, path)
        self._lock = threading.Lock()

    def predict(self, texts: Iterable[TextOrPair]) -> np.ndarray:
        """Logits of some texts, or of pairs of texts: float32 `[n, num_classes]`."""
        rows = [self.predict_bytes(encode_texts([text], self.settings.max_bytes)) for text in texts]
        return np.concatenate(rows) if rows else np.zeros((0, self.settings.num_classes), np.float32)

    def predict_bytes(self, data: np.ndarray) -> np.ndarray:
        """Logits, float32 `[n, num_classes]`, for bytes of texts, int32 `[n, max_bytes]`."""
        logits = np.empty((len(data), self.settings.num_classes), np.float32)
        for row, result in zip(data, logits, strict=True):
            with self._lock:
                self._interpreter.set_input(np.ascontiguousarray(row[None]), 0)
                self._interpreter.invoke()
                result[:] = self._interpreter.get_output(0)[0]
        return logits

    def classify(self, text: TextOrPair) -> list[tuple[str, float]]:
        """The classes of a text with their probabilities, the likeliest first.

        Raises:
            ValueError: the model is a regression: use `predict`.
        """
        return rank(self.predict([text])[0], self.settings)

    def is_cut(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of a text, since it is longer than `max_tokens` or `max_bytes`."""
        return is_cut(text, self.settings.max_tokens, self.settings.max_bytes, self.settings.pair)

    def arena_bytes(self) -> int:
        """Memory that the model needs at run time, in bytes, weights not among it.

        As TFLite Micro records it on this 64-bit machine; pointers on a microcontroller are half as long.
        """
        with self._lock:
            report = _standard_error_of(self._interpreter.print_allocations)
        found = re.search(r"Arena allocation total (\d+)", report)
        if found is None:
            raise RuntimeError(f"TFLite Micro reported no arena: {report!r}")
        return int(found[1])


def load(data: bytes, path: str | os.PathLike[str]) -> Any:
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
            interpreter.append(runtime.Interpreter.from_bytes(data, arena_size=_ARENA_BYTES))
        except RuntimeError as error:
            failed.append(error)

    report = _standard_error_of(start)
    if failed:
        reason = " ".join(report.split()) or str(failed[0])
        raise InputError(f"{os.fspath(path)}: TFLite Micro cannot run it: {reason}. Convert it with --target micro")
    return interpreter[0]


def _standard_error_of(action: Any) -> str:
    """What C code writes to the process's standard error meanwhile."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            action()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode("utf-8", "replace")
