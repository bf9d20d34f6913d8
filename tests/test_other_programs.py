"""Files for programs of others: ONNX Runtime, and MediaPipe's tasks for texts."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.to_mediapipe import DELIMITER, vocabulary
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.models import load_keras
from eelbert_tf.tflite.runtimes.onnx_file import OnnxRuntime
from tests import small_taggers
from tests.small_models import LABELS, converted, saved

TEXTS = ["turn on the lights", "", "größer \U0001f600", "a\tb\nc", "x" * 200, "Don't 'quote' me!?"]


def session(path: Path):
    """ONNX Runtime alone, as somebody who knows nothing of this library uses it."""
    return pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", ["pair", "means", "codes"])
def test_onnx_runtime_gives_the_models_outputs(tmp_path, name):
    """Hashes wrap, tokens are cut and lexicons looked up as in Keras; GELU is the exact one."""
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    report = convert(saved(name), path, target="onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    texts = hard_inputs("pair" in name, 60)
    model, run = load_keras(saved(name)), session(path)
    expected = np.asarray(model.predict(texts, verbose=0))
    rows = encode_texts(texts, model.backbone.config.max_bytes)
    found = np.concatenate([run.run(None, {"bytes": row[None]})[0] for row in rows])
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())
    assert report["max_abs_diff"] < 1e-4
    assert report["opset"] == 18
    assert "Erf" in report["ops"]


def test_onnx_of_a_tagger(tmp_path):
    """Three outputs by name, and the spans that the model finds."""
    pytest.importorskip("onnx")
    path, folder = tmp_path / "tagger.onnx", small_taggers.trained() / "model"
    convert(folder, path, target="onnx")
    assert {output.name for output in session(path).get_outputs()} >= {"tags", "positions"}
    texts = [row[0] for row in small_taggers.sentences(5, 3)]
    model, runtime = load_keras(folder), OnnxRuntime(path)
    for text in map(" ".join, texts):
        found, expected = (
            [(span["label"], span["start"], span["end"]) for span in one.tag(text)["spans"]] for one in (runtime, model)
        )
        assert found == expected


def test_damaged_and_other_onnx_files(tmp_path):
    """Found before ONNX Runtime sees them; a file of somebody else's is never replaced."""
    pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    convert(saved("small"), path, target="onnx")
    convert(saved("small"), path, target="onnx")  # ours may be replaced
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    with pytest.raises(InputError, match="damaged"):
        OnnxRuntime(path)
    path.write_bytes(b"\x08\x08 something else")
    with pytest.raises(InputError, match="did not write"):
        OnnxRuntime(path)
    with pytest.raises(InputError, match="did not write"):
        convert(saved("small"), path, target="onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "onnx", "--quantize", "int8"], "leave --quantize out"),
        (["--target", "onnx", "--test", "t.csv"], "mobile and micro"),
        (["--target", "onnx", "--compatible", "tflite-2.14"], "--target mobile and mediapipe"),
        (["--target", "coreml"], "onnx, mediapipe"),
    ],
)
def test_refused(capsys, tmp_path, options, message):
    arguments = ["convert", "--model", str(saved("small")), "--output", str(tmp_path / "m"), *options]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_the_package_onnx(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["convert", "--model", str(saved("small")), "--output", str(tmp_path / "m"), "--target", "onnx"]) == 2
    assert "pip install 'eelbert-tf[onnx]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def tokenized(text: str, max_bytes: int) -> np.ndarray:
    """What MediaPipe's regex tokenizer and preprocessor make of a text: int32 `[1, max_bytes]`.

    It looks for the delimiter again and again, behind the last one; the first group is the delimiter.
    """
    pattern = re.compile(f"({DELIMITER})".replace(r"\C", r"[\x00-\xff]").encode("latin-1"))
    rows = (line.split(b" ") for line in vocabulary().split(b"\n") if line)
    numbers = {row[0]: int(row[1]) for row in rows}
    rest, tokens = text.encode(), []
    while match := pattern.search(rest):
        tokens.append(rest[: match.start(1)])
        rest = rest[match.end() :]
    ids = [numbers.get(token, numbers[b"<UNKNOWN>"]) for token in tokens if token][:max_bytes]
    return np.array([ids + [numbers[b"<PAD>"]] * (max_bytes - len(ids))], np.int32)


def test_mediapipes_tokenizer_gives_the_bytes():
    for text in TEXTS:
        np.testing.assert_array_equal(tokenized(text, 64), encode_texts([text.replace("\n", " ")], 64))


def test_mediapipe_classifier(tmp_path):
    """Metadata, names of classes behind the file, and probabilities; MediaPipe itself where it is installed."""
    path = tmp_path / "model.tflite"
    report = convert(saved("small"), path, target="mediapipe", quantize="int8")
    assert report["max_abs_diff_probabilities"] < 1e-5
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS
        assert archive.read("vocab.txt") == vocabulary()
    graph = Graph(path.read_bytes())
    entries = {entry.name.decode(): graph.model.buffers[entry.buffer].data for entry in graph.model.metadata}
    described = bytes(entries["TFLITE_METADATA"])
    assert described[4:8] == b"M001"
    assert DELIMITER.encode() in described
    convert(saved("small"), path, target="mediapipe", quantize="int8")  # ours may be replaced
    with pytest.raises(InputError, match="did not write"):  # and is for MediaPipe alone
        EelbertRuntime(path)
    tasks = pytest.importorskip("mediapipe.tasks.python")
    options = tasks.text.TextClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=str(path)))
    runtime = EelbertRuntime(converted("small", quantize="int8")[0])
    with tasks.text.TextClassifier.create_from_options(options) as classifier:
        for text in TEXTS:
            (found,) = classifier.classify(text).classifications
            scores = {category.category_name: category.score for category in found.categories}
            expected = dict(runtime.classify(text))
            assert scores == pytest.approx(expected, abs=1e-5)


def test_mediapipe_embedder(tmp_path):
    path = tmp_path / "model.tflite"
    convert(saved("encoder"), path, target="mediapipe")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["vocab.txt"]
    tasks = pytest.importorskip("mediapipe.tasks.python")
    options = tasks.text.TextEmbedderOptions(base_options=tasks.BaseOptions(model_asset_path=str(path)))
    runtime = EelbertRuntime(converted("encoder")[0])
    with tasks.text.TextEmbedder.create_from_options(options) as embedder:
        for text in TEXTS:
            (found,) = embedder.embed(text).embeddings
            assert found.embedding == pytest.approx(runtime.embed([text])[0], abs=1e-5)


@pytest.mark.parametrize("name", ["pair", "regression"])
def test_mediapipe_has_no_task_for_it(tmp_path, name):
    with pytest.raises(InputError, match="MediaPipe has no task for"):
        convert(saved(name), tmp_path / "m.tflite", target="mediapipe")


def test_command(capsys, tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    assert main(["convert", "--model", str(saved("small")), "--output", str(path), "--target", "onnx"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["target"] == "onnx"
    assert report["bytes"] == path.stat().st_size
