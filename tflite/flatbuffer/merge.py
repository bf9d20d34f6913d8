"""Several graphs in one TFLite file, each with its signature: the same model at several lengths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .graph import Graph

# Numbers that a table has at least to be stored once, and cut by an operator where a graph needs its first rows.
_SMALLEST_TABLE = 256


def merge(graphs: Sequence[Graph], names: Sequence[str] = ()) -> Any:
    """A model with all graphs, in which equal constants are stored once.

    Args:
        graphs: pruned ones; the first stays subgraph 0 and keeps its signature. All are changed.
        names: of the signatures of the others; none where there are no signatures.

    Returns:
        `schema.ModelT`.
    """
    model = graphs[0].model
    buffers = {_content(buffer): number for number, buffer in reversed(list(enumerate(model.buffers)))}
    codes = {_code(code): number for number, code in enumerate(model.operatorCodes)}
    for graph, name in itertools.zip_longest(graphs[1:], names):
        for tensor in graph.tensors:
            buffer = graph.model.buffers[tensor.buffer]
            tensor.buffer = buffers.setdefault(_content(buffer), len(model.buffers))
            if tensor.buffer == len(model.buffers):
                model.buffers.append(buffer)
        for operator in graph.operators:
            code = graph.model.operatorCodes[operator.opcodeIndex]
            operator.opcodeIndex = codes.setdefault(_code(code), len(model.operatorCodes))
            if operator.opcodeIndex == len(model.operatorCodes):
                model.operatorCodes.append(code)
        for signature in graph.model.signatureDefs:
            signature.signatureKey, signature.subgraphIndex = name.encode(), len(model.subgraphs)
            model.signatureDefs.append(signature)
        model.subgraphs += graph.model.subgraphs
    return model


def share_rows(graph: Graph, whole: Graph) -> None:
    """Replaces tables of a graph by the first rows of those of a longer one, which then stand in a file once.

    Args:
        graph: a float32 one; it is changed.
        whole: the same model with more token slots and bytes.
    """
    tables = [table for number in range(len(whole.tensors)) if (table := _table(whole, number)) is not None]
    readers = graph.consumers()
    for number in range(len(graph.tensors)):
        values = _table(graph, number)
        if values is None:
            continue
        cut = tuple(slice(size) for size in values.shape)
        alike = [table for table in tables if (table.dtype, table.ndim) == (values.dtype, values.ndim)]
        longer = [table for table in alike if np.array_equal(table[cut], values)]
        if longer and not any(table.shape == values.shape for table in longer):
            begin, size = (np.array(place, np.int32) for place in ([0] * values.ndim, values.shape))
            rows = graph.add_tensor(values.shape, values.dtype)
            inputs = [graph.add_constant(array) for array in (longer[0], begin, size)]
            for reader in readers[number]:
                graph.replace(reader, number, rows)
            graph.operators.insert(0, graph.operator("SLICE", inputs, [rows], schema.SliceOptionsT()))


def _table(graph: Graph, tensor: int) -> np.ndarray | None:
    """A constant tensor that is worth an operator to be stored once; `None` for any other tensor."""
    values = graph.constant(tensor)
    return values if values is not None and values.size >= _SMALLEST_TABLE else None


def align(graph: Graph, whole: Graph) -> None:
    """Numbers the tensors of a graph as those of another with the same operators, beside those of `share_rows`.

    Operators are then equal too, and stand in a file once.
    """
    numbers: dict[int, int] = {}
    others = iter(graph.operators)
    for operator in whole.operators:
        same = next((other for other in others if graph.name(other) == whole.name(operator)), None)
        if same is None:
            break
        for tensor, number in zip((*same.inputs, *same.outputs), (*operator.inputs, *operator.outputs), strict=False):
            if tensor >= 0 <= number and tensor not in numbers and number not in numbers.values():
                numbers[int(tensor)] = int(number)
    free = (number for number in range(len(graph.tensors)) if number not in numbers.values())
    for tensor in range(len(graph.tensors)):
        if tensor not in numbers or numbers[tensor] >= len(graph.tensors):
            numbers[tensor] = next(free)
    graph.renumber(numbers)


def _content(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)


def _code(code: Any) -> tuple[int, int]:
    return max(code.builtinCode, code.deprecatedBuiltinCode), code.version
