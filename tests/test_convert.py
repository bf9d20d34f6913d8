"""Conversion to TFLite: the file gives the model's logits, with builtin operators only, or it is not written."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf import HashConfig, InputError, encode_texts
from eelbert_tf.__main__ import main
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.layers import HashLexicon, NgramHashEmbedding
from eelbert_tf.text import splitting
from eelbert_tf.tflite.checks.hard_texts import hard_inputs, hard_texts
from eelbert_tf.tflite.conversion import convert as convert_module
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.export import merge_added_constants
from eelbert_tf.tflite.flatbuffer.file import operators, pack, parse
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.models import KerasModel
from tests.small_models import CONFIGS, LABELS, converted, saved


def test_hard_texts_are_hard():
    """Everything that the conversion promises to try is among the texts, and a seed fixes them."""
    texts = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in hard_texts()]
    assert len(texts) >= 500
    assert hard_texts() == hard_texts()
    assert b"" in texts
    assert max(map(len, texts)) >= 10_000
    assert any(b"\0" in text.rstrip(b"\0") for text in texts)
    for piece in ("😀", "中", "“", "’"):
        assert any(piece.encode() in text for text in texts)
    assert sum(text != text.decode("utf-8", "ignore").encode() for text in texts) > 50


@pytest.mark.parametrize("name", ["small", "pair", "regression", "means", "codes", "pair_means", "uno"])
def test_logits_equal_keras_on_strings(name):
    """LiteRT on bytes against Keras on strings, on other hard texts than the conversion tried itself."""
    path, report = converted(name)
    model = EelbertClassifier.from_preset(saved(name))
    texts = hard_inputs(name.startswith("pair"), 500, seed=3)
    expected = np.asarray(model(texts))
    found = EelbertRuntime(path).predict(texts)
    assert np.ptp(expected, axis=0).min() > 0.1  # the texts do differ for the model
    assert np.abs(found - expected).max() <= 1e-5
    assert report["max_abs_diff"] <= 1e-5
    assert report["argmax_agreement"] >= 0.995
    assert report["texts_checked"] >= 500


@pytest.mark.parametrize("name", ["small", "pair"])
def test_scattered_sums(name):
    """Adding rows one by one, as files for phones do, gives what the product with the membership gives."""
    config = CONFIGS[name]
    layer = NgramHashEmbedding(config.hash, config.max_tokens, config.max_bytes, pair=name == "pair")
    data = encode_texts(hard_inputs(name == "pair", 100, seed=4), config.max_bytes)
    expected = layer(data)["embeddings"]
    layer.scatter = True
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(layer(data)["embeddings"], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("size", "lookups", "length"), [(2, 1, 200), (64, 2, 200), (4096, 2, 128), (64, 1, 60)])
@pytest.mark.parametrize("scatter", [True, False])
def test_rows_of_slots(size, lookups, length, scatter):
    """The rows that exported files look up are those of training, bit for bit, for long tokens too."""
    config = HashConfig(boundaries=True)
    words = [b" ".join([b"a" * n, b"bc" * (n // 2)]) for n in (62, 63, 64, 65, 66, 90, 130)]
    hard = hard_inputs(False, 100, seed=5)
    data = np.concatenate([encode_texts(words, length), encode_texts(hard, length)])
    tokens, layout = splitting.lay_out(splitting.split(data), length, 32)
    lexicon = HashLexicon(size, 4, 8, config, lookups)
    lexicon.build()
    expected = np.asarray(lexicon(tokens, slots=layout.slots, num_slots=32))
    assert np.ptp(expected) > 0.1
    lexicon.scatter = scatter
    for i, row in enumerate(expected):
        one = splitting.Split(*(x[i : i + 1] for x in tokens))
        found = np.asarray(lexicon(one, slots=layout.slots[i : i + 1], num_slots=32))
        np.testing.assert_allclose(found[0], row, rtol=0, atol=1e-6)


def test_constants_are_merged():
    """Positions, segment and [CLS] are added at once."""
    graph = Graph(converted("uno")[0].read_bytes())
    before = len(graph.operators)
    merge_added_constants(graph)
    assert len(graph.operators) == before
    tables = [t for t in range(len(graph.tensors)) if graph.shape(t) == (1, 32, 128) and graph.is_constant(t)]
    assert len(tables) == 1


@pytest.mark.parametrize("name", ["small", "pair", "means", "codes", "uno"])
def test_operators_are_builtin(name):
    """By listing the file's own operator codes."""
    path, report = converted(name)
    found = operators(parse(path.read_bytes()))
    assert found == report["ops"]
    assert "FULLY_CONNECTED" in found
    assert not [name for name in found if name.startswith(("CUSTOM", "FLEX")) or name.isdigit()]
    assert report["custom_ops"] == report["flex_ops"] == []
    assert "SELECT" not in found  # no index is negative


