"""Smaller numbers and the target micro: what they change, what they leave alone, and TFLite Micro's own interpreter."""

from __future__ import annotations

import builtins
import functools
import json
import os
from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from eelbert_tf import EelbertBackbone, EelbertClassifier, InputError, encode_texts
from eelbert_tf.__main__ import main
from eelbert_tf.scores import Outputs
from eelbert_tf.text.strings import to_bytes
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion import micro, quantize_int8
from eelbert_tf.tflite.conversion.compare import Tolerance, compare
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.export import normalize, to_concrete_function, translate
from eelbert_tf.tflite.conversion.quantize import quantize_rows
from eelbert_tf.tflite.conversion.quantize_int8 import Scale
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.small_models import CONFIGS, LABELS, converted, saved

KIB = 1024
VARIANTS: dict[str, dict[str, Any]] = {
    "float16": {"quantize": "float16"},
    "dynamic": {"quantize": "dynamic"},
    "int8": {"quantize": "int8"},
    "micro": {"target": "micro"},
    "micro-int8": {"target": "micro", "quantize": "int8"},
}
# TFLite Micro has none of these, at least not for the types in question.
MISSING_IN_MICRO = {"GELU", "ONE_HOT", "SELECT", "SELECT_V2", "TILE", "RANGE", "ERF", "POW", "WHERE"}


def calibration(pair: bool) -> list:
    return hard_inputs(pair, 60, seed=5)


@functools.cache
def logits_of_uno() -> tuple[list, np.ndarray]:
    """Texts, and what the model itself makes of them."""
    texts = hard_inputs(False, 150, seed=8)
    return texts, np.asarray(EelbertClassifier.from_preset(saved("uno"), max_tokens=32, max_bytes=128)(texts))


def variant(model: str, name: str):
    """A converted file and its report."""
    options = VARIANTS[name]
    if name == "micro-int8":
        options = {**options, "calibration": tuple(calibration(model.startswith("pair")))}
    return converted(model, **options)


@pytest.mark.parametrize(
    ("name", "largest", "difference"),
    [
        ("float16", 500_000, 2e-3),
        ("dynamic", 325_000, 0.1),
        ("int8", 300_000, 0.1),
        ("micro", 950_000, 1e-5),
        ("micro-int8", 280_000, 0.3),
    ],
)
def test_uno_is_small_and_true(name, largest, difference):
    """Sizes, and logits on other texts than the conversion tried itself."""
    path, report = variant("uno", name)
    assert report["bytes"] == path.stat().st_size <= largest
    assert report["argmax_agreement"] >= 0.95
    texts, expected = logits_of_uno()
    assert np.abs(EelbertRuntime(path).predict(texts) - expected).max() < difference


@pytest.mark.parametrize("model", ["uno", "pair", "means", "codes", "pair_means"])
@pytest.mark.parametrize("name", ["micro", "micro-int8"])
def test_tflite_micro_runs_it(model, name):
    """TFLite Micro gives LiteRT's logits: equal for float, within the rounding of a few steps for int8."""
    path, report = variant(model, name)
    assert not MISSING_IN_MICRO & set(report["ops"])
    texts = hard_inputs(model.startswith("pair"), 60, seed=6)
    micro_logits, logits = (runtime(path).predict(texts) for runtime in (TflmRuntime, EelbertRuntime))
    assert np.abs(micro_logits - logits).max() < (1e-5 if name == "micro" else 0.25)
    assert report["tflm_max_abs_diff"] < (1e-5 if name == "micro" else 0.5)


def test_arena():
    """The figure that a firmware developer needs: with all in int8 it fits into 96 KiB."""
    path, report = variant("uno", "micro-int8")
    assert TflmRuntime(path).arena_bytes() == report["arena_bytes"] <= 96 * KIB
    assert report["arena_bytes"] > 32 * 128  # not less than one activation
    operators = len(Graph(path.read_bytes()).operators)  # each has tensors, and these have pointers of 4 bytes less
    assert 32 * operators < report["arena_bytes"] - report["arena_bytes_32_bit"] < 80 * operators


