"""8-bit arithmetic in the encoder of a TFLite file; the front end stays in int32 and float32.

Normalisations and the sums before them stay in float32 as well: no other step would lose as much in 8 bits. Ranges of
activations come from calibration. The scheme is TFLite's: activations (integer - zero point) * scale with one scale per
tensor, weights symmetric about 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.versions import set_versions

from .calibrate import ROWS_MEASURED, Calibration, Range, measure_errors
from .equalize import equalize_residuals, residual_sums
from .quantize import SMALLEST, quantize_rows

_SAME_SCALE = {"PAD", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE"}
_INT8 = _SAME_SCALE | {
    *("ADD", "BATCH_MATMUL", "FULLY_CONNECTED", "GELU", "SOFTMAX", "TANH"),
}
# Columns of a dense layer with a GELU that are computed at a time, about.
_COLUMNS = 100
# Attention scores this far below the smallest unmasked one count as masked: exp(-10) is 5e-5.
_MASKED = 10.0


@dataclass(frozen=True)
class Scale:
    """Scale and zero point of an int8 tensor: value = (integer - zero_point) * scale."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, least: float, greatest: float) -> Scale:
        """The finest scale for a range, widened so that 0 is exact."""
        least, greatest = min(least, 0.0), max(greatest, 0.0)
        scale = max(greatest - least, 1e-9) / 255.0
        return cls(scale, round(-128 - least / scale))

    def integers(self, values: np.ndarray) -> np.ndarray:
        """Values as int8."""
        return np.clip(np.round(values / self.scale) + self.zero_point, -128, 127).astype(np.int8)


