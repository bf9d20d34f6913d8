"""The target "onnx": a float32 TFLite graph, operator by operator, as a file for ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import METADATA_NAME, Metadata, add_checksum, to_json

if TYPE_CHECKING:
    import onnx

OPSET = 18
IR_VERSION = 8  # what came with opset 18: older runtimes read no newer one
INPUT_NAME = "bytes"

_ACTIVATIONS = {0: "", 1: "Relu"}
_SAME = 0  # of a convolution's padding
_LEAST_NORM = np.float32(1e-6)  # of TFLite's L2_NORMALIZATION


def to_onnx(graph: Graph, metadata: Metadata) -> bytes:
    """An ONNX file of a float32 TFLite graph.

    Args:
        graph: for the target "mobile", not quantized.
        metadata: goes into the file's `metadata_props`, as `eelbert.json`.

    Returns:
        The file: int32 `[1, L]`, named `bytes`, to the graph's outputs under their names.

    Raises:
        InputError: the package `onnx` is not installed, or there is an operator that has no translation here.
    """
    try:
        from onnx import TensorProto, helper
    except ModuleNotFoundError as error:
        raise InputError(f"--target onnx needs {error.name}: pip install 'eelbert-tf[onnx]'") from None
    graph.prune()
    writer = _Writer(graph)
    for operator in graph.operators:
        writer.translate(operator)
    names = [writer.name(number) for number in graph.outputs]
    outputs = [
        helper.make_tensor_value_info(name, _type(graph.dtype(number)), graph.shape(number))
        for name, number in zip(names, graph.outputs, strict=True)
    ]
    given = helper.make_tensor_value_info(INPUT_NAME, TensorProto.INT32, [1, metadata.max_bytes])
    read = {name for node in writer.nodes for name in node.input}
    constants = [constant for constant in writer.constants if constant.name in read]  # others became attributes
    body = helper.make_graph(writer.nodes, "eelbert", [given], outputs, constants)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="eelbert-tf"
    )
    helper.set_model_props(model, {METADATA_NAME: to_json(metadata).decode("utf-8", "replace")})
    return add_checksum(model.SerializeToString())


def node_kinds(data: bytes) -> list[str]:
    """The kinds of nodes in an ONNX file, sorted."""
    import onnx

    return sorted({node.op_type for node in onnx.load_from_string(data).graph.node})


Translation: TypeAlias = "Callable[[_Writer, Any], str]"


class _Writer:
    """ONNX nodes for the operators of a TFLite graph.

    Args:
        graph: the graph.

    Attributes:
        nodes: `onnx.NodeProto` in the order they run.
        constants: `onnx.TensorProto`.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._names: dict[int, str] = {graph.inputs[0]: INPUT_NAME}
        self._outputs = dict(zip(graph.outputs, _output_names(graph), strict=True))

    def name(self, tensor: int) -> str:
        """The name of a tensor: of a constant, after it has been added."""
        if tensor not in self._names:
            values = self.graph.constant(tensor)
            assert values is not None, f"tensor {tensor} is read before it is computed"
            self._names[tensor] = self.constant(values)
        return self._names[tensor]

    def constant(self, values: np.ndarray | np.generic) -> str:
        """The name of a new constant."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def integers(self, values: int | Sequence[int] | np.ndarray) -> str:
        """The name of a new constant of shapes, axes or indices, which are int64 in ONNX."""
        return self.constant(np.asarray(values, np.int64))

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; the name of its output, or a list of several."""
        from onnx import helper

        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def shaped(self, name: str, shape: Sequence[int]) -> str:
        """A tensor in another shape."""
        return str(self.node("Reshape", name, self.integers(shape)))

    def translate(self, operator: Any) -> None:
        """Adds the nodes of an operator.

        Raises:
            InputError: its kind has no translation here.
        """
        kind = self.graph.name(operator)
        if kind not in TRANSLATIONS:
            raise InputError(f"--target onnx: the model has the operator {kind}, which has no translation to ONNX yet")
        found = TRANSLATIONS[kind](self, operator)
        activation = _ACTIVATIONS[getattr(operator.builtinOptions, "fusedActivationFunction", 0)]
        results = found if isinstance(found, list) else [self.node(activation, found) if activation else found]
        for tensor, name in zip(operator.outputs, results, strict=True):
            number = int(tensor)
            wanted = self._outputs.get(number)
            self._names[number] = name if wanted is None else self.node_named("Identity", wanted, name)

    def node_named(self, kind: str, name: str, *inputs: str) -> str:
        """Adds a node whose output has a name of its own."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name]))
        return name

    def inputs(self, operator: Any) -> list[str]:
        """Names of an operator's inputs."""
        return [self.name(int(number)) for number in operator.inputs]

    def values(self, operator: Any, place: int) -> np.ndarray:
        """An operator's input that is constant: axes or shapes."""
        values = self.graph.constant(int(operator.inputs[place]))
        assert values is not None, f"{self.graph.name(operator)}: input {place} is computed"
        return values

    def shape(self, operator: Any, place: int | None = None) -> tuple[int, ...]:
        """The shape of an operator's input, or of its first output."""
        return self.graph.shape(int(operator.outputs[0] if place is None else operator.inputs[place]))