@pytest.mark.parametrize("name", VARIANTS)
def test_front_end_is_never_quantized(name):
    """The split's kernels stay float32 and hash arithmetic int32; only what follows is stored or computed smaller."""
    graph = Graph(variant("uno", name)[0].read_bytes())
    kinds: dict[str, set[str]] = {"CONV_2D": set(), "CUMSUM": set()}
    for operator in graph.operators:
        if graph.name(operator) in kinds:
            kinds[graph.name(operator)].update(str(graph.dtype(int(i))) for i in operator.inputs[:2])
    assert kinds == {"CONV_2D": {"float32"}, "CUMSUM": {"float32", "int32"}}
    wraps = [o for o in graph.operators if graph.name(o) == "MUL" and str(graph.dtype(int(o.outputs[0]))) == "int32"]
    assert len(wraps) >= 3  # one for each order of n-gram at least


@pytest.mark.parametrize("name", ["int8", "micro-int8"])
def test_codes_and_books_are_bytes(name):
    """A lexicon takes one byte for each code and each number of a book, and nothing besides."""
    path, report = variant("codes", name)
    graph = Graph(path.read_bytes())
    constants = [t for t in range(len(graph.tensors)) if graph.is_constant(t)]
    kinds = {(tuple(graph.shape(t)), str(graph.dtype(t))) for t in constants}
    assert {((2**17, 3), "int8"), ((3 * 256, 2), "int8")} <= kinds
    assert sum(2**17 in graph.shape(t) for t in constants) == 1
    assert report["bytes"] < 3 * 2**17 + 256 * 6 + 64 * KIB


def dense_layers(graph: Graph) -> list[Any]:
    """The model's own: neither sums over a row, which have one output, nor what splits bytes."""
    dense = [o for o in graph.operators if graph.name(o) == "FULLY_CONNECTED"]
    split = graph.downstream(int(o.inputs[0]) for o in graph.operators if graph.name(o) == "CUMSUM")
    return [o for o in dense if graph.shape(int(o.inputs[1]))[0] > 1 and int(o.outputs[0]) in split]


@pytest.mark.parametrize("name", [*VARIANTS, "none"])
def test_shared_weights_are_stored_once(name):
    """Two layers with one block's weights: each of its six dense layers reads one tensor twice."""
    path = (variant("means", name) if name in VARIANTS else converted("means"))[0]
    graph = Graph(path.read_bytes())
    uses = Counter(int(o.inputs[1]) for o in dense_layers(graph))
    assert sorted(uses.values())[-6:] == [2] * 6