def to_int8(
    graph: Graph, calibration: Calibration, layers: Sequence[str], inputs: Sequence[Scale | None] = ()
) -> list[dict[str, Any]]:
    """Quantizes the encoder.

    Args:
        graph: a float32 one for the target "micro"; it is changed.
        calibration: ranges on some texts.
        layers: names of the Keras model's layers; none where errors are not wanted.
        inputs: scales of its inputs, for those that will be int8.

    Returns:
        For each quantized operator that computes, in order: its `layer`, its `operator`, and its `error`, the RMS of
        the change by int8 divided by the RMS of the result.
    """
    texts = calibration.texts
    equalize_residuals(graph, calibration)
    quantizer = _Quantizer(graph, calibration, inputs)
    results = quantizer.results(layers)
    quantizer.run()
    set_versions(graph)
    numbers = graph.prune()
    if not layers:
        return []
    twins = {tensor: numbers[quantizer.ready[tensor]] for tensor, _ in results if tensor in quantizer.ready}
    errors = measure_errors(quantizer.data, graph.to_bytes(), twins, texts[:: max(1, len(texts) // ROWS_MEASURED)])
    return [{**names, "error": round(errors[tensor], 5)} for tensor, names in results if tensor in errors]


def layer_of(name: bytes | str | None, layers: Sequence[str]) -> str:
    """The path of the Keras layer that a tensor comes from, "block_0/query" for example.

    Args:
        name: the tensor's, as TensorFlow's converter gives it: scopes of one or more operators, divided by semicolons.
            Keras numbers the scopes of a layer's second call and later ones.
        layers: names of the layers.
    """
    text = name.decode() if isinstance(name, bytes) else name or ""
    paths = []
    for scope in text.split(";"):
        parts = (part if part in layers else re.sub(r"_[0-9]+$", "", part) for part in scope.split("/"))
        paths.append([part for part in parts if part in layers and part != "backbone"])
    longest = max(len(path) for path in paths)
    return "/".join([path for path in paths if len(path) == longest][-1]) or "backbone"


class _Quantizer:
    """Rewrites operator by operator; `ready` holds the int8 twin of each float tensor."""

    def __init__(self, graph: Graph, calibration: Calibration, inputs: Sequence[Scale | None]) -> None:
        self.graph = graph
        self.data = graph.to_bytes()  # first: it gives tensors the numbers that they have in the file
        self.readers = graph.consumers()
        self.producers = graph.producers()
        self.residuals = {id(operator) for operator in residual_sums(graph)}
        self.chosen = self._choose()
        computed = {
            int(i)
            for operator in self.chosen
            for i in (*operator.inputs, *operator.outputs)
            if graph.is_float(int(i)) and graph.constant(int(i)) is None
        }
        self.ranges = calibration.ranges(graph, self.data, computed)
        self.inputs = {number: scale for number, scale in zip(graph.inputs, inputs, strict=False) if scale}
        self.scales: dict[int, Scale] = {}
        self.ready: dict[int, int] = {}
        self.tables: dict[int, int] = {}  # int8 twins of tables
        self.result: list[Any] = []

    def _choose(self) -> list[Any]:
        """The operators to quantize: what follows the hash until a text is one row, and dense layers but the last."""
        graph = self.graph
        start = [int(o.outputs[0]) for o in graph.operators if graph.name(o) == "DIV"]
        start += [int(o.inputs[0]) for o in graph.operators if graph.name(o) == "FULLY_CONNECTED"]
        follows = graph.downstream(start)
        last = self._logits()
        return [
            operator
            for operator in graph.operators
            if graph.name(operator) in _INT8
            and follows.intersection(int(i) for i in operator.inputs)
            and int(operator.outputs[0]) not in last
            and not self._is_of_text(operator)
            and not self._is_of_norm(operator)
            and id(operator) not in self.residuals
        ]

    def _logits(self) -> set[int]:
        """The result, and the two logits that it is the sum of where the model has a lexical head."""
        last = self.graph.producers()[self.graph.outputs[0]]
        parts = [int(i) for i in last.inputs] if self.graph.name(last) == "ADD" else []
        return {*self.graph.outputs, *parts}

    def _is_of_text(self, operator: Any) -> bool:
        """Whether an operator has one row, as after pooling. It stays float32, since its values vary widely."""
        shape = self.graph.shape(int(operator.inputs[0]))
        return len(shape) == 2 and shape[0] == 1 and self.graph.name(operator) not in _SAME_SCALE | {"FULLY_CONNECTED"}

    def _is_of_norm(self, operator: Any) -> bool:
        """Whether an operator adds a normalisation's epsilon or shift: a constant too small to be a table."""
        constants = [self.graph.constant(int(i)) for i in operator.inputs]
        return self.graph.name(operator) == "ADD" and any(c is not None and c.size < SMALLEST for c in constants)

    def results(self, layers: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
        """Tensors that quantized operators compute, each with the names of its layer and of its operator.

        Left out are operators that only move numbers, and attention scores, whose range is cut at the mask.

        Args:
            layers: names of the Keras model's layers.
        """
        graph = self.graph
        found = []
        for operator in self.chosen:
            name, output = graph.name(operator), int(operator.outputs[0])
            if name not in _SAME_SCALE and not self._feeds("SOFTMAX", output):
                found.append((output, {"layer": layer_of(graph.tensors[output].name, layers), "operator": name}))
        return found

    def run(self) -> None:
        """Quantizes the graph."""
        graph = self.graph
        chosen = {id(operator) for operator in self.chosen}
        outside = {int(i) for operator in graph.operators if id(operator) not in chosen for i in operator.inputs} | set(
            graph.outputs
        )
        for operator in graph.operators:
            if id(operator) in chosen:
                output = int(operator.outputs[0])
                self._quantize(operator)
                if output in outside:
                    self.result.append(graph.operator("DEQUANTIZE", [self.ready[output]], [output]))
            elif id(operator) in self.residuals:
                self._add_integers(operator)
            elif graph.name(operator) == "GATHER":
                self._gather(operator)
            else:
                self.result.append(operator)
        graph.operators[:] = self.result

    def _twin(self, tensor: int, scale: Scale) -> int:
        """A new int8 tensor in place of a float one."""
        number = self._like(self.graph.shape(tensor), scale)
        self.scales[tensor], self.ready[tensor] = scale, number
        return number

    def _like(self, shape: Sequence[int], scale: Scale) -> int:
        """A new int8 tensor without values."""
        number = self.graph.add_tensor(shape, np.int8)
        self.graph.set_scale(number, np.array(scale.scale), np.array(scale.zero_point))
        return number

    def _input(self, tensor: int) -> int:
        """The int8 twin of a float input, made where there is none yet."""
        if not self.graph.is_float(tensor):
            return tensor
        if tensor not in self.ready:
            values = self.graph.constant(tensor)
            if values is None:
                scale = self.inputs.get(tensor) or Scale.of(*self.ranges[tensor])
                self.result.append(self.graph.operator("QUANTIZE", [tensor], [self._twin(tensor, scale)]))
            else:
                scale = Scale.of(float(values.min()), float(values.max()))
                number = self.graph.add_constant(scale.integers(values))
                self.graph.set_scale(number, np.array(scale.scale), np.array(scale.zero_point))
                self.scales[tensor], self.ready[tensor] = scale, number
        return self.ready[tensor]

    def _quantize(self, operator: Any) -> None:
        """Appends the int8 form of an operator to the result."""
        name = self.graph.name(operator)
        inputs, (output,) = [int(i) for i in operator.inputs], [int(i) for i in operator.outputs]
        if name == "FULLY_CONNECTED" and self._feeds("GELU", output):
            return  # comes with its GELU
        if name == "GELU":
            self._gelu(self.graph.producers()[inputs[0]], output)
            return
        if name == "FULLY_CONNECTED":
            operator.inputs = np.array(self._dense(inputs), np.int32)
        else:
            operator.inputs = np.array([self._input(i) for i in inputs], np.int32)
        operator.outputs = np.array([self._twin(output, self._output_scale(name, inputs, output))], np.int32)
        self.result.append(operator)

    def _add_integers(self, operator: Any) -> None:
        """A sum before a normalisation, in float32, of the integers of int8 tensors, each times a factor.

        A normalisation takes away what its input is multiplied with, and what is added to all channels: scale and zero
        point of the first term, and zero points where a factor is one number. Only the others' scales remain.
        """
        graph = self.graph
        terms: list[tuple[int, Any]] = []
        for source in (int(i) for i in operator.inputs):
            factor: Any = 1.0
            product: Any = self.producers.get(source)
            if self._is_equalized(product):
                source, factor = int(product.inputs[0]), graph.constant(int(product.inputs[1]))
            if source in self.ready or source in self.inputs or graph.constant(source) is not None:
                twin = self._input(source)
                terms.append((twin, factor * self.scales[source].scale))
            else:  # nothing before it is int8
                terms.append((source, factor))
        unit = next((f for tensor, f in terms if not graph.is_float(tensor) and np.ndim(f) == 0), 1.0)
        for place, (number, factor) in enumerate(terms):
            if not graph.is_float(number):
                number = self._append("CAST", [number], schema.CastOptionsT())
            if np.ndim(factor) or factor != unit:
                constant = graph.add_constant(np.asarray(factor / unit, np.float32))
                number = self._append("MUL", [number, constant], schema.MulOptionsT())
            operator.inputs[place] = number
        self.result.append(operator)

    def _append(self, name: str, inputs: list[int], options: Any) -> int:
        """An operator whose result is a new float32 tensor of the shape of its first input."""
        output = self.graph.add_tensor(self.graph.shape(inputs[0]), np.float32)
        self.result.append(self.graph.operator(name, inputs, [output], options))
        return output

    def _is_equalized(self, operator: Any) -> bool:
        """Whether an operator multiplies the channels of a dense layer, as `equalize_residuals` lets it."""
        if operator is None or self.graph.name(operator) != "MUL":
            return False
        before = self.producers.get(int(operator.inputs[0]))
        return before is not None and self.graph.name(before) == "FULLY_CONNECTED"

    def _feeds(self, name: str, tensor: int) -> bool:
        """Whether an operator of this name, to be quantized too, reads a tensor."""
        return any(self.graph.name(o) == name and int(o.inputs[0]) == tensor for o in self.chosen)

    def _output_scale(self, name: str, inputs: list[int], output: int) -> Scale:
        if name in _SAME_SCALE:
            return self.scales[inputs[0]]
        if name == "SOFTMAX":  # TFLite fixes these two
            return Scale(1 / 256, -128)
        if name == "TANH":
            return Scale(1 / 128, 0)
        least, greatest = self._range(name, inputs, output)
        if any(self._is_equalized(reader) for reader in self.readers[output]):  # see `_add_integers`
            return Scale(max(-least, greatest, 1e-9) / 127.0, 0)
        return Scale.of(least, greatest)

    def _range(self, name: str, inputs: list[int], output: int) -> Range:
        """The range of an output; attention scores do not reach down to what the mask adds."""
        least, greatest = self.ranges[output]
        if name == "ADD" and self._feeds("SOFTMAX", output):
            least = max(least, self.ranges[inputs[0]][0] - _MASKED)
        return least, greatest

    def _dense(self, inputs: list[int]) -> list[int]:
        """Inputs of a dense layer: weights in int8, biases in int32."""
        graph = self.graph
        activations, weights = self._input(inputs[0]), graph.constant(inputs[1])
        assert weights is not None
        values, scale = quantize_rows(weights, per_row=False)
        small = graph.add_constant(values)
        graph.set_scale(small, scale, np.zeros(len(scale)))
        bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
        if bias is None:
            return [activations, small, -1]
        unit = scale.astype(np.float64) * self.scales[inputs[0]].scale
        integers = graph.add_constant(np.round(bias / unit).astype(np.int32))
        graph.set_scale(integers, unit, np.zeros(len(unit)))
        return [activations, small, integers]

    def _gelu(self, dense: Any, output: int) -> None:
        """A dense layer and its GELU, some columns at a time: indices into the table have 32 bits.

        Args:
            dense: the layer in float32.
            output: the GELU's.
        """
        graph = self.graph
        source = int(dense.outputs[0])
        *rows, width = graph.shape(source)
        scales = Scale.of(*self.ranges[source]), Scale.of(*self.ranges[output])
        table = self._gelu_table(*scales)
        activations, *numbers = self._dense([int(i) for i in dense.inputs])
        parts = []
        for columns in np.array_split(np.arange(width), max(1, round(width / _COLUMNS))):
            part, activated = (self._like([*rows, len(columns)], scale) for scale in scales)
            inputs = [activations, *(self._part(tensor, columns) for tensor in numbers)]
            self.result.append(graph.operator("FULLY_CONNECTED", inputs, [part], dense.builtinOptions))
            self._look_up(table, part, activated)
            parts.append(activated)
        if len(parts) == 1:
            self.scales[output], self.ready[output] = scales[1], parts[0]
            return
        options = schema.ConcatenationOptionsT()
        options.axis = len(rows)
        self.result.append(graph.operator("CONCATENATION", parts, [self._twin(output, scales[1])], options))

    def _part(self, tensor: int, rows: np.ndarray) -> int:
        """Some rows of a constant; of an input that is left out, the same."""
        values = self.graph.constant(tensor)
        if values is None:
            return tensor
        part = self.graph.add_constant(values[rows])
        self.graph.tensors[part].quantization = self.graph.tensors[tensor].quantization
        return part

    def _gelu_table(self, before: Scale, after: Scale) -> int:
        """The exact GELU of all 256 values."""
        x = (np.arange(-128, 128) - before.zero_point) * before.scale
        gelu = np.array([v * 0.5 * (1.0 + math.erf(v / math.sqrt(2.0))) for v in x])
        table = self.graph.add_constant(after.integers(gelu))
        self.graph.set_scale(table, np.array(after.scale), np.array(after.zero_point))
        return table

    def _look_up(self, table: int, source: int, output: int) -> None:
        graph = self.graph
        signed, index = (graph.add_tensor(graph.shape(source), np.int32) for _ in range(2))
        offset = graph.add_constant(np.array(128, np.int32))
        self.result += [
            graph.operator("CAST", [source], [signed], schema.CastOptionsT()),
            graph.operator("ADD", [signed, offset], [index], schema.AddOptionsT()),
            graph.operator("GATHER", [table, index], [output], schema.GatherOptionsT()),
        ]

    def _gather(self, operator: Any) -> None:
        """A lookup in a large float table becomes one in an int8 table."""
        graph = self.graph
        source, looked_up = int(operator.inputs[0]), int(operator.outputs[0])
        values = graph.constant(source)
        if values is not None and values.dtype == np.float32 and values.size >= SMALLEST:
            integers, scale = quantize_rows(values, per_row=False)
            if source not in self.tables:  # a token may have two rows of one table
                self.tables[source] = graph.add_constant(integers)
            rows = graph.add_tensor(graph.shape(looked_up), np.int8)
            for number in (self.tables[source], rows):
                graph.set_scale(number, scale, np.zeros(1))
            graph.replace(operator, source, self.tables[source])
            operator.outputs = np.array([rows], np.int32)
            self.result += [operator, graph.operator("DEQUANTIZE", [rows], [looked_up])]
        else:
            self.result.append(operator)
