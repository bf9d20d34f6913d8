"""The range of every tensor of a TFLite file over some texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from eelbert_tf.tflite.runtimes.interpreter import LiteRT

Range = tuple[float, float]

# Texts that the errors of layers are measured on, about.
ROWS_MEASURED = 50
# Texts that int8 is calibrated on at most, and that it needs at least.
MOST_CALIBRATION_TEXTS = 500
LEAST_CALIBRATION_TEXTS = 20


def measure_ranges(data: bytes, rows: np.ndarray, tensors: Iterable[int]) -> dict[int, Range]:
    """The smallest and the largest value of each tensor over all texts.

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


def measure_channels(data: bytes, rows: np.ndarray, tensors: Sequence[int]) -> dict[int, np.ndarray]:
    """The largest size of each channel, the last axis, of some tensors over all texts.

    Args:
        data: a float TFLite file.
        rows: int32 `[n, L]`, bytes of texts.
        tensors: numbers of the tensors.

    Returns:
        float32 `[width]` for each tensor.
    """
    run = LiteRT(data, keep_tensors=True)
    sizes: dict[int, np.ndarray] = {}
    for row in rows:
        run(row[None])
        for tensor in tensors:
            values = np.abs(run.tensor(tensor))
            largest = values.reshape(-1, values.shape[-1]).max(axis=0)
            sizes[tensor] = np.maximum(sizes.get(tensor, largest), largest)
    return sizes


def measure_errors(data: bytes, quantized: bytes, twins: dict[int, int], rows: np.ndarray) -> dict[int, float]:
    """The relative error of quantized tensors: RMS of the error divided by RMS of the float values.

    Args:
        data: a float TFLite file.
        quantized: the same with some tensors in int8.
        twins: numbers of the tensors in the float file, with those of their int8 twins in the other.
        rows: int32 `[n, L]`, bytes of texts.

    Returns:
        The error of each tensor, by its number in the float file.
    """
    whole, small = LiteRT(data, keep_tensors=True), LiteRT(quantized, keep_tensors=True)
    sums = {tensor: np.zeros(2) for tensor in twins}
    for row in rows:
        whole(row[None])
        small(row[None])
        for tensor, twin in twins.items():
            values, scale = whole.tensor(tensor), small.scale(twin)
            change = (small.tensor(twin).astype(np.float32) - scale[1]) * scale[0] - values
            sums[tensor] += np.square(change).sum(), np.square(values).sum()
    return {tensor: float(np.sqrt(change / max(size, 1e-30))) for tensor, (change, size) in sums.items()}
