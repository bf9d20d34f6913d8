"""Operators that TFLite Micro computes slowly as dense layers, which it computes fast. Results stay the same.

Measured on a Cortex-M4F: SUM and MEAN take 95 to 140 instructions for each number, since they find its place anew, and
a convolution with one input channel 54 for each product; a dense layer takes 6 for each product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf.tflite.flatbuffer.graph import Graph


def sums_as_products(graph: Graph) -> None:
    """Computes sums and means over the last axis as dense layers with one output."""
    for operator in list(graph.operators):
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        if graph.name(operator) not in ("MEAN", "SUM") or not graph.is_float(source):
            continue
        shape, axes = graph.shape(source), graph.constant(int(operator.inputs[1]))
        assert axes is not None
        *others, last = sorted(int(axis) % len(shape) for axis in np.atleast_1d(axes))
        if last != len(shape) - 1 or any(shape[axis] > 1 for axis in others):
            continue
        share = 1.0 / shape[-1] if graph.name(operator) == "MEAN" else 1.0
        weights = graph.add_constant(np.full((1, shape[-1]), share, np.float32))
        dense = _dense(graph, [source, weights, -1], output)
        added = [dense]
        if graph.shape(output) != (*shape[:-1], 1):
            added.append(_reshape(graph, dense, (*shape[:-1], 1)))
        _put(graph, operator, added)


def convolutions_as_products(graph: Graph) -> None:
    """Computes convolutions of bytes, and those of a single place, as dense layers."""
    for operator in list(graph.operators):
        if graph.name(operator) != "CONV_2D":
            continue
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        kernel = graph.constant(int(operator.inputs[1]))
        assert kernel is not None
        count, _, width, channels = kernel.shape
        if width > 1 and channels > 1:
            continue
        weights = graph.add_constant(kernel.reshape(count, width * channels))
        dense = _dense(graph, [source, weights, int(operator.inputs[2])], output, operator.builtinOptions)
        added = [dense]
        if width > 1:  # a window of so many numbers for each place
            _, _, length, _ = graph.shape(output)
            flat = graph.add_tensor((graph.shape(source)[2],), np.float32)
            windows = graph.add_tensor((1, 1, length, width), np.float32)
            places = np.arange(length, dtype=np.int32)[:, None] + np.arange(width, dtype=np.int32)
            shape = graph.add_constant(np.array(graph.shape(flat), np.int32))
            index = [flat, graph.add_constant(places.reshape(graph.shape(windows)))]
            dense.inputs[0] = windows
            added = [
                graph.operator("RESHAPE", [source, shape], [flat], schema.ReshapeOptionsT()),
                graph.operator("GATHER", index, [windows], schema.GatherOptionsT()),
                dense,
            ]
        _put(graph, operator, added)


def keep_rows(graph: Graph) -> None:
    """Gives a dense layer that reads a matrix an axis more: CMSIS-NN then takes two rows at a time."""
    producers = graph.producers()
    for dense in graph.operators:
        before = producers.get(int(dense.inputs[0])) if graph.name(dense) == "FULLY_CONNECTED" else None
        if before is None or graph.name(before) != "RESHAPE" or len(graph.shape(int(dense.inputs[0]))) != 2:
            continue
        rows, output = int(dense.inputs[0]), int(dense.outputs[0])
        if graph.shape(rows)[0] == 1 or len(graph.consumers()[rows]) > 1 or output in graph.outputs:
            continue
        for tensor in (rows, output):
            graph.tensors[tensor].shape = np.array((1, *graph.shape(tensor)), np.int32)
        shape = graph.add_constant(np.array(graph.shape(rows), np.int32))
        before.inputs = np.array([before.inputs[0], shape], np.int32)
        before.builtinOptions = schema.ReshapeOptionsT()
        dense.builtinOptions.keepNumDims = True


def _dense(graph: Graph, inputs: list[int], output: int, like: Any = None) -> Any:
    """A dense layer that keeps all axes but the last, with the activation of another operator."""
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    options.fusedActivationFunction = like.fusedActivationFunction if like is not None else 0
    return graph.operator("FULLY_CONNECTED", inputs, [output], options)


def _reshape(graph: Graph, dense: Any, shape: tuple[int, ...]) -> Any:
    """Lets a dense layer write a tensor of another shape, which the result brings to that of its output."""
    output = int(dense.outputs[0])
    rows = graph.add_tensor(shape, np.float32)
    dense.outputs = np.array([rows], np.int32)
    inputs = [rows, graph.add_constant(np.array(graph.shape(output), np.int32))]
    return graph.operator("RESHAPE", inputs, [output], schema.ReshapeOptionsT())


def _put(graph: Graph, operator: Any, added: list[Any]) -> None:
    """Puts operators in the place of another one."""
    place = graph.operators.index(operator)
    graph.operators[place : place + 1] = added
