"""Smaller numbers in a TFLite file: 16-bit or 8-bit weights, or 8-bit arithmetic."""

from __future__ import annotations

import numpy as np

from eelbert_tf.tflite.flatbuffer.graph import Graph

# Constants with fewer numbers stay as they are: there is little to gain, and the hash's constants must stay exact.
SMALLEST = 1024


def to_float16(graph: Graph) -> None:
    """Stores large constants in float16; arithmetic stays float32."""
    for tensor, values in _large_constants(graph):
        _store(graph, tensor, graph.add_constant(values.astype(np.float16)))


def to_dynamic(graph: Graph, per_row: bool = True) -> None:
    """Stores the weights of dense layers in int8; LiteRT quantizes their inputs as they come.

    Args:
        graph: a float32 one; it is changed.
        per_row: whether each output has a scale of its own, which TensorFlow Lite reads from 2.17 on.
    """
    for operator in graph.operators:
        weights = graph.constant(int(operator.inputs[1])) if graph.name(operator) == "FULLY_CONNECTED" else None
        if weights is None or weights.size < SMALLEST:
            continue
        values, scale = quantize_rows(weights, per_row)
        small = graph.add_constant(values)
        graph.set_scale(small, scale, np.zeros(len(scale)))
        graph.replace(operator, int(operator.inputs[1]), small)


def to_int8_weights(graph: Graph, per_row: bool = True) -> None:
    """`to_dynamic`, with the other large constants, tables of positions and words, stored in int8 as well."""
    to_dynamic(graph, per_row)
    for tensor, values in _large_constants(graph):
        integers, scale = quantize_rows(values, per_row=False)
        small = graph.add_constant(integers)
        graph.set_scale(small, scale, np.zeros(1))
        _store(graph, tensor, small)


def _large_constants(graph: Graph) -> list[tuple[int, np.ndarray]]:
    """Float constants worth storing in fewer bits; not the kernels of the front end, which are exact."""
    large = []
    for tensor, operators in graph.consumers().items():
        values = graph.constant(tensor)
        if values is None or not graph.is_float(tensor) or values.size < SMALLEST:
            continue
        if not any(graph.name(operator) == "CONV_2D" for operator in operators):
            large.append((tensor, values))
    return large


def _store(graph: Graph, tensor: int, small: int) -> None:
    """Stores a constant in a smaller type and dequantizes it for its consumers."""
    whole = graph.add_tensor(graph.shape(tensor), np.float32)
    for operator in graph.consumers()[tensor]:
        graph.replace(operator, tensor, whole)
    graph.operators.insert(0, graph.operator("DEQUANTIZE", [small], [whole]))


def quantize_rows(values: np.ndarray, per_row: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as int8 with one scale per row, or one for all, symmetric about 0.

    Returns:
        int8 of the shape of `values`, and float32 `[rows]` or `[1]`.
    """
    size = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    size = size if per_row else size.max(keepdims=True)
    scale = np.maximum(size, np.finfo(np.float32).tiny * 2**10) / 127.0
    return np.round(values / scale).astype(np.int8), scale.reshape(-1).astype(np.float32)
