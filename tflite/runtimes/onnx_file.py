"""Runs an ONNX file that `eelbert convert --target onnx` wrote, in ONNX Runtime."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.refusals import read_error
from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.metadata import Length, read_description
from eelbert_tf.tflite.flatbuffer.verify import TAGGER_OUTPUTS

from .litert import Runtime


class OnnxRuntime(Runtime):
    """An ONNX file ready to run; safe to share between threads.

    Args:
        path: the file.

    Attributes:
        metadata: labels, limits and kind of the model.

    Raises:
        InputError: the file is missing, damaged or not ours, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise InputError(f"ONNX files need {error.name}: pip install 'eelbert-tf[onnx]'") from None
        name = os.fspath(path)
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise read_error(error, path, "one that `eelbert convert --target onnx` wrote") from None
        super().__init__(read_description(data, name, "an ONNX"), zlib.crc32(data))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._names = sorted((output.name for output in self._session.get_outputs()), key=_place)

    def invoke(self, row: np.ndarray, length: Length) -> list[np.ndarray]:
        """Runs ONNX Runtime on one text. Called with the lock held.

        Args:
            row: int32 `[1, max_bytes]`.
            length: of the file's only graph.

        Returns:
            The outputs, a tagger's in the order of `TAGGER_OUTPUTS`.
        """
        found: list[np.ndarray] = self._session.run(self._names, {"bytes": row})
        return found


def _place(name: str) -> int:
    return TAGGER_OUTPUTS.index(name) if name in TAGGER_OUTPUTS else 0