def _type(dtype: np.dtype[Any]) -> int:
    """ONNX's number of a type."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _output_names(graph: Graph) -> list[str]:
    """Names of the outputs, as the signature of the file has them."""
    (signature,) = graph.model.signatureDefs
    names = {entry.tensorIndex: entry.name.decode() for entry in signature.outputs}
    return [names[number] for number in graph.outputs]


def _same(kind: str, **attributes: Any) -> Translation:
    """The translation of an operator that ONNX has as it is."""
    return lambda writer, operator: writer.node(kind, *writer.inputs(operator), **attributes)


def _reduce(kind: str) -> Translation:
    def reduced(writer: _Writer, operator: Any) -> str:
        axes = writer.integers(writer.values(operator, 1).reshape(-1))
        found = writer.node(kind, writer.inputs(operator)[0], axes, keepdims=int(operator.builtinOptions.keepDims))
        return str(found)

    return reduced


def _reshape(writer: _Writer, operator: Any) -> str:
    return writer.shaped(writer.name(int(operator.inputs[0])), writer.shape(operator))


def _cast(writer: _Writer, operator: Any) -> str:
    return str(writer.node("Cast", *writer.inputs(operator), to=_type(writer.graph.dtype(int(operator.outputs[0])))))


def _dense(writer: _Writer, operator: Any) -> str:
    x, weights, *bias = (int(number) for number in operator.inputs)
    turned = writer.node("Transpose", writer.name(weights), perm=[1, 0])
    columns = writer.graph.shape(weights)[1]
    product = writer.node("MatMul", writer.shaped(writer.name(x), (-1, columns)), turned)
    if bias and bias[0] >= 0:
        product = writer.node("Add", product, writer.name(bias[0]))
    return writer.shaped(product, writer.shape(operator))


def _matmul(writer: _Writer, operator: Any) -> str:
    options = operator.builtinOptions
    sides = []
    for number, turned in zip(operator.inputs, (options.adjX, options.adjY), strict=True):
        name, axes = writer.name(int(number)), list(range(len(writer.graph.shape(int(number)))))
        sides.append(writer.node("Transpose", name, perm=[*axes[:-2], axes[-1], axes[-2]]) if turned else name)
    return str(writer.node("MatMul", *sides))


def _convolution(writer: _Writer, operator: Any) -> str:
    """TFLite has the channels last, ONNX has them second."""
    options, (x, kernel, *bias) = operator.builtinOptions, writer.inputs(operator)
    attributes: dict[str, Any] = {
        "strides": [options.strideH, options.strideW],
        "dilations": [options.dilationHFactor, options.dilationWFactor],
        "auto_pad": "SAME_UPPER" if options.padding == _SAME else "VALID",
    }
    x, kernel = (writer.node("Transpose", name, perm=[0, 3, 1, 2]) for name in (x, kernel))
    return str(writer.node("Transpose", writer.node("Conv", x, kernel, *bias, **attributes), perm=[0, 2, 3, 1]))


def _slice(writer: _Writer, operator: Any) -> str:
    shape = writer.shape(operator)
    begin = writer.values(operator, 1).astype(np.int64)
    ends = writer.integers(begin + shape)
    return str(writer.node("Slice", writer.inputs(operator)[0], writer.integers(begin), ends))


def _strided_slice(writer: _Writer, operator: Any) -> str:
    options, size = operator.builtinOptions, writer.shape(operator, 0)
    begin, end, step = (writer.values(operator, place).astype(np.int64) for place in (1, 2, 3))
    for axis in range(len(begin)):
        forwards = step[axis] > 0
        if options.beginMask >> axis & 1:
            begin[axis] = 0 if forwards else size[axis] - 1
        if options.shrinkAxisMask >> axis & 1:
            end[axis] = begin[axis] + 1 if begin[axis] != -1 else size[axis]
        elif options.endMask >> axis & 1:
            end[axis] = size[axis] if forwards else -size[axis] - 1
    axes = writer.integers(range(len(begin)))
    where = [writer.integers(values) for values in (begin, end)]
    return writer.shaped(
        writer.node("Slice", writer.inputs(operator)[0], *where, axes, writer.integers(step)), writer.shape(operator)
    )


def _scatter(writer: _Writer, operator: Any) -> str:
    """TFLite adds up what falls on one place, and so does the reduction."""
    indices, updates, _ = (int(number) for number in operator.inputs)
    zero = np.zeros(writer.shape(operator), writer.graph.dtype(updates))
    places = writer.node("Cast", writer.name(indices), to=_type(np.dtype(np.int64)))
    return str(writer.node("ScatterND", writer.constant(zero), places, writer.name(updates), reduction="add"))


def _pad(writer: _Writer, operator: Any) -> str:
    amounts = writer.values(operator, 1)  # [axes, 2]
    return str(writer.node("Pad", writer.inputs(operator)[0], writer.integers(amounts.T.reshape(-1))))


def _gather(writer: _Writer, operator: Any) -> str:
    assert not operator.builtinOptions.batchDims
    return str(writer.node("Gather", *writer.inputs(operator), axis=operator.builtinOptions.axis))


def _rsqrt(writer: _Writer, operator: Any) -> str:
    return str(writer.node("Reciprocal", writer.node("Sqrt", *writer.inputs(operator))))


def _gelu(writer: _Writer, operator: Any) -> str:
    """The exact GELU, x times the normal distribution's cumulative function."""
    (x,) = writer.inputs(operator)
    half, root = (writer.constant(np.float32(value)) for value in (0.5, math.sqrt(0.5)))
    erf = writer.node("Erf", writer.node("Mul", x, root))
    whole = writer.node("Add", writer.node("Mul", erf, half), half)
    return str(writer.node("Mul", x, whole))


