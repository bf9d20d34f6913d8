"""The target "micro": the model in operators that TFLite Micro has, with little memory.

TFLite Micro has no GELU, keeps a copy of the right side of a matrix product unless that is transposed, and has all of
its memory in one arena. The functions below compute the same with other operators.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from keras import ops

from eelbert_tf.tflite.flatbuffer.graph import Graph

from .calibrate import Calibration
from .comparisons import merge_comparisons
from .export import (
    check_exportable,
    drop_selects,
    merge_added_constants,
    order_outputs,
    simplify_norms,
    to_concrete_function,
    translate,
)
from .products import convolutions_as_products, keep_rows, sums_as_products
from .quantize_int8 import to_int8

Tensor = Any

# Columns of the hash computed at a time: a quarter of an order, which is little memory and few operators.
COLUMNS = 11

# Abramowitz and Stegun 1964, 7.1.26: erf(x) for x >= 0 within 1.5e-7.
_ERF_SLOPE = 0.3275911
_ERF_COEFFICIENTS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def gelu(x: Tensor) -> Tensor:
    """The exact GELU, x times the normal distribution's cumulative function, from ABS, MUL, ADD, DIV, EXP."""
    size = ops.abs(x)
    z = size * math.sqrt(0.5)
    t = 1.0 / (z * _ERF_SLOPE + 1.0)
    polynomial = t * _ERF_COEFFICIENTS[0]
    for coefficient in _ERF_COEFFICIENTS[1:]:
        polynomial = t * (polynomial + coefficient)
    erf = 1.0 - polynomial * ops.exp(-(z * z))  # of |x| / sqrt(2)
    return 0.5 * (x + size * erf)


def to_micro(model: Any, quantize: str, rows: np.ndarray) -> tuple[Graph, list[dict[str, Any]]]:
    """A TFLite graph for TFLite Micro.

    Args:
        model: a classifier, tagger or sentence encoder that is only to be exported: its layers are changed.
        quantize: "none" or "int8".
        rows: int32 `[n, L]`, bytes of texts to calibrate int8 on.

    Returns:
        The graph, and the errors of its layers, as `to_int8` gives them; none without quantization.
    """
    check_exportable(model)
    prepare(model, quantize)
    graph = to_micro_float(model, to_concrete_function(model))
    graph.schedule()
    errors: list[dict[str, Any]] = []
    if quantize == "int8":
        calibration = Calibration([(row[None],) for row in rows])
        errors = to_int8(graph, calibration, [layer.name for layer in model._flatten_layers()])
    use_products(graph)
    return graph, errors


def to_micro_float(model: Any, function: Any) -> Graph:
    """A float32 graph in operators that suit TFLite Micro.

    Args:
        model: what `prepare` has prepared.
        function: a TensorFlow graph of the model, or of a part.
    """
    graph = Graph(translate(model, function, fuse_scales=False))
    order_outputs(graph)
    merge_added_constants(graph)
    transpose_right_sides(graph)
    shorten_norms(graph)
    move_shifts(graph)
    drop_selects(graph)
    keep_rows(graph)
    merge_comparisons(graph)
    return graph


def use_products(graph: Graph) -> None:
    """The last step: what dense layers compute fast, and the order that takes least memory."""
    sums_as_products(graph)
    convolutions_as_products(graph)
    graph.schedule()


def prepare(model: Any, quantize: str) -> None:
    """Gives the layers of a model, in place, the forms that suit a microcontroller.

    Args:
        model: what is only to be exported.
        quantize: with "int8" the GELU stays one operator, which quantization makes a table of, and the rows of all
            bytes are summed at once, since the last bits of such a sum are rounded away.
    """
    layer, lexicon = model.backbone.hash_embedding, model.backbone.lexicon
    layer.columns = COLUMNS
    layer.scatter_bytes = False
    layer.block_bytes = model.backbone.config.max_bytes if quantize == "int8" else layer.block_bytes
    model.backbone.scatter_codes = False
    if lexicon is not None:
        lexicon.scatter, lexicon.block_bytes = False, layer.block_bytes
    for block in model.backbone.blocks:
        if block.hidden_act == "gelu" and quantize != "int8":
            block.activation = gelu
    simplify_norms(model)


