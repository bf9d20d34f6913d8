"""What version 0.1.0 wrote is read, and gives what it gave.

tests/fixtures/0.1 holds the small models of that version's own tests, saved and converted by it (commit f8011c4), and
what it answered to some texts, for its presets too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests.forms import ROOT

FOLDER = ROOT / "tests" / "fixtures" / "0.1"
KEPT = json.loads((FOLDER / "outputs.json").read_text("utf-8"))
TEXTS: list[str] = KEPT["texts"]
PAIRS = list(zip(TEXTS, TEXTS[::-1], strict=True))
LABELS = ["lights_on", "lights_off", "größer"]

pytestmark = pytest.mark.usefixtures("untraced")


def answers(model: Any, name: str) -> np.ndarray:
    """To the texts, or to the pairs where the model reads such."""
    inputs: list[Any] = PAIRS if name.startswith("pair") else TEXTS
    if isinstance(model, EelbertRuntime):
        return model.predict(inputs)
    return np.asarray(model.predict(inputs, verbose=0))


@pytest.mark.parametrize("name", ["small", "pair", "means", "regression"])
def test_folders(name: str) -> None:
    model = EelbertClassifier.from_preset(FOLDER / name)
    np.testing.assert_allclose(answers(model, name), KEPT["outputs"][name], rtol=0, atol=1e-4)
    assert model.labels == (None if name == "regression" else LABELS)


def test_an_encoders_folder() -> None:
    encoder = EelbertSentenceEncoder.from_preset(FOLDER / "encoder")
    np.testing.assert_allclose(answers(encoder, "encoder"), KEPT["outputs"]["encoder"], rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # there was none to save
def test_a_keras_file() -> None:
    import keras

    model = keras.models.load_model(FOLDER / "small.keras")
    np.testing.assert_allclose(answers(model, "small"), KEPT["outputs"]["small"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("file", ["small.tflite", "pair-float16.tflite", "means-micro.tflite"])
def test_files(file: str) -> None:
    runtime = EelbertRuntime(FOLDER / file)
    np.testing.assert_allclose(answers(runtime, file), KEPT["outputs"][file], rtol=0, atol=1e-4)
    assert runtime.metadata.labels == LABELS


@pytest.mark.parametrize("model", ["small", "small.tflite"])
def test_predict(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command, a folder and its file say the same."""
    assert main(["predict", "--model", str(FOLDER / model), "--text", TEXTS[0]]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["label"] == LABELS[int(np.argmax(KEPT["outputs"]["small"][0]))]


def test_a_folder_becomes_a_file(tmp_path: Path) -> None:
    """Converted today, it answers as it did, and as the file did that was made then."""
    convert(FOLDER / "small", tmp_path / "a.tflite")
    found = EelbertRuntime(tmp_path / "a.tflite").predict(TEXTS)
    np.testing.assert_allclose(found, KEPT["outputs"]["small.tflite"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", KEPT["presets"])
def test_presets(name: str) -> None:
    """The first numbers of what they made of the texts; their names are today's."""
    backbone = EelbertBackbone.from_preset(name)
    found = np.asarray(backbone(encode_texts(TEXTS, backbone.config.max_bytes))["pooled_output"])
    wanted = np.array(KEPT["presets"][name])
    np.testing.assert_allclose(found[:, : wanted.shape[1]], wanted, rtol=0, atol=5e-5)