def _cumsum(writer: _Writer, operator: Any) -> str:
    options, axis = operator.builtinOptions, writer.integers(writer.values(operator, 1).reshape(()))
    flags = {"exclusive": int(options.exclusive), "reverse": int(options.reverse)}
    return str(writer.node("CumSum", writer.inputs(operator)[0], axis, **flags))


def _transpose(writer: _Writer, operator: Any) -> str:
    return str(writer.node("Transpose", writer.inputs(operator)[0], perm=writer.values(operator, 1).tolist()))


def _not_equal(writer: _Writer, operator: Any) -> str:
    return str(writer.node("Not", writer.node("Equal", *writer.inputs(operator))))


def _split(writer: _Writer, operator: Any) -> list[str]:
    axis, count = int(writer.values(operator, 0).reshape(())), len(operator.outputs)
    found = writer.node("Split", writer.inputs(operator)[1], outputs=count, axis=axis, num_outputs=count)
    return found if isinstance(found, list) else [found]


def _unpack(writer: _Writer, operator: Any) -> list[str]:
    axis, x = operator.builtinOptions.axis, writer.inputs(operator)[0]
    return [writer.node("Gather", x, writer.integers(i), axis=axis) for i in range(len(operator.outputs))]


def _pack(writer: _Writer, operator: Any) -> str:
    axis = operator.builtinOptions.axis
    wide = [writer.node("Unsqueeze", name, writer.integers([axis])) for name in writer.inputs(operator)]
    return str(writer.node("Concat", *wide, axis=axis))


def _concatenate(writer: _Writer, operator: Any) -> str:
    return str(writer.node("Concat", *writer.inputs(operator), axis=operator.builtinOptions.axis))


def _l2_normalize(writer: _Writer, operator: Any) -> str:
    (x,) = writer.inputs(operator)
    norm = writer.node("ReduceL2", x, writer.integers([-1]), keepdims=1)
    return str(writer.node("Div", x, writer.node("Max", norm, writer.constant(_LEAST_NORM))))


TRANSLATIONS: dict[str, Callable[[_Writer, Any], Any]] = {
    **{name: _same(name.title()) for name in ("ABS", "ADD", "DIV", "EQUAL", "EXP", "FLOOR", "GREATER", "LESS", "MUL")},
    **{name: _same(name.title()) for name in ("NEG", "RELU", "SQRT", "SUB", "TANH")},
    "BATCH_MATMUL": _matmul,
    "CAST": _cast,
    "CONCATENATION": _concatenate,
    "CONV_2D": _convolution,
    "CUMSUM": _cumsum,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _dense,
    "GATHER": _gather,
    "GELU": _gelu,
    "GREATER_EQUAL": _same("GreaterOrEqual"),
    "L2_NORMALIZATION": _l2_normalize,
    "LESS_EQUAL": _same("LessOrEqual"),
    "LOGISTIC": _same("Sigmoid"),
    "MAXIMUM": _same("Max"),
    "MEAN": _reduce("ReduceMean"),
    "MINIMUM": _same("Min"),
    "NOT_EQUAL": _not_equal,
    "PACK": _pack,
    "PAD": _pad,
    "REDUCE_MAX": _reduce("ReduceMax"),
    "RESHAPE": _reshape,
    "RSQRT": _rsqrt,
    "SCATTER_ND": _scatter,
    "SELECT": _same("Where"),
    "SELECT_V2": _same("Where"),
    "SLICE": _slice,
    "SOFTMAX": _same("Softmax", axis=-1),
    "SPLIT": _split,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduce("ReduceSum"),
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
