"""Channels of a dense layer on one scale, for 8 bits, without a change of what the model computes.

An int8 tensor has one scale. A pretrained encoder has a few channels that are twenty times as large as the others, and
with a scale that holds them the others keep a few of the 256 steps. The layer's weights can make these channels
smaller; the float32 sum behind it makes them large again. After Nagel et al. 2019, "Data-free quantization through
weight equalization and bias correction", with ranges that are measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf.tflite.flatbuffer.graph import Graph

from .calibrate import Calibration

# A channel that is larger than the median one by more than this is brought down to it.
_OUTLIER = 4.0


def residual_sums(graph: Graph) -> list[Any]:
    """The additions whose result is only normalised: residual connections, and the sum of a token's embeddings."""
    consumers = graph.consumers()
    found = []
    for operator in graph.operators:
        readers = consumers[int(operator.outputs[0])] if graph.name(operator) == "ADD" else []
        if sorted(graph.name(reader) for reader in readers) == ["MEAN", "SUB"]:
            centred = next(int(reader.outputs[0]) for reader in readers if graph.name(reader) == "SUB")
            if all(graph.name(reader) == "L2_NORMALIZATION" for reader in consumers[centred]):
                found.append(operator)
    return found


def equalize_residuals(graph: Graph, calibration: Calibration) -> None:
    """Divides large channels of the dense layers before residual connections, and multiplies them behind.

    Args:
        graph: a float32 one; it is changed.
        calibration: ranges on some texts.
    """
    data = graph.to_bytes()
    producers = graph.producers()
    found = [
        (dense, add)
        for add in residual_sums(graph)
        for dense in (producers.get(int(i)) for i in add.inputs)
        if dense is not None and graph.name(dense) == "FULLY_CONNECTED"
    ]
    measured = calibration.channels(graph, data, [int(dense.outputs[0]) for dense, _ in found])
    sizes: dict[int, np.ndarray] = {}  # of all uses of the same weights, which stay the same
    for dense, _ in found:
        weights, size = int(dense.inputs[1]), measured[int(dense.outputs[0])]
        sizes[weights] = np.maximum(sizes.get(weights, size), size)
    for dense, add in found:
        size = sizes[int(dense.inputs[1])]
        ratio = size / max(float(np.median(size)), np.finfo(np.float32).tiny)
        scale = np.where(ratio > _OUTLIER, ratio, 1.0).astype(np.float32)
        if (scale > 1.0).any():
            _divide(graph, dense, add, scale)


def _divide(graph: Graph, dense: Any, add: Any, scale: np.ndarray) -> None:
    """Divides a dense layer's outputs by a scale `[width]`, which their sum with something else multiplies again."""
    weights, bias = (graph.constant(int(i)) for i in dense.inputs[1:3])
    assert weights is not None
    graph.replace(dense, int(dense.inputs[1]), graph.add_constant(weights / scale[:, None]))
    if bias is not None:
        graph.replace(dense, int(dense.inputs[2]), graph.add_constant(bias / scale))
    small = int(dense.outputs[0])
    whole = graph.add_tensor(graph.shape(small), np.float32)
    graph.replace(add, small, whole)
    product = graph.operator("MUL", [small, graph.add_constant(scale)], [whole], schema.MulOptionsT())
    graph.operators.insert(graph.operators.index(add), product)
