"""Parses and packs TFLite files, and lists their operators."""

from __future__ import annotations

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
    """The inverse of `parse`. Arrays that are equal (shapes, zero points, weights) stand in the file once."""
    builder = _SharingBuilder(2**20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


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