def test_file_is_one_signature_of_fixed_shape():
    path, report = converted("small")
    model = parse(path.read_bytes())
    (signature,) = model.signatureDefs
    graph = model.subgraphs[0]
    assert signature.signatureKey == b"serving_default"
    assert [(entry.name, graph.tensors[entry.tensorIndex].shape.tolist()) for entry in signature.inputs] == [
        (b"bytes", [1, 64])
    ]
    assert [(entry.name, graph.tensors[entry.tensorIndex].shape.tolist()) for entry in signature.outputs] == [
        (b"logits", [1, 3])
    ]
    assert report["input_shape"] == [1, 64]
    assert report["bytes"] == path.stat().st_size


def test_nothing_is_stored_twice_or_for_nobody():
    """Equal arrays share their place; what is computed has no buffer of its own, and floats have no scales."""
    data = converted("uno")[0].read_bytes()
    model = parse(data)
    assert [n for n, buffer in enumerate(model.buffers) if buffer.data is None] == [0]
    assert all(t.quantization is None or t.quantization.scale is not None for t in model.subgraphs[0].tensors)
    twice = schema.BufferT()
    twice.data = max((b.data for b in model.buffers[1:]), key=len).copy()
    model.buffers.append(twice)
    assert len(data) <= len(pack(model)) < len(data) + 64


def test_settings_are_inside():
    path, report = converted("pair")
    metadata = EelbertRuntime(path).metadata
    assert metadata.labels == report["labels"] == LABELS
    assert metadata.pair
    assert (metadata.max_tokens, metadata.max_bytes, metadata.num_classes) == (16, 64, 3)
    assert metadata.config["lexicon_size"] == 64


def test_uno_is_small():
    """Position rows beyond the limit are left out."""
    _, report = converted("uno")
    assert report["bytes"] < 1_000_000


def test_other_limits(tmp_path):
    report = convert(saved("small"), tmp_path / "a.tflite", max_tokens=8, max_bytes=40)
    runtime = EelbertRuntime(tmp_path / "a.tflite")
    model = EelbertClassifier.from_preset(saved("small"), max_tokens=8, max_bytes=40)
    texts = ["one two three four five six seven eight nine", "x"]
    assert report["input_shape"] == [1, 40]
    assert np.abs(runtime.predict(texts) - np.asarray(model(texts))).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 33}, "max_tokens"),
        ({"max_bytes": 3}, "max_bytes"),
        ({"max_bytes": 0}, "from 4 to 1048576.*Received: 0"),
        ({"max_tokens": 3.5}, "from 4 to 32.*Received: 3.5"),
        ({"max_tokens": True}, "from 4 to 32.*Received: True"),
        ({"target": "esp32"}, "expected one of mobile, micro, onnx, mediapipe. Received: 'esp32'"),
        ({"quantize": "INT8"}, "expected one of none, float16, dynamic, int8. Received: 'INT8'"),
        ({"quantize": None}, "expected one of none, float16"),
        ({"model": "no-such-model"}, "no-such-model"),
    ],
)
def test_refusals_leave_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        convert(**{"model": saved("small"), "output": tmp_path / "a.tflite", **options})
    assert os.listdir(tmp_path) == []


