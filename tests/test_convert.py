"""Conversion to TFLite: the file gives the model's logits, with builtin operators only, or it is not written."""

from __future__ import annotations

import os

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf import HashConfig, InputError, encode_texts
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


@pytest.mark.parametrize("name", ["small", "pair", "regression", "means", "pair_means", "uno"])
def test_logits_equal_keras_on_strings(name):
    """LiteRT on bytes against Keras on strings, on other hard texts than the conversion tried itself."""
    path, report = converted(name)
    model = EelbertClassifier.from_preset(saved(name))
    texts = hard_inputs(name.startswith("pair"), 500, seed=3)
    expected = model.predict(texts, verbose=0)
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


@pytest.mark.parametrize("name", ["small", "pair", "means", "uno"])
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
    assert np.abs(runtime.predict(texts) - model.predict(texts, verbose=0)).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 33}, "max_tokens"),
        ({"max_bytes": 3}, "max_bytes"),
        ({"model_directory": "no-such-model"}, "no-such-model"),
    ],
)
def test_refusals_leave_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        convert(**{"model_directory": saved("small"), "output": tmp_path / "a.tflite", **options})
    assert os.listdir(tmp_path) == []


def test_a_bad_file_is_not_left(tmp_path, monkeypatch):
    """A file that disagrees with its model is refused, and an older file of that name stays."""
    path = tmp_path / "a.tflite"
    path.write_bytes(b"older")
    monkeypatch.setattr(EelbertRuntime, "predict", lambda self, texts: np.zeros((len(texts), 3), np.float32))
    with pytest.raises(InputError, match="not as good as its model"):
        convert(saved("small"), path)
    assert os.listdir(tmp_path) == ["a.tflite"]
    assert path.read_bytes() == b"older"


def test_foreign_operators_are_refused(monkeypatch):
    monkeypatch.setattr(convert_module, "operators", lambda model: ["ADD", "CUSTOM:FlexStridedSlice"])
    with pytest.raises(InputError, match="CUSTOM:FlexStridedSlice"):
        convert_module.check_operators(parse(converted("small")[0].read_bytes()))
