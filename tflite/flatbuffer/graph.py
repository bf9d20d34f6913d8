"""A TFLite file as a graph that can be read and changed, for quantization and for the target "micro"."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .file import operator_name, pack, parse

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
_DTYPES: dict[int, Any] = {code: dtype for dtype, code in _TYPES.items()}


class _Flow(NamedTuple):
    """What an operator waits for and moves."""

    before: list[int]  # the operators that compute its inputs
    reads: dict[int, int]  # computed tensors, with their bytes
    writes: dict[int, int]


class Graph:
    """The first subgraph of a TFLite file; those of shorter lengths are left out.

    Args:
        data: the file.

    Attributes:
        operators: `schema.OperatorT` in the order they run; may be changed.
        tensors: `schema.TensorT`; append with `add_tensor` or `add_constant`.
    """

    def __init__(self, data: bytes) -> None:
        self.model = parse(data)
        self._subgraph, *_ = self.model.subgraphs
        self.model.subgraphs = [self._subgraph]
        self.model.signatureDefs = [s for s in self.model.signatureDefs or [] if s.subgraphIndex == 0]
        self.operators: list[Any] = self._subgraph.operators
        self.tensors: list[Any] = self._subgraph.tensors

    @property
    def inputs(self) -> list[int]:
        """Numbers of the input tensors."""
        return [int(i) for i in self._subgraph.inputs]

    @property
    def outputs(self) -> list[int]:
        """Numbers of the output tensors."""
        return [int(i) for i in self._subgraph.outputs]

    def set_outputs(self, tensors: Sequence[int]) -> None:
        """Makes other tensors the outputs, without a signature; `to_bytes` drops what these do not need."""
        self._subgraph.outputs = np.array(tensors, np.int32)
        self.model.signatureDefs = []

    def set_inputs(self, tensors: Sequence[int]) -> None:
        """Makes other tensors the inputs, without a signature; what has computed them is not needed then."""
        self.model.signatureDefs = []
        self._subgraph.inputs = np.array(tensors, np.int32)
        for operator in [operator for operator in self.operators if int(operator.outputs[0]) in tensors]:
            self.operators.remove(operator)

    def reorder_outputs(self, tensors: Sequence[int]) -> None:
        """Gives the output tensors another order; a signature names them as before."""
        self._subgraph.outputs = np.array(tensors, np.int32)

    def name(self, operator: Any) -> str:
        """An operator's name, `ADD` for example."""
        return operator_name(self.model.operatorCodes[operator.opcodeIndex])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape."""
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def dtype(self, tensor: int) -> np.dtype[Any]:
        """A tensor's type."""
        return np.dtype(_DTYPES[self.tensors[tensor].type])

    def is_float(self, tensor: int) -> bool:
        """Whether a tensor is float32; false for the number of an input that is left out."""
        return tensor >= 0 and self.tensors[tensor].type == schema.TensorType.FLOAT32

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor's values stand in the file; false for the number of an input that is left out."""
        return tensor >= 0 and self._is_full(self.tensors[tensor].buffer)

    def constant(self, tensor: int) -> np.ndarray | None:
        """The values of a constant tensor; `None` for one that is computed."""
        if not self.is_constant(tensor):
            return None
        data = bytes(self.model.buffers[self.tensors[tensor].buffer].data)
        return np.frombuffer(data, self.dtype(tensor)).reshape(self.shape(tensor))

    def add_tensor(self, shape: Sequence[int], dtype: Any) -> int:
        """A new tensor without values; returns its number."""
        tensor = schema.TensorT()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TYPES[np.dtype(dtype)]
        tensor.name = b""
        tensor.buffer = 0  # by convention the empty one
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_constant(self, values: np.ndarray) -> int:
        """A new constant tensor; returns its number."""
        number = self.add_tensor(values.shape, values.dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.tensors[number].buffer = len(self.model.buffers) - 1
        return number

    def set_scale(self, tensor: int, scale: np.ndarray, zero_point: np.ndarray) -> None:
        """Sets scale and zero point of an integer tensor, for each row if there are several."""
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
        quantization.zeroPoint = np.atleast_1d(np.asarray(zero_point, np.int64))
        self.tensors[tensor].quantization = quantization

    def operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> Any:
        """A new operator that is not yet in `operators`.

        Args:
            name: `ADD` for example.
            inputs: numbers of tensors.
            outputs: numbers of tensors.
            options: `schema.AddOptionsT` for example, where the operator needs them.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(schema.BuiltinOperator, name))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return operator

    def _opcode(self, code: int, version: int | None = None) -> int:
        """The index of an operator's code, made where there is none; any version will do where none is given."""
        for index, known in enumerate(self.model.operatorCodes):
            same = max(known.builtinCode, known.deprecatedBuiltinCode) == code and not known.customCode
            if same and version in (None, known.version):
                return index
        new = schema.OperatorCodeT()
        new.builtinCode = code
        new.deprecatedBuiltinCode = min(code, 127)  # where files before 2020 kept it
        new.version = version or 1
        self.model.operatorCodes.append(new)
        return len(self.model.operatorCodes) - 1

    def version(self, operator: Any) -> int:
        """An operator's version."""
        return int(self.model.operatorCodes[operator.opcodeIndex].version)

    def set_version(self, operator: Any, version: int) -> None:
        """Gives an operator, and no other, a version."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.version != version:
            operator.opcodeIndex = self._opcode(max(code.builtinCode, code.deprecatedBuiltinCode), version)

    def producers(self) -> dict[int, Any]:
        """The operator that computes each tensor."""
        return {int(tensor): operator for operator in self.operators for tensor in operator.outputs}

    def consumers(self) -> dict[int, list[Any]]:
        """The operators that read each tensor."""
        readers: dict[int, list[Any]] = defaultdict(list)
        for operator in self.operators:
            for tensor in dict.fromkeys(int(i) for i in operator.inputs):
                readers[tensor].append(operator)
        return readers

    def downstream(self, start: Iterable[int]) -> set[int]:
        """Numbers of the tensors that depend on one of those in `start`, these included."""
        reached = set(start)
        for operator in self.operators:
            if reached.intersection(int(i) for i in operator.inputs):
                reached.update(int(i) for i in operator.outputs)
        return reached

    def replace(self, operator: Any, old: int, new: int) -> None:
        """Lets an operator read another tensor."""
        operator.inputs = np.array([new if i == old else i for i in operator.inputs], np.int32)

    def schedule(self) -> None:
        """Orders the operators so that little memory is in use at a time.

        Each operator runs as late as its result allows; of those with several inputs, which is computed first is
        chosen one by one, until no single choice saves memory.
        """
        flows = self._flows()
        last_first: set[int] = set()
        best = self._ordered(flows, last_first)
        least = self._memory(flows, best)
        choices = [number for number, flow in enumerate(flows) if len(flow.before) > 1]
        improved = True
        while improved:
            improved = False
            for number in choices:
                tried = self._ordered(flows, last_first ^ {number})
                memory = self._memory(flows, tried)
                if memory < least:
                    best, least, last_first, improved = tried, memory, last_first ^ {number}, True
        self.operators[:] = [self.operators[number] for number in best]

    def memory(self) -> tuple[int, int]:
        """Bytes of all tensors in use while the operators run: at most, and the sum over operators."""
        return self._memory(self._flows(), range(len(self.operators)))

    def _flows(self) -> list[_Flow]:
        """What each operator waits for, reads and writes."""
        producers = {int(tensor): number for number, o in enumerate(self.operators) for tensor in o.outputs}
        flows = []
        for operator in self.operators:
            inputs, outputs = [int(i) for i in operator.inputs], [int(i) for i in operator.outputs]
            reads = {i: self._size(i) for i in inputs if i >= 0 and not self.is_constant(i)}
            before = [producers[i] for i in inputs if i in producers]
            flows.append(_Flow(before, reads, {i: self._size(i) for i in outputs}))
        return flows

    def _ordered(self, flows: Sequence[_Flow], last_first: set[int]) -> list[int]:
        """The operators, inputs before users; inputs of those in `last_first` from the last to the first."""
        ordered: list[int] = []
        done = [False] * len(flows)
        stack = [(number, False) for tensor in self.outputs for number, f in enumerate(flows) if tensor in f.writes]
        while stack:
            number, inputs_ready = stack.pop()
            if done[number]:
                continue
            if inputs_ready:
                done[number] = True
                ordered.append(number)
                continue
            stack.append((number, True))
            before = flows[number].before
            stack += [(i, False) for i in (before if number in last_first else reversed(before)) if not done[i]]
        return ordered

    def _memory(self, flows: Sequence[_Flow], order: Sequence[int]) -> tuple[int, int]:
        """`memory` of the operators in another order."""
        needed = set(self.outputs)
        in_use = sum(self._size(tensor) for tensor in needed)
        most = total = 0
        for number in reversed(order):
            _, reads, writes = flows[number]
            for tensor, size in (*writes.items(), *reads.items()):
                if tensor not in needed:
                    needed.add(tensor)
                    in_use += size
            most, total = max(most, in_use), total + in_use
            in_use -= sum(writes.values())
            needed.difference_update(writes)
        return most, total

    def _size(self, tensor: int) -> int:
        return math.prod(self.shape(tensor)) * self.dtype(tensor).itemsize

    def to_bytes(self) -> bytes:
        """The file, after `prune`: numbers of tensors in it are those of the graph."""
        self.prune()
        return pack(self.model)

    def prune(self) -> dict[int, int]:
        """Drops unused operators, tensors, buffers and operator codes.

        Returns:
            The new number of each tensor that is left, by its old one.
        """
        self._drop_operators()
        self._merge_constants()
        return self._drop_tensors()

    def _drop_operators(self) -> None:
        needed = set(self.outputs)
        kept = []
        for operator in reversed(self.operators):
            if needed.intersection(int(i) for i in operator.outputs):
                needed.update(int(i) for i in operator.inputs)
                kept.append(operator)
        self.operators[:] = kept[::-1]
        codes = sorted({operator.opcodeIndex for operator in self.operators})
        for operator in self.operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
        self.model.operatorCodes = [self.model.operatorCodes[code] for code in codes]

    def _merge_constants(self) -> None:
        """Merges equal constants, so that shared weights are stored once."""
        first: dict[Any, int] = {}
        for operator in self.operators:
            for i in {int(i) for i in operator.inputs if self.is_constant(int(i))}:
                scales = self.tensors[i].quantization
                numbers = () if scales is None else (scales.scale, scales.zeroPoint)
                data = (self.model.buffers[self.tensors[i].buffer].data, *(n for n in numbers if n is not None))
                key = (self.shape(i), self.tensors[i].type, *(np.asarray(part).tobytes() for part in data))
                self.replace(operator, i, first.setdefault(key, i))

    def _drop_tensors(self) -> dict[int, int]:
        used = {*self.inputs, *self.outputs}
        for operator in self.operators:
            used.update(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0)
        numbers = {old: new for new, old in enumerate(sorted(used))}
        self.renumber(numbers)
        entries = (*self.tensors, *(self.model.metadata or []))
        full = sorted({entry.buffer for entry in entries if self._is_full(entry.buffer)})
        buffers = {old: new for new, old in enumerate(full, start=1)}
        self.model.buffers = [self.model.buffers[0], *(self.model.buffers[old] for old in full)]
        for entry in entries:
            entry.buffer = buffers.get(entry.buffer, 0)  # by convention the empty one
        return numbers

    def renumber(self, numbers: dict[int, int]) -> None:
        """Gives tensors other numbers.

        Args:
            numbers: the new number of each tensor that is used, by its old one: from 0 on, and none left out.
        """
        numbers = numbers | {-1: -1}
        old = {new: tensor for tensor, new in numbers.items() if new >= 0}
        self.tensors[:] = [self.tensors[old[new]] for new in range(len(old))]
        self._subgraph.inputs = np.array([numbers[i] for i in self.inputs], np.int32)
        self._subgraph.outputs = np.array([numbers[i] for i in self.outputs], np.int32)
        for operator in self.operators:
            operator.inputs = np.array([numbers[int(i)] for i in operator.inputs], np.int32)
            operator.outputs = np.array([numbers[int(i)] for i in operator.outputs], np.int32)
            operator.intermediates = None
        for signature in self.model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = numbers[entry.tensorIndex]

    def _is_full(self, buffer: int) -> bool:
        data = self.model.buffers[buffer].data
        return data is not None and len(data) > 0
