"""The range of every tensor of a TFLite file over some texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from eelbert_tf.tflite.runtimes.interpreter import LiteRT

Range = tuple[float, float]

# Texts that int8 is calibrated on at most, and that it needs at least.
MOST_CALIBRATION_TEXTS = 500
LEAST_CALIBRATION_TEXTS = 20


def measure_ranges(data: bytes, rows: np.ndarray, tensors: Iterable[int]) -> dict[int, Range]:
    """The least and the greatest value that tensors take, by plain running minimum and maximum.

    Args:
        data: a float TFLite file.
        rows: int32 `[n, L]`, bytes of texts.
        tensors: numbers of the tensors to watch, constant ones not among them.

    Returns:
        `(least, greatest)` of each tensor.
    """
    run = LiteRT(data, keep_tensors=True)
    least: dict[int, float] = dict.fromkeys(tensors, np.inf)
    greatest: dict[int, float] = dict.fromkeys(least, -np.inf)
    for row in rows:
        run(row[None])
        for tensor in least:
            values = run.tensor(tensor)
            least[tensor] = min(least[tensor], float(values.min()))
            greatest[tensor] = max(greatest[tensor], float(values.max()))
    return {tensor: (least[tensor], greatest[tensor]) for tensor in least}
