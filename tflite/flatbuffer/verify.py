"""Checks a TFLite file before an interpreter sees it: offsets, sizes of buffers, numbers of tensors, types and shapes.

LiteRT and TFLite Micro read a file in place and trust much of what stands in it: a wrong number ends the process. A
checksum finds damage, but whoever changes a file on purpose can make its checksum too. Needs NumPy alone.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from .shapes import check_shapes
from .tables import DamagedFileError, Table, root

if TYPE_CHECKING:
    from .metadata import Length, Metadata

INPUT = "bytes"
TAGGER_OUTPUTS = ("tags", "positions", "label")  # the last where it has classes, too

# Bytes of an element by its number in the schema: float32, float16, int32, uint8, int64, bool, int16, int8, uint32.
_ITEM_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1, 15: 4}
_RANGES = {3: (0, 255), 7: (-(2**15), 2**15 - 1), 9: (-128, 127)}
_DTYPES = {0: np.float32, 2: np.int32, 4: np.int64, 6: np.bool_, 9: np.int8}
_MAX_BYTES = 2**30  # of one tensor
_MAX_ENDS = 2**10  # inputs or outputs of an operator
_CUSTOM = 32


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Args:
        type: its number in the schema.
        shape: its dimensions.
        scaled: whether its integers have a scale.
        data: its bytes where it is a constant.
    """

    type: int
    shape: tuple[int, ...]
    scaled: bool
    data: np.ndarray | None

    @property
    def values(self) -> np.ndarray | None:
        """The numbers of a constant."""
        if self.data is None or self.type not in _DTYPES:
            return None
        return np.frombuffer(self.data.tobytes(), _DTYPES[self.type]).reshape(self.shape)


def verify(data: bytes, metadata: Metadata) -> None:
    """Checks a file against the schema and against what it says of itself.

    Args:
        data: the file.
        metadata: what it says of itself.

    Raises:
        DamagedFileError: something does not fit. The message says what.
    """
    model = root(data)
    codes = [_operator_code(code) for code in model.tables(1)]
    buffers = [buffer.vector(0, np.uint8) for buffer in model.tables(4)]
    for buffer in model.tables(4):
        _require(not buffer.number(1, "Q") and not buffer.number(2, "Q"), "a buffer lies behind the graph")
    for entry in model.tables(6):
        _require(entry.string(0) is not None and entry.number(1, "I") < len(buffers), "metadata without a buffer")
    graphs = model.tables(2)
    lengths = [metadata.whole, *metadata.shorter]
    _require(len(graphs) == len(lengths), f"{len(graphs)} graphs; expected {len(lengths)}")
    ends = [
        _check_graph(graph, codes, buffers, metadata, length) for graph, length in zip(graphs, lengths, strict=True)
    ]
    signatures = model.tables(7)
    _require(len(signatures) == len(graphs), f"{len(signatures)} signatures; expected {len(graphs)}")
    for number, signature in enumerate(signatures):
        _require(signature.number(4, "I") == number, "a signature of another graph")
        name = signature.string(2)
        _require(name == metadata.signature(lengths[number]).encode(), f"a signature {name!r}")
        _check_names(signature, *ends[number], metadata)


def _check_names(signature: Table, inputs: list[int], outputs: list[int], metadata: Metadata) -> None:
    """Inputs and outputs have the names that runtimes ask for; a lone output may have any."""
    given, made = (
        [(entry.string(0), int(entry.number(1, "I"))) for entry in signature.tables(field)] for field in (0, 1)
    )
    _require(given == [(INPUT.encode(), inputs[0])], f"inputs {given!s:.100} of a signature")
    names = [name.encode() for name in TAGGER_OUTPUTS] if metadata.task == "tagging" else [name for name, _ in made]
    fits = len(made) == len(outputs) and sorted(made) == sorted(zip(names, outputs, strict=False))
    _require(fits, f"outputs {made!s:.100} of a signature")


def _check_graph(
    graph: Table, codes: list[int], buffers: list[np.ndarray], metadata: Metadata, length: Length
) -> tuple[list[int], list[int]]:
    """Checks one graph; the numbers of its inputs and outputs.

    Raises:
        DamagedFileError: something does not fit.
    """
    tensors = [_tensor(tensor, buffers) for tensor in graph.tables(0)]
    inputs, outputs = ([int(i) for i in graph.vector(field, np.int32)] for field in (1, 2))
    graph.string(4)
    _check_ends(tensors, inputs, outputs, metadata, length)
    ready = {i for i, tensor in enumerate(tensors) if tensor.data is not None} | set(inputs)
    for number, operator in enumerate(graph.tables(3)):
        try:
            _check_operator(operator, codes, tensors, ready)
        except DamagedFileError as error:
            raise DamagedFileError(f"operator {number}: {error}") from None
    _require(ready.issuperset(outputs), "an output is not computed")
    return inputs, outputs


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise DamagedFileError(complaint)


