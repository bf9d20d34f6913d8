"""Versions of operators: those that TensorFlow's own rules give, so that runtimes too old for a file refuse it."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf import InputError
from eelbert_tf.saving.folders import preset_file, preset_names
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.options import check_runtime
from eelbert_tf.tflite.conversion.quantize import quantize_rows
from eelbert_tf.tflite.flatbuffer.file import operator_name, pack, parse
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import runtime_name
from eelbert_tf.tflite.flatbuffer.versions import min_runtime, set_versions
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests.small_models import LABELS, converted, saved

CALIBRATION = tuple(hard_inputs(False, 60, seed=5))
VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float16": {"quantize": "float16"},
    "dynamic": {"quantize": "dynamic"},
    "int8": {"quantize": "int8"},
    "dynamic for 2.14": {"quantize": "dynamic", "compatible": "tflite-2.14"},
    "int8 for 2.14": {"quantize": "int8", "compatible": "tflite-2.14"},
    "micro": {"target": "micro"},
    "micro int8": {"target": "micro", "quantize": "int8", "calibration": CALIBRATION},
}


def tensorflows_own(function: str, data: bytes) -> bytes:
    """A TFLite file as one of TensorFlow's own functions leaves it."""
    tf = pytest.importorskip("tensorflow")
    library = Path(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")
    if not library.is_file() or not hasattr(ctypes.CDLL(str(library)), function):
        pytest.skip("this TensorFlow does not show the function")
    buffer = ctypes.create_string_buffer(data, len(data))
    getattr(ctypes.CDLL(str(library)), function)(buffer)
    return buffer.raw


def versions(data: bytes) -> list[tuple[str, int]]:
    """Each operator of a file with its version."""
    model = parse(data)
    operators = (operator for graph in model.subgraphs for operator in graph.operators)
    codes = [model.operatorCodes[operator.opcodeIndex] for operator in operators]
    return [(operator_name(code), code.version) for code in codes]


def recomputed(data: bytes) -> list[tuple[str, int]]:
    """The same with the versions that TensorFlow gives: each operator gets a code of its own, of version 0, first."""
    model = parse(data)
    codes = []
    for number, operator in enumerate(operator for graph in model.subgraphs for operator in graph.operators):
        known, code = model.operatorCodes[operator.opcodeIndex], schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = known.builtinCode, known.deprecatedBuiltinCode, 0
        codes.append(code)
        operator.opcodeIndex = number
    model.operatorCodes = codes
    return versions(tensorflows_own("_ZN6tflite15UpdateOpVersionEPh", pack(model)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_versions_are_tensorflows(variant: str) -> None:
    """Of every operator of every kind of file, and the oldest runtime that the file names."""
    path, report = converted("uno", **VARIANTS[variant])
    data = path.read_bytes()
    assert versions(data) == recomputed(data)
    assert tensorflows_own("_ZN6tflite35UpdateMinimumRuntimeVersionForModelEPh", data) == data
    named = [m for m in parse(data).metadata if m.name == b"min_runtime_version"]
    (text,) = (bytes(parse(data).buffers[entry.buffer].data).rstrip(b"\0").decode() for entry in named)
    assert text == report["min_runtime"]


@pytest.mark.parametrize("name", [name for name in preset_names() if preset_file(name)])
def test_versions_of_preset_files(name: str) -> None:
    path = preset_file(name)
    assert path is not None
    assert versions(path.read_bytes()) == recomputed(path.read_bytes())


def test_a_scale_for_each_output_needs_version_12() -> None:
    """Float inputs and int8 weights with several scales: runtimes before 2.17 would read the first alone."""
    path, report = converted("uno", quantize="int8")
    graph = Graph(path.read_bytes())
    seen: Counter[tuple[bool, int]] = Counter()
    for operator in graph.operators:
        if graph.name(operator) == "FULLY_CONNECTED" and str(graph.dtype(int(operator.inputs[1]))) == "int8":
            scales = graph.tensors[int(operator.inputs[1])].quantization.scale
            seen[len(scales) > 1, graph.version(operator)] += 1
    assert set(seen) == {(True, 12)}
    assert report["min_runtime"] == "2.17.0"


@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_files_for_older_runtimes(quantize: str) -> None:
    """One scale for a layer; the answers are the model's within the usual tolerance."""
    path, report = converted("uno", quantize=quantize, compatible="tflite-2.14")
    assert tuple(map(int, report["min_runtime"].split("."))) <= (2, 14, 0)
    graph = Graph(path.read_bytes())
    for operator in graph.operators:
        if graph.name(operator) == "FULLY_CONNECTED" and str(graph.dtype(int(operator.inputs[1]))) == "int8":
            assert len(graph.tensors[int(operator.inputs[1])].quantization.scale) == 1
            assert graph.version(operator) < 12
    texts = hard_inputs(False, 60, seed=9)
    newer = EelbertRuntime(converted("uno", quantize=quantize)[0]).predict(texts)
    found = EelbertRuntime(path).predict(texts)
    assert 0 < np.abs(found - newer).max() < 0.1
    assert EelbertRuntime(path).metadata.labels == LABELS


def test_options(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    with pytest.raises(InputError, match=r"--compatible: expected one of tflite-2\.14\. Received: 'tflite-1\.0'"):
        convert(saved("small"), path, compatible="tflite-1.0")
    with pytest.raises(InputError, match="--compatible is for --target mobile"):
        convert(saved("small"), path, target="micro", compatible="tflite-2.14")
    with pytest.raises(InputError, match=r"needs TensorFlow Lite 2\.17\.0: it cannot be made for tflite-2\.14"):
        check_runtime((2, 17), "tflite-2.14")
    check_runtime((2, 14), "tflite-2.14")
    check_runtime((2, 17), None)


def test_versions_of_operators_that_come_and_change() -> None:
    """Made by hand, with types and shapes that few conversions write; TensorFlow's rules are asked again."""
    path, _ = converted("uno")
    graph = Graph(path.read_bytes())
    source = graph.inputs[0]
    shape = graph.shape(source)
    floats, bytes8 = graph.add_tensor(shape, np.float32), graph.add_tensor(shape, np.int8)
    graph.set_scale(bytes8, np.array(0.5), np.zeros(1))
    back, absolute, wide, turned = (graph.add_tensor(s, np.float32) for s in (shape, shape, (1,) * 6, (1,) * 6))
    weights, scales = quantize_rows(np.ones((4, shape[1]), np.float32))
    small, result = graph.add_constant(weights), graph.add_tensor((1, 4), np.float32)
    graph.set_scale(small, scales, np.zeros(4))
    axes = graph.add_constant(np.arange(6, dtype=np.int32))
    half, whole = graph.add_constant(np.zeros((4, 4), np.float16)), graph.add_tensor((4, 4), np.float32)
    added = [
        graph.operator("CAST", [source], [floats], schema.CastOptionsT()),
        graph.operator("QUANTIZE", [floats], [bytes8], schema.QuantizeOptionsT()),
        graph.operator("DEQUANTIZE", [bytes8], [back], schema.DequantizeOptionsT()),
        graph.operator("DEQUANTIZE", [half], [whole], schema.DequantizeOptionsT()),
        graph.operator("ABS", [source], [absolute], schema.AbsOptionsT()),
        graph.operator("TRANSPOSE", [wide, axes], [turned], schema.TransposeOptionsT()),
        graph.operator("MAXIMUM", [wide, back], [turned], schema.MaximumMinimumOptionsT()),
        graph.operator("SUB", [wide, back], [turned], schema.SubOptionsT()),
        graph.operator("FULLY_CONNECTED", [back, small], [result], schema.FullyConnectedOptionsT()),
    ]
    graph.operators.extend(added)
    set_versions(graph)
    assert [graph.version(operator) for operator in added] == [1, 1, 2, 3, 5, 6, 3, 3, 12]
    assert runtime_name(min_runtime(graph)) == "2.17.0"
    assert recomputed(pack(graph.model))[-len(added) :] == [(graph.name(o), graph.version(o)) for o in added]
