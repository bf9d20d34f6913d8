"""Parses and packs TFLite files, and lists their operators."""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_OPERATOR_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def parse(data: bytes) -> Any:
    """A TFLite file as a tree of objects, `schema.ModelT`."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def pack(model: Any) -> bytes:
    """The inverse of `parse`.

    Arrays that are equal (shapes, zero points, weights) stand in the file once. So do tensors, operators and options of
    a model with several graphs, which share most of them.
    """
    builder = _SharingBuilder(2**20)
    shared = model if len(model.subgraphs) == 1 else _sharing(model)
    builder.Finish(shared.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _sharing(model: Any) -> Any:
    """A copy of a model whose equal tables are packed once."""
    written: dict[Any, int] = {}
    model = copy.copy(model)
    model.subgraphs = [copy.copy(graph) for graph in model.subgraphs]
    for graph in model.subgraphs:
        graph.tensors = [_Shared(tensor, written, "quantization") for tensor in graph.tensors]
        graph.operators = [_Shared(operator, written, "builtinOptions") for operator in graph.operators]
    return model


class _Shared:
    """A table that is packed once for all that are equal to it.

    Args:
        table: an object of the schema.
        written: where each table stands in the file, by what is in it.
        part: the attribute that is a table too, if there is one.
    """

    def __init__(self, table: Any, written: dict[Any, int], part: str | None = None) -> None:
        self._table, self._written = copy.copy(table), written
        if part is not None and getattr(table, part) is not None:
            setattr(self._table, part, _Shared(getattr(table, part), written))

    def key(self) -> tuple[Any, ...]:
        """What is in the table, hashable."""
        values = ((name, _hashable(value)) for name, value in sorted(vars(self._table).items()))
        return type(self._table).__name__, *values

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802, as the schema's objects have it
        key = self.key()
        if key not in self._written:
            self._written[key] = self._table.Pack(builder)
        return self._written[key]


def _hashable(value: Any) -> Any:
    if isinstance(value, _Shared):
        return value.key()
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value


class _SharingBuilder(flatbuffers.Builder):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802, the base's name
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def operator_name(code: Any) -> str:
    """The name of a `schema.OperatorCodeT`; a custom one, Flex among them, as `CUSTOM:name`."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = f":{code.customCode.decode()}" if code.customCode else ""
    return _OPERATOR_NAMES.get(number, str(number)) + custom


def operators(model: Any) -> list[str]:
    """Names of the operators that a model uses, sorted."""
    used = {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators}
    return sorted({operator_name(model.operatorCodes[index]) for index in used})