def _operator_code(code: Table) -> int:
    number = max(code.number(0, "b"), code.number(3, "i"))
    _require(number != _CUSTOM and not code.string(1), "a custom operator")
    return number


def _tensor(tensor: Table, buffers: list[np.ndarray]) -> Tensor:
    """One tensor, checked by itself."""
    tensor.string(3)
    kind, shape = tensor.number(1, "b"), tuple(int(n) for n in tensor.vector(0, np.int32))
    _require(kind in _ITEM_BYTES, f"a tensor of type {kind}")
    _require(min(shape, default=0) >= 0 and len(shape) <= 8, f"a tensor of shape {shape}")
    count = math.prod(shape)
    _require(count * _ITEM_BYTES[kind] <= _MAX_BYTES, f"a tensor of shape {shape}")
    signature = tuple(int(n) for n in tensor.vector(7, np.int32))
    _require(not signature or signature == shape, f"a tensor of shape {shape}, or is it {signature}")
    _require(
        not tensor.number(5, "?") and tensor.table(6) is None and not tensor.tables(9), "a variable or sparse tensor"
    )
    number = tensor.number(2, "I")
    _require(number < len(buffers), f"buffer {number} of {len(buffers)}")
    data = buffers[number] if buffers[number].size else None
    size = count * _ITEM_BYTES[kind]
    _require(
        data is None or data.size == size, f"{0 if data is None else data.size} bytes in a buffer; expected {size}"
    )
    quantization = tensor.table(4)
    scales = 0 if quantization is None else _check_scales(quantization, kind, shape)
    return Tensor(kind, shape, scales > 0, data if size else buffers[number])


def _check_scales(quantization: Table, kind: int, shape: tuple[int, ...]) -> int:
    """How many scales there are: none, one, or one for each row."""
    scale, zero = quantization.vector(2, np.float32), quantization.vector(3, np.int64)
    quantization.vector(0, np.float32)
    quantization.vector(1, np.float32)
    _require(not quantization.number(4, "B") and quantization.table(5) is None, "a quantization of its own")
    if not scale.size:
        _require(not zero.size, "zero points without scales")
        return 0
    _require(bool(np.isfinite(scale).all() and (scale > 0).all()), "a scale that is not positive and finite")
    axis = quantization.number(6, "i")
    rows = shape[axis] if 0 <= axis < len(shape) else 1
    _require(scale.size in (1, rows) and zero.size in (1, scale.size), f"{scale.size} scales for {rows} rows")
    least, greatest = _RANGES.get(kind, (0, 0))
    _require(least <= zero.min() and zero.max() <= greatest, "a zero point outside of the type")
    return int(scale.size)


def _check_ends(
    tensors: list[Tensor], inputs: list[int], outputs: list[int], metadata: Metadata, length: Length
) -> None:
    """Input and outputs are those that the metadata promise."""
    _require(all(0 <= i < len(tensors) for i in (*inputs, *outputs)), "an input or output that does not exist")
    found = [(tensors[i].type, tensors[i].shape) for i in inputs]
    _require(found == [(2, (1, length.bytes))], f"inputs {found}; expected int32 [1, {length.bytes}]")
    whole = [(0, (1, metadata.num_classes))] if metadata.num_classes else []
    tags = [(0, (1, length.tokens, len(metadata.tags or ()))), (2, (1, length.tokens, 2))]
    expected = [*tags, *whole] if metadata.task == "tagging" else whole
    found = [(tensors[i].type, tensors[i].shape) for i in outputs]
    _require(found == expected, f"outputs {found}; expected {expected}")


def _check_operator(operator: Table, codes: list[int], tensors: list[Tensor], ready: set[int]) -> None:
    """Reads only what is there by then, writes what nothing else writes, and fits the shapes of both."""
    index = operator.number(0, "I")
    _require(index < len(codes), f"operator code {index} of {len(codes)}")
    reads, writes = ([int(i) for i in operator.vector(field, np.int32)] for field in (1, 2))
    _require(0 < len(writes) <= _MAX_ENDS and len(reads) <= _MAX_ENDS, f"{len(reads)} inputs, {len(writes)} outputs")
    _require(all(i == -1 or i in ready for i in reads), "reads what is not computed before it")
    _require(all(0 <= i < len(tensors) and i not in ready for i in writes), "writes what is there already")
    _require(len(set(writes)) == len(writes), "writes a tensor twice")
    for field, dtype in ((5, np.uint8), (7, np.bool_), (8, np.int32)):
        _require(not operator.vector(field, dtype).size, "a field of operators that no file of ours has")
    _require(operator.table(12) is None and not operator.number(9, "Q"), "options that no file of ours has")
    check_shapes(
        codes[index], [None if i < 0 else tensors[i] for i in reads], [tensors[i] for i in writes], operator.table(4)
    )
    ready.update(writes)