def shorten_norms(graph: Graph) -> None:
    """Replaces five operators of each normalisation by L2_NORMALIZATION, since every operator takes memory.

    It differs where all values of a row are within 1e-6 of their mean, as those of empty slots are, and is 0 there too.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for root in [operator for operator in graph.operators if graph.name(operator) == "RSQRT"]:
        if graph.name(producers[int(root.inputs[0])]) != "ADD":  # no epsilon: the root of a number of slots
            continue
        variance = producers[int(producers[int(root.inputs[0])].inputs[0])]
        centred = int(producers[int(variance.inputs[0])].inputs[0])
        (product,) = consumers[int(root.outputs[0])]
        scaled, *others = consumers[int(product.outputs[0])]
        if others or graph.name(scaled) != "MUL":
            continue
        gamma = int(scaled.inputs[1])
        values = graph.constant(gamma)
        if values is None:  # that of pooled means has none
            continue
        graph.replace(scaled, gamma, graph.add_constant(values * np.sqrt(np.float32(graph.shape(centred)[-1]))))
        unit = graph.operator("L2_NORMALIZATION", [centred], list(product.outputs), schema.L2NormOptionsT())
        graph.operators[graph.operators.index(product)] = unit


def move_shifts(graph: Graph) -> None:
    """Moves the shift of a normalisation into the bias of the dense layer beside the residual connection.

    The converter has made the shift part of the layers that follow; only the residual connection still needs it.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for add in graph.operators:
        beta = graph.constant(int(add.inputs[1])) if graph.name(add) == "ADD" else None
        if beta is None or graph.name(producers.get(int(add.inputs[0]), add)) != "MUL":
            continue
        before, output = int(add.inputs[0]), int(add.outputs[0])
        for residual in (reader for reader in consumers[output] if graph.name(reader) == "ADD"):
            (dense,) = (producers.get(int(i)) for i in residual.inputs if int(i) != output)
            if not dense or graph.name(dense) != "FULLY_CONNECTED" or len(consumers[int(dense.outputs[0])]) > 1:
                continue
            bias = graph.constant(int(dense.inputs[2]))
            if bias is not None and bias.size == beta.size:
                graph.replace(dense, int(dense.inputs[2]), graph.add_constant(bias + beta.reshape(-1)))
                graph.replace(residual, output, before)


def transpose_right_sides(graph: Graph) -> None:
    """Makes matrix products read a computed right side transposed, since TFLite Micro would keep a copy of it."""
    producers, consumers = graph.producers(), graph.consumers()
    for product in list(graph.operators):
        if graph.name(product) != "BATCH_MATMUL" or product.builtinOptions.adjY:
            continue
        right = int(product.inputs[1])
        transpose = producers.get(right)
        if transpose is None:
            continue
        if graph.name(transpose) != "TRANSPOSE" or len(consumers[right]) > 1:
            size = graph.shape(right)
            swap = np.array([*range(len(size) - 2), len(size) - 1, len(size) - 2], np.int32)
            turned = graph.add_tensor([size[i] for i in swap], graph.dtype(right))
            inputs = [right, graph.add_constant(swap)]
            turn = graph.operator("TRANSPOSE", inputs, [turned], schema.TransposeOptionsT())
            graph.operators.insert(graph.operators.index(product), turn)
            graph.replace(product, right, turned)
            product.builtinOptions.adjY = True
            continue
        order = graph.constant(int(transpose.inputs[1]))
        assert order is not None
        swapped = np.array([*order[:-2], order[-1], order[-2]], np.int32)
        transpose.inputs = np.array([transpose.inputs[0], graph.add_constant(swapped)], np.int32)
        shape = graph.shape(right)
        graph.tensors[right].shape = np.array([*shape[:-2], shape[-1], shape[-2]], np.int32)
        product.builtinOptions.adjY = True
