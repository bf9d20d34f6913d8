"""Two kinds of comparison instead of six: TFLite Micro's kernel of each takes about 5.5 kB of flash."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf.tflite.flatbuffer.graph import Graph

# What a comparison becomes: another one, with its inputs swapped or not, and whether the answer is the opposite.
_OTHERS = {
    "GREATER": ("LESS", True, False),
    "GREATER_EQUAL": ("LESS", False, True),
    "LESS_EQUAL": ("LESS", True, True),
    "NOT_EQUAL": ("EQUAL", False, True),
}
_OPTIONS = {"LESS": schema.LessOptionsT, "EQUAL": schema.EqualOptionsT}


def merge_comparisons(graph: Graph) -> None:
    """Expresses all comparisons of numbers by LESS and EQUAL."""
    for operator in list(graph.operators):
        if graph.name(operator) not in _OTHERS:
            continue
        kind, swapped, opposite = _OTHERS[graph.name(operator)]
        (output,) = (int(i) for i in operator.outputs)
        casts = graph.consumers()[output]
        if any(graph.name(cast) != "CAST" for cast in casts):
            continue
        inputs = [int(i) for i in (operator.inputs[::-1] if swapped else operator.inputs)]
        if opposite and not _shift(graph, kind, inputs):
            for cast in casts:
                _negate(graph, cast)
        elif opposite:
            inputs.reverse()
        other = graph.operator(kind, inputs, [output], _OPTIONS[kind]())
        graph.operators[graph.operators.index(operator)] = other


def _shift(graph: Graph, kind: str, inputs: list[int]) -> bool:
    """Makes "not a < b" of whole numbers "b < a + 1", where one of both is constant; the caller swaps them."""
    a, b = (graph.constant(i) for i in inputs)
    known = a if a is not None else b
    if kind != "LESS" or known is None or known.dtype != np.int32:
        return False
    place = 0 if a is not None else 1
    inputs[place] = graph.add_constant(known + np.int32(1 - 2 * place))
    return True


def _negate(graph: Graph, cast: Any) -> None:
    """Lets a cast from bool give the opposite."""
    output = int(cast.outputs[0])
    given = graph.add_tensor(graph.shape(output), graph.dtype(output))
    cast.outputs = np.array([given], np.int32)
    one = graph.add_constant(np.array(1, graph.dtype(output)))
    graph.operators.insert(
        graph.operators.index(cast) + 1, graph.operator("SUB", [one, given], [output], schema.SubOptionsT())
    )
