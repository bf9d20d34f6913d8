"""Versions of operators, by which a runtime that is too old for a file refuses it instead of misreading it.

The rules are those of TensorFlow's `lite/tools/versioning/op_version.cc` and `runtime_version.cc`, for the operators
and types that conversions of this library write. An operator without a rule here keeps the version that TensorFlow's
converter gave it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .graph import Graph

_TYPE = schema.TensorType
_FLOAT32, _FLOAT16, _INT8 = _TYPE.FLOAT32, _TYPE.FLOAT16, _TYPE.INT8
_INT32, _INT64, _BOOL = _TYPE.INT32, _TYPE.INT64, _TYPE.BOOL
_SHUFFLED = schema.FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8
_MANY_DIMENSIONS = 4  # what most kernels could broadcast or move at first

# Operators whose second version takes int8 as its first input, and which have no other version for these types.
_INT8_IS_2 = frozenset(
    {
        *("CONCATENATION", "EQUAL", "EXP", "GELU", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGISTIC"),
        *("MEAN", "NOT_EQUAL", "PACK", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RSQRT", "SOFTMAX"),
        *("SQUARED_DIFFERENCE", "SUM", "TANH"),
    }
)

# The first TensorFlow Lite that has a version of an operator, where it is younger than the baseline: the oldest that
# has CUMSUM, which every file needs.
_BASELINE = (2, 4)
_SINCE = {
    ("ABS", 5): (2, 12),
    ("CAST", 3): (2, 8),
    ("CAST", 5): (2, 12),
    ("DEQUANTIZE", 5): (2, 7),
    ("EXP", 2): (2, 12),
    ("FULLY_CONNECTED", 12): (2, 17),
    ("GATHER", 5): (2, 5),
    ("GELU", 1): (2, 9),
    ("GELU", 2): (2, 9),
    ("PAD", 4): (2, 6),
    ("QUANTIZE", 3): (2, 7),
    ("RELU", 3): (2, 5),
    ("RSQRT", 2): (2, 5),
    ("SQUARED_DIFFERENCE", 2): (2, 5),
    ("STRIDED_SLICE", 6): (2, 6),
    ("SUB", 4): (2, 4),
}


def set_versions(graph: Graph) -> None:
    """Gives each operator the version that its types, shapes and options ask for."""
    for operator in graph.operators:
        graph.set_version(operator, _version(graph, operator))


def min_runtime(*graphs: Graph) -> tuple[int, int]:
    """The oldest TensorFlow Lite that has all operators in their versions, (2, 17) for example."""
    used = {(graph.name(operator), graph.version(operator)) for graph in graphs for operator in graph.operators}
    return max(_SINCE.get(key, _BASELINE) for key in used)


def _version(graph: Graph, operator: Any) -> int:
    name = graph.name(operator)
    if name in _INT8_IS_2:
        return 2 if _types(graph, operator.inputs)[0] == _INT8 else 1
    rule = _RULES.get(name)
    return graph.version(operator) if rule is None else rule(graph, operator)


def _types(graph: Graph, tensors: Any) -> list[int | None]:
    """Types of some tensors; `None` for one that is left out."""
    return [graph.tensors[int(i)].type if i >= 0 else None for i in tensors]


def _is_per_channel(graph: Graph, tensor: int) -> bool:
    quantization = graph.tensors[tensor].quantization
    return quantization is not None and quantization.scale is not None and len(quantization.scale) > 1


def _dimensions(graph: Graph, operator: Any) -> int:
    return max(len(graph.shape(int(i))) for i in operator.inputs)


def _broadcasts_many(graph: Graph, operator: Any) -> bool:
    """Whether two inputs of unlike shapes have more than four dimensions."""
    first, second = (graph.shape(int(i)) for i in operator.inputs[:2])
    return first != second and _dimensions(graph, operator) > _MANY_DIMENSIONS


def _fully_connected(graph: Graph, operator: Any) -> int:
    options = operator.builtinOptions
    kinds = (*_types(graph, operator.inputs[:2]), *_types(graph, operator.outputs))
    hybrid = kinds == (_FLOAT32, _INT8, _FLOAT32)
    if hybrid and _is_per_channel(graph, int(operator.inputs[1])):
        return 12
    if len(operator.inputs) == 2:  # no bias
        return 6
    if options.keepNumDims:
        return 5
    if kinds == (_INT8, _INT8, _INT8):
        return 4
    if hybrid:
        return 9 if options.asymmetricQuantizeInputs else 3
    return 2 if options.weightsFormat == _SHUFFLED else 1


def _conv_2d(graph: Graph, operator: Any) -> int:
    kinds = (*_types(graph, operator.inputs[:2]), *_types(graph, operator.outputs))
    if kinds == (_INT8, _INT8, _INT8):
        return 3
    if kinds == (_FLOAT32, _INT8, _FLOAT32):
        return 5 if _is_per_channel(graph, int(operator.inputs[1])) else 2
    return 1


def _dequantize(graph: Graph, operator: Any) -> int:
    (kind,) = _types(graph, operator.inputs)
    if kind == _FLOAT16:
        return 3
    if kind == _INT8:
        return 5 if _is_per_channel(graph, int(operator.inputs[0])) else 2
    return 1


def _quantize(graph: Graph, operator: Any) -> int:
    return 3 if _is_per_channel(graph, int(operator.outputs[0])) else 1


def _gather(graph: Graph, operator: Any) -> int:
    if operator.builtinOptions is not None and operator.builtinOptions.batchDims:
        return 5
    return {_BOOL: 3, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


def _transpose(graph: Graph, operator: Any) -> int:
    dimensions = len(graph.shape(int(operator.inputs[0])))
    if dimensions > _MANY_DIMENSIONS:
        return 6 if dimensions > _MANY_DIMENSIONS + 1 else 4
    return {_BOOL: 3, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


def _strided_slice(graph: Graph, operator: Any) -> int:
    options = operator.builtinOptions
    if options.offset:
        return 8
    if options.ellipsisMask or options.newAxisMask:
        return 6
    if len(graph.shape(int(operator.inputs[0]))) > _MANY_DIMENSIONS:
        return 4
    return {_BOOL: 3, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


def _split(graph: Graph, operator: Any) -> int:
    return {_INT32: 3, _INT8: 2}.get(_types(graph, operator.inputs)[1], 1)


def _cast(graph: Graph, operator: Any) -> int:
    kinds = _types(graph, (*operator.inputs, *operator.outputs))
    if _FLOAT16 in kinds:
        return 5
    return 3 if _INT8 in kinds else 1


def _add(graph: Graph, operator: Any) -> int:
    return {_INT64: 4, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


def _sub(graph: Graph, operator: Any) -> int:
    kind = _types(graph, operator.inputs)[0]
    if kind != _INT64 and _broadcasts_many(graph, operator):
        return 3
    return {_INT64: 4, _INT8: 2}.get(kind, 1)


def _extreme(graph: Graph, operator: Any) -> int:
    if _broadcasts_many(graph, operator):
        return 3
    return 2 if _types(graph, operator.inputs)[0] == _INT8 else 1


def _batch_matmul(graph: Graph, operator: Any) -> int:
    kinds = (*_types(graph, operator.inputs), *_types(graph, operator.outputs))
    if kinds == (_FLOAT32, _INT8, _FLOAT32) and operator.builtinOptions.asymmetricQuantizeInputs:
        return 4
    return 2 if kinds[0] == _INT8 else 1


def _pad(graph: Graph, operator: Any) -> int:
    if len(graph.shape(int(operator.inputs[0]))) > _MANY_DIMENSIONS:
        return 4
    return 2 if _types(graph, operator.inputs)[0] == _INT8 else 1


def _unpack(graph: Graph, operator: Any) -> int:
    return {_BOOL: 3, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


def _abs(graph: Graph, operator: Any) -> int:
    return {_INT32: 5, _INT8: 2}.get(_types(graph, operator.inputs)[0], 1)


_RULES: dict[str, Callable[[Graph, Any], int]] = {
    "ABS": _abs,
    "ADD": _add,
    "BATCH_MATMUL": _batch_matmul,
    "CAST": _cast,
    "CONV_2D": _conv_2d,
    "DEQUANTIZE": _dequantize,
    "DIV": lambda graph, operator: 2 if _broadcasts_many(graph, operator) else 1,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "L2_NORMALIZATION": lambda graph, operator: 2 if _types(graph, operator.outputs)[0] == _INT8 else 1,
    "MAXIMUM": _extreme,
    "MINIMUM": _extreme,
    "PAD": _pad,
    "QUANTIZE": _quantize,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _sub,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