def test_a_bad_file_is_not_left(tmp_path, monkeypatch):
    """A file that disagrees with its model is refused, and an older file of that name stays."""
    path = tmp_path / "a.tflite"
    older = converted("pair")[0].read_bytes()
    path.write_bytes(older)
    monkeypatch.setattr(EelbertRuntime, "predict_bytes", lambda self, data: np.zeros((len(data), 3), np.float32))
    with pytest.raises(InputError, match="not as good as its model"):
        convert(saved("small"), path)
    assert os.listdir(tmp_path) == ["a.tflite"]
    assert path.read_bytes() == older


def test_foreign_operators_are_refused(monkeypatch):
    monkeypatch.setattr(convert_module, "operators", lambda model: ["ADD", "CUSTOM:FlexStridedSlice"])
    with pytest.raises(InputError, match="CUSTOM:FlexStridedSlice"):
        convert_module.check_operators(parse(converted("small")[0].read_bytes()))


def in_memory(name: str) -> Any:
    return EelbertClassifier.from_preset(saved(name))


def test_a_model_in_memory_is_converted_and_stays_as_it_is(tmp_path):
    """The same file as from its directory; the model's weights, layers and answers are untouched."""
    model = in_memory("means")
    texts = hard_inputs(False, 60, seed=9)
    before = model.predict(texts, verbose=0), model.get_weights(), [layer.call for layer in model._flatten_layers()]
    scatter, activations = model.backbone.lexicon.scatter, [block.activation for block in model.backbone.blocks]
    convert(model, tmp_path / "a.tflite")
    assert (tmp_path / "a.tflite").read_bytes() == converted("means")[0].read_bytes()
    convert(model, tmp_path / "b.tflite", target="micro", max_tokens=8)
    assert EelbertRuntime(tmp_path / "b.tflite").metadata.max_tokens == 8
    np.testing.assert_array_equal(model.predict(texts, verbose=0), before[0])
    for weight, older in zip(model.get_weights(), before[1], strict=True):
        np.testing.assert_array_equal(weight, older)
    assert [layer.call for layer in model._flatten_layers()] == before[2]
    assert model.backbone.lexicon.scatter == scatter
    assert [block.activation for block in model.backbone.blocks] == activations
    assert model.backbone.config.max_tokens == 16


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16", "float64"])
def test_other_precisions_are_converted_in_float32(tmp_path, policy):
    """The file is that of the same weights in float32, and the process's own policy stays."""
    keras.config.set_dtype_policy(policy)
    try:
        model = in_memory("small")
        assert model.backbone.blocks[0].query.compute_dtype == policy.removeprefix("mixed_")
        model.backbone.embeddings_norm.gamma.assign(model.backbone.embeddings_norm.gamma + 0.5)
        convert(model, tmp_path / "a.tflite")
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy("float32")
    same = in_memory("small")
    same.set_weights([np.asarray(weight, np.float32) for weight in model.weights])
    texts = hard_inputs(False, 60, seed=9)
    assert np.abs(EelbertRuntime(tmp_path / "a.tflite").predict(texts) - np.asarray(same(texts))).max() < 1e-5


def test_what_is_no_classifier(tmp_path):
    """An encoder, or a model with weights that its configuration does not tell of, is refused in one line."""
    model = in_memory("small")
    with pytest.raises(InputError, match="EelbertBackbone: expected an EelbertClassifier"):
        convert(model.backbone, tmp_path / "a.tflite")
    model.backbone.blocks[0].query.enable_lora(2)
    with pytest.raises(InputError, match="enable_lora"):
        convert(model, tmp_path / "a.tflite")
    assert os.listdir(tmp_path) == []


