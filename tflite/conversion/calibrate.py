"""The range of every tensor of a TFLite file over some texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from eelbert_tf.tflite.runtimes.interpreter import LiteRT

if TYPE_CHECKING:
    from eelbert_tf.tflite.flatbuffer.graph import Graph

Range = tuple[float, float]
# What a file is given for each of some texts.
Inputs = Sequence[tuple[np.ndarray, ...]]

Found = TypeVar("Found")

# Texts that the errors of layers are measured on, about.
ROWS_MEASURED = 50
# Texts that int8 is calibrated on at most, and that it needs at least.
MOST_CALIBRATION_TEXTS = 500
LEAST_CALIBRATION_TEXTS = 20


class Calibration:
    """What is measured on some texts, once for all graphs of a model that have the same operators.

    Args:
        texts: inputs of the first of these graphs for each of some texts.
    """

    def __init__(self, texts: Inputs) -> None:
        self.texts = texts
        self._channels: list[np.ndarray] | None = None
        self._ranges: list[Range] | None = None

    def channels(self, graph: Graph, data: bytes, tensors: Iterable[int]) -> dict[int, np.ndarray]:
        """`measure_channels` of a graph, whose file is `data`."""
        ordered = _in_order(graph, tensors)
        if self._channels is None:
            found = measure_channels(data, self.texts, ordered)
            self._channels = [found[tensor] for tensor in ordered]
        return dict(zip(ordered, self._channels, strict=True))

    def ranges(self, graph: Graph, data: bytes, tensors: Iterable[int]) -> dict[int, Range]:
        """`measure_ranges` of a graph, whose file is `data`."""
        ordered = _in_order(graph, tensors)
        if self._ranges is None:
            found = measure_ranges(data, self.texts, ordered)
            self._ranges = [found[tensor] for tensor in ordered]
        return dict(zip(ordered, self._ranges, strict=True))


def _in_order(graph: Graph, tensors: Iterable[int]) -> list[int]:
    """Tensors in the order in which operators compute them, inputs first: equal for graphs of other lengths."""
    computed = (int(tensor) for operator in graph.operators for tensor in operator.outputs)
    wanted = set(tensors)
    return [tensor for tensor in (*graph.inputs, *computed) if tensor in wanted]


def measure_ranges(data: bytes, texts: Inputs, tensors: Iterable[int]) -> dict[int, Range]:
    """The smallest and the largest value of each tensor over all texts.

    Args:
        data: a float TFLite file.
        texts: inputs for each of some texts.
        tensors: numbers of the tensors to watch, constant ones not among them.

    Returns:
        `(least, greatest)` of each tensor.
    """
    run = LiteRT(data, keep_tensors=True)
    least: dict[int, float] = dict.fromkeys(tensors, np.inf)
    greatest: dict[int, float] = dict.fromkeys(least, -np.inf)
    for inputs in texts:
        run(*inputs)
        for tensor in least:
            values = run.tensor(tensor)
            least[tensor] = min(least[tensor], float(values.min()))
            greatest[tensor] = max(greatest[tensor], float(values.max()))
    return {tensor: (least[tensor], greatest[tensor]) for tensor in least}


def measure_channels(data: bytes, texts: Inputs, tensors: Sequence[int]) -> dict[int, np.ndarray]:
    """The largest size of each channel, the last axis, of some tensors over all texts.

    Args:
        data: a float TFLite file.
        texts: inputs for each of some texts.
        tensors: numbers of the tensors.

    Returns:
        float32 `[width]` for each tensor.
    """
    run = LiteRT(data, keep_tensors=True)
    sizes: dict[int, np.ndarray] = {}
    for inputs in texts:
        run(*inputs)
        for tensor in tensors:
            values = np.abs(run.tensor(tensor))
            largest = values.reshape(-1, values.shape[-1]).max(axis=0)
            sizes[tensor] = np.maximum(sizes.get(tensor, largest), largest)
    return sizes


def measure_errors(data: bytes, quantized: bytes, twins: dict[int, int], texts: Inputs) -> dict[int, float]:
    """The relative error of quantized tensors: RMS of the error divided by RMS of the float values.

    Args:
        data: a float TFLite file.
        quantized: the same with some tensors in int8.
        twins: numbers of the tensors in the float file, with those of their int8 twins in the other.
        texts: inputs for each of some texts.

    Returns:
        The error of each tensor, by its number in the float file.
    """
    whole, small = LiteRT(data, keep_tensors=True), LiteRT(quantized, keep_tensors=True)
    sums = {tensor: np.zeros(2) for tensor in twins}
    for inputs in texts:
        whole(*inputs)
        small(*inputs)
        for tensor, twin in twins.items():
            values, scale = whole.tensor(tensor), small.scale(twin)
            change = (small.tensor(twin).astype(np.float32) - scale[1]) * scale[0] - values
            sums[tensor] += np.square(change).sum(), np.square(values).sum()
    return {tensor: float(np.sqrt(change / max(size, 1e-30))) for tensor, (change, size) in sums.items()}