def test_int8_is_int8():
    """Dense layers but the last compute in int8, normalisations in float32, as does the output, for every runtime."""
    graph = Graph(variant("uno", "micro-int8")[0].read_bytes())
    norms = [str(graph.dtype(int(o.outputs[0]))) for o in graph.operators if graph.name(o) == "L2_NORMALIZATION"]
    assert norms == ["float32"] * 5  # of the embeddings, and two for each block
    dense = [str(graph.dtype(int(o.outputs[0]))) for o in dense_layers(graph)]
    assert dense[:-1] == ["int8"] * (len(dense) - 1)
    assert dense[-1] == "float32"
    assert [str(graph.dtype(i)) for i in graph.outputs] == ["float32"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "micro", "quantize": "float16"}, "choose none or int8"),
        ({"target": "micro", "quantize": "dynamic"}, "choose none or int8"),
        ({"target": "micro", "quantize": "int8"}, "--calibrate"),
        ({"target": "micro", "quantize": "int8", "calibration": ["one"]}, "Received: 1 texts"),
        ({"target": "micro", "quantize": "int8", "calibration": calibration(True)}, "takes single texts"),
    ],
)
def test_refusals(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        convert(saved("small"), tmp_path / "a.tflite", **options)
    assert os.listdir(tmp_path) == []


def test_tflite_micro_says_what_it_lacks(capfd):
    """A file for phones has operators that it does not know."""
    with pytest.raises(InputError, match="SCATTER_ND"):
        TflmRuntime(converted("small")[0])
    assert "SCATTER_ND" not in capfd.readouterr().err  # in the message, not beside it


def test_without_tflite_micro(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "tflite_micro":
            raise ImportError(name)
        return real(name, *arguments, **options)

    path = variant("pair", "micro")[0]
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"eelbert-tf\[micro\]"):
        TflmRuntime(path)


def test_labels_are_inside():
    assert TflmRuntime(variant("pair", "micro")[0]).metadata.labels == LABELS


def test_gelu_of_simple_operators():
    x = np.linspace(-12, 12, 4801, dtype=np.float32)
    np.testing.assert_allclose(micro.gelu(x), ops.gelu(x, approximate=False), rtol=0, atol=1e-6)


def test_wide_gelus_are_computed_in_parts(monkeypatch):
    """In less memory, to the same logits; the parts of shared layers are stored once as well."""
    texts = encode_texts(calibration(False), 64)
    files = []
    for columns in (1000, 4):
        monkeypatch.setattr(quantize_int8, "_COLUMNS", columns)
        model = EelbertClassifier.from_preset(saved("means"))
        files.append(micro.to_micro(model, "int8", texts)[0].to_bytes())
    whole, parts = (Graph(data) for data in files)
    more = Counter(parts.name(o) for o in parts.operators) - Counter(whole.name(o) for o in whole.operators)
    assert set(more) >= {"FULLY_CONNECTED", "CONCATENATION", "CAST", "GATHER"}
    assert len(files[1]) - len(files[0]) < 300 * sum(more.values())
    from ai_edge_litert.interpreter import Interpreter

    runs = [Interpreter(model_content=data).get_signature_runner() for data in files]
    for row in texts[:20]:
        np.testing.assert_array_equal(*(run(bytes=row[None])["logits"] for run in runs))


def test_normalize_is_layer_normalization():
    layer = keras.layers.LayerNormalization(epsilon=1e-12)
    x = np.random.default_rng(0).normal(3, 2, (2, 5, 8)).astype(np.float32)
    layer.build(x.shape)
    layer.gamma.assign(np.linspace(-1, 2, 8))
    layer.beta.assign(np.linspace(5, 6, 8))
    np.testing.assert_allclose(normalize(layer, x), layer(x), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("least", "greatest"), [(-1.0, 3.0), (2.0, 5.0), (-9.0, -1.0), (0.0, 0.0)])
def test_scale(least, greatest):
    """Zero is exact, and the ends of the range are within half a step."""
    scale = Scale.of(least, greatest)
    values = np.array([0.0, least, greatest])
    back = (scale.integers(values).astype(int) - scale.zero_point) * scale.scale
    assert back[0] == 0
    assert np.abs(back - values).max() <= scale.scale * 0.51


def test_rows_have_scales_of_their_own():
    weights = np.array([[1.0, -2.0], [100.0, 50.0], [0.0, 0.0]], np.float32)
    integers, scale = quantize_rows(weights)
    np.testing.assert_allclose(integers * scale[:, None], weights, atol=0.5)
    assert integers[0].tolist() == [64, -127]
    assert quantize_rows(weights, per_row=False)[1].shape == (1,)


def test_graph_survives_changes():
    """Order and unused parts change; results do not."""
    path, report = converted("small")
    graph = Graph(path.read_bytes())
    graph.add_constant(np.zeros(5000, np.float32))  # that nothing reads
    before = len(graph.operators)
    graph.schedule()
    data = graph.to_bytes()
    assert len(Graph(data).operators) == before
    assert abs(len(data) - report["bytes"]) < 200
    from ai_edge_litert.interpreter import Interpreter

    logits = []
    for content in (data, path.read_bytes()):
        run = Interpreter(model_content=content).get_signature_runner()
        logits.append(run(bytes=encode_texts(["Turn on the lights"], 64))["logits"])
    np.testing.assert_array_equal(*logits)


def test_schedule_saves_memory():
    """The converter computes all columns of the hash before it uses the first."""
    model = EelbertClassifier.from_preset(saved("uno"), max_tokens=32, max_bytes=128)
    micro.prepare(model, "int8")
    graph = Graph(translate(model, to_concrete_function(model)))
    before = graph.memory()[0]
    graph.schedule()
    assert graph.memory()[0] < 0.9 * before


def test_calibration_must_be_like_the_texts(tmp_path):
    """Forty empty texts are no sample: others lie outside their ranges, and the file is refused."""
    narrow = [""] * 40
    with pytest.raises(InputError, match="not as good as its model"):
        convert(saved("small"), tmp_path / "a.tflite", target="micro", quantize="int8", calibration=narrow)
    assert os.listdir(tmp_path) == []


def test_int8_of_many_classes_is_judged_by_its_own_texts(tmp_path):
    """Hard texts lie between classes that are as good as equal, where rounding decides: nothing against the file."""
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    model = EelbertClassifier(EelbertBackbone(CONFIGS["small"]), 60)
    for weight in model.weights:
        spread = 0.2 if len(weight.shape) < 2 else 1.0 if "position" in weight.path else weight.shape[0] ** -0.5
        weight.assign(np.asarray(weight) + rng.normal(0, spread, weight.shape).astype(np.float32))
    logits = np.asarray(model(hard_inputs(False, 200)))
    model.classifier.bias.assign(np.asarray(model.classifier.bias) - logits.mean(axis=0))  # no class wins by itself
    texts = [f"start the {''.join(rng.choice(list('abcdefghij'), 4))} now" for _ in range(60)]
    report = convert(model, tmp_path / "a.tflite", target="micro", quantize="int8", calibration=texts)
    assert report["argmax_agreement"] < 0.8  # of all hard texts
    assert report["calibration_argmax_agreement"] > 0.95
    assert report["calibration_texts_checked"] == len(texts)


def test_texts_count_where_the_model_is_decided():
    """A class that changes counts where the margin is wide, and a file that gives other classes is refused."""

    class Fixed:
        backbone = type("Backbone", (), {"config": CONFIGS["small"]})
        metadata = type("Metadata", (), {"outputs": Outputs("classification", 3)})
        target_unit = None

        def __init__(self, logits: np.ndarray) -> None:
            self.logits = logits

        def __call__(self, rows: np.ndarray, training: bool) -> np.ndarray:
            return self.logits[rows[:, 0]]

        def predict_bytes(self, rows: np.ndarray) -> np.ndarray:
            return self.logits[rows[:, 0]]

    texts = [bytes([i]) for i in range(100)]
    close = np.tile(np.array([[1.0, 1.01, 0.0]], np.float32), (100, 1))
    clear = np.where(np.arange(100)[:, None] < 50, close, np.array([[0.0, 1.0, -1.0]], np.float32))
    tolerance = Tolerance(1.5, 0.2, 0.9, 0.0)
    report = compare(Fixed(clear), Fixed(clear - [[0.0, 0.02, 0.0]]), texts, tolerance)
    assert report["argmax_agreement"] == 0.5
    with pytest.raises(InputError, match="of the 50 with a clear class 0.0% get the same"):
        compare(Fixed(clear), Fixed(clear[:, [1, 0, 2]]), texts, tolerance)
    with pytest.raises(InputError, match=r"outputs differ by up to "):
        compare(Fixed(clear), Fixed(clear + 2), texts, tolerance)


def test_errors_of_layers():
    """Every step that computes in int8 is in the report, by its layer's name, with an error that is small and not 0."""
    _, report = variant("uno", "micro-int8")
    errors = {(row["layer"], row["operator"]): row["error"] for row in report["layer_errors"]}
    for block in ("block_0", "block_1"):
        for layer in ("query", "key", "value", "attention_output", "output"):
            assert 0 < errors[f"{block}/{layer}", "FULLY_CONNECTED"] < 0.3
        assert 0 < errors[block, "GELU"] < 0.3
        assert 0 < errors[block, "SOFTMAX"] < 0.3
    assert errors["block_0/query", "FULLY_CONNECTED"] < errors["block_1/query", "FULLY_CONNECTED"]
    assert "layer_errors" not in variant("uno", "micro")[1]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        (b"backbone_1/norm_1/add_1;backbone_1/block_0_1/query_1/Tensordot", "block_0/query"),
        (b"backbone_1/block_0_1/add;backbone_1/block_0_1/output_1/BiasAdd;Const_10", "block_0/output"),
        (b"backbone_1/block_0_13/MatMul", "block_0"),
        (b"backbone/add_18", "backbone"),
        (b"", "backbone"),
        (None, "backbone"),
    ],
)
def test_layer_of_a_tensor(name, layer):
    assert quantize_int8.layer_of(name, ["backbone", "block_0", "query", "norm", "output"]) == layer


def test_commands(capsys, tmp_path):
    """`convert --calibrate --test` for the target micro, then `evaluate` in TFLite Micro."""
    texts, table, output = (tmp_path / name for name in ("texts.txt", "test.csv", "a.tflite"))
    hard = [to_bytes(text).decode("utf-8", "ignore") for text in calibration(False)]
    texts.write_text("\n".join(text.translate({0: " ", 10: " "}) for text in hard), "utf-8")
    table.write_text(f"text,label\nhello,{LABELS[0]}\nbye,{LABELS[1]}\n")
    options = ["--target", "micro", "--quantize", "int8", "--calibrate", texts, "--test", table, "--output", output]
    assert main(["convert", "--model", str(saved("small")), *map(str, options)]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(report["test"]) == {"tflm", "keras"}
    assert main(["evaluate", "--model", str(output), "--test", str(table), "--runtime", "tflm"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["accuracy"] == report["test"]["tflm"]["accuracy"]
    assert (result["n"], result["runtime"]) == (2, "tflm")