def test_keras_runs_a_model_in_memory():
    """Its answers are the model's own, or those of a copy with other limits."""
    model = in_memory("small")
    texts = ["one two three four five six seven eight nine", "x"]
    runs = KerasModel(model), KerasModel(model, max_tokens=8, max_bytes=40)
    np.testing.assert_array_equal(runs[0].predict(texts), model.predict(texts, verbose=0))
    limited = EelbertClassifier.from_preset(saved("small"), max_tokens=8, max_bytes=40).predict(texts, verbose=0)
    np.testing.assert_allclose(runs[1].predict(texts), limited, rtol=0, atol=1e-6)
    assert [run.metadata.max_tokens for run in runs] == [16, 8]
    assert [run.is_truncated(texts[0]) for run in runs] == [False, True]
    with pytest.raises(InputError, match="max_tokens: expected a whole number from 4 to 32"):
        KerasModel(model, max_tokens=33)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("path", ["classifier/bias", "backbone/block_0/query/kernel"])
def test_weights_that_are_no_numbers(tmp_path, path, value):
    """The message names the weight and the place, and nothing is written."""
    model = in_memory("small")
    weight = next(weight for weight in model.weights if weight.path.endswith(path))
    values = np.asarray(weight).copy()
    values[(1,) * values.ndim] = value
    weight.assign(values)
    with pytest.raises(InputError, match=rf"{path}.* 1 of {values.size} numbers.*at \[1"):
        convert(model, tmp_path / "a.tflite")
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match="NaN or infinite numbers for 2 of 2 texts, first for text 1"):
        KerasModel(model).predict(["a", "b"])


def test_weights_that_overflow(tmp_path):
    """Finite weights, logits that are not: the tolerance is not infinite then."""
    model = in_memory("small")
    model.classifier.kernel.assign(np.sign(np.asarray(model.classifier.kernel)) * np.float32(3e38))
    with pytest.raises(InputError, match="NaN or infinite numbers"):
        convert(model, tmp_path / "a.tflite")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "train.csv", "model.tflite", "model.tflite.bak"])
def test_other_files_are_never_replaced(tmp_path, capsys, name):
    """A file that `convert` did not write stays, in Python as on the command line; a TFLite file of others too."""
    foreign = b"text,label\ngood,1\n" if name != "model.tflite" else b"\x18\0\0\0TFL3" + bytes(100)
    (tmp_path / name).write_bytes(foreign)
    with pytest.raises(InputError, match=f"{name}: exists, and `eelbert convert` did not write it"):
        convert(saved("small"), tmp_path / name)
    assert main(["convert", "--model", str(saved("small")), "--output", str(tmp_path / name)]) == 2
    assert "did not write it" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == foreign
    assert os.listdir(tmp_path) == [name]


def test_a_file_that_comes_during_the_conversion_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.tflite"
    real = convert_module.compare

    def meanwhile(*arguments: Any) -> dict[str, Any]:
        path.write_text("mine")
        return real(*arguments)

    monkeypatch.setattr(convert_module, "compare", meanwhile)
    with pytest.raises(InputError, match="did not write it"):
        convert(saved("small"), path)
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.tflite"]


@pytest.mark.parametrize("damage", [0, 1])
def test_older_files_and_empty_ones_are_replaced(tmp_path, damage):
    """Files of ours, damaged ones too, and what `mktemp` leaves."""
    path = tmp_path / "a.tflite"
    data = bytearray(converted("pair")[0].read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data) if damage else b"")
    convert(saved("small"), path)
    assert path.read_bytes() == converted("small")[0].read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "esp32"], "--target: expected one of mobile, micro, onnx, mediapipe. Received: 'esp32'"),
        (["--quantize", "INT8"], "--quantize: expected one of none, float16, dynamic, int8. Received: 'INT8'"),
        (["--max-bytes", "0"], "max_bytes: expected a whole number from 4 to 1048576 (--max-bytes)"),
        (["--max-tokens", "-5"], "max_tokens: expected a whole number from 4 to 32 (--max-tokens)"),
    ],
)
def test_options_of_the_command_are_told_in_one_line(tmp_path, capsys, options, message):
    command = ["convert", "--model", str(saved("small")), "--output", str(tmp_path / "a.tflite"), *options]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
