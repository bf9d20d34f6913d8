"""The presets in the package: whole, as small as promised, and described."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.saving.folders import PRESETS, preset_file, preset_names
from eelbert_tf.saving.info import read_info
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.models import KerasModel
from tests.make_preset_outputs import GOLDEN, TEXTS, compute

READY = [name for name in preset_names() if preset_file(name)]


@pytest.mark.parametrize("name", preset_names())
def test_card_and_weights(name: str) -> None:
    """Weights fit their checksum and are finite numbers; the card says how many they are."""
    backbone = EelbertBackbone.from_preset(name)
    assert all(np.isfinite(weight.numpy()).all() for weight in backbone.weights)
    card = (PRESETS / name / "README.md").read_text("utf-8")
    assert card.startswith(f"# {name}\n")
    assert f"{backbone.count_params():,}" in card
    assert "**Limits.**" in card
    info, _ = read_info(PRESETS / name)
    assert not any(str(value).startswith("/") for value in info.notes.get("pretraining", {}).values())


def test_outputs_of_presets_stay_as_they_are() -> None:
    """Whatever becomes of the code, saved weights give what they gave; see tests/make_preset_outputs.py.

    Processors and versions of TensorFlow add up in different orders, so float32 sums differ in their last bits.
    """
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden["texts"] == TEXTS
    found = compute(TEXTS)
    for kind, models in found.items():
        assert sorted(golden[kind]) == sorted(models)
        for name, array in models.items():
            np.testing.assert_allclose(array, golden[kind][name], rtol=0, atol=2e-5, err_msg=f"{kind} of {name}")
    assert list(found["logits"]) == [name for name in preset_names() if "_sst2" in name]
    assert sorted(found["pooled"]) == preset_names()


def test_uno_is_small() -> None:
    """At most the paper's 1.2 MB; 0.43 MB with int8 weights, words beside it and graphs of several lengths."""
    backbone = EelbertBackbone.from_preset("uno_en")
    assert 4 * backbone.count_params() <= 1_200_000
    assert backbone.config.max_tokens == 128
    assert preset_file("uno_en_sst2").stat().st_size <= 430_000


@pytest.mark.parametrize(("name", "most", "arena"), [("uno_en_sst2_v1", 340_000, 96), ("uno_en_sst2", 400_000, 128)])
def test_uno_fits_a_microcontroller(name: str, most: int, arena: int, tmp_path: Path) -> None:
    """32 tokens in a few KiB of memory, with all in int8; words beside it take room of their own."""
    options = {"target": "micro", "quantize": "int8", "max_tokens": 32, "max_bytes": 128}
    report = convert(PRESETS / name, tmp_path / "a.tflite", **options, calibration=hard_inputs(False, 60, seed=5))
    assert report["bytes"] <= most
    assert report["arena_bytes"] <= arena * 1024


def test_neighbours_in_meaning() -> None:
    """A sentence is nearer to one that says the same in other words than to one of another matter."""
    encoder = EelbertSentenceEncoder.from_preset("uno_en")
    texts = [
        "The boy ate his supper.",
        "The child finished dinner.",
        "The army crossed the river.",
        "Soldiers marched over the bridge.",
        "She sang an old song.",
        "He played some music.",
    ]
    similar = (lambda points: points @ points.T)(encoder.predict(texts, verbose=0)) - 2 * np.eye(len(texts))
    assert similar.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize("name", ["uno_multi", "tiny_multi"])
def test_neighbours_in_other_languages(name: str) -> None:
    """Sentences are nearest to what says the same in another language."""
    encoder = EelbertSentenceEncoder.from_preset(name)
    english = ["The weather is beautiful today.", "Where is the train station?", "My brother has two children."]
    others = [
        ["Das Wetter ist heute schön.", "Wo ist der Bahnhof?", "Mein Bruder hat zwei Kinder."],
        ["Hoy hace muy buen tiempo.", "¿Dónde está la estación de tren?", "Mi hermano tiene dos hijos."],
    ]
    points = encoder.predict(english, verbose=0)
    for translated in others:
        similar = points @ encoder.predict(translated, verbose=0).T
        assert similar.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", READY)
def test_the_file_says_what_keras_says(name: str) -> None:
    """The TFLite file that comes with a preset gives its classes."""
    texts = ["a fine, moving film", "a dull waste of time", "the plot is thin but the actors are wonderful"]
    keras_model, runtime = KerasModel(name), EelbertRuntime(preset_file(name))
    assert runtime.metadata.labels == keras_model.metadata.labels
    np.testing.assert_array_equal(runtime.predict(texts).argmax(axis=1), keras_model.predict(texts).argmax(axis=1))


@pytest.mark.parametrize("name", READY)
def test_predicts_at_once(name: str) -> None:
    """By its file: neither TensorFlow nor Keras is loaded."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'jax']))\n"
        "from eelbert_tf.__main__ import main\n"
        f"sys.exit(main(['predict', '--model', {name!r}, '--text', 'a fine film']))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["label"] == "positive"


@pytest.mark.parametrize(("options", "start"), [([], "uno_en"), (["--config", "eelbert_uno"], "scratch")])
@pytest.mark.usefixtures("untraced")
def test_where_fine_tuning_starts(
    options: list[str], start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the preset, unless a size is asked for."""
    (tmp_path / "train.csv").write_text("text,label\na fine film,1\na waste of time,0\n")
    words = ["--train", str(tmp_path / "train.csv"), "--output", str(tmp_path / "model"), "--epochs", "1", *options]
    assert main(["finetune", *words]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["preset"] == start
    notes = read_info(tmp_path / "model")[0].notes
    assert notes["started_from"] == ("eelbert_uno" if options else "uno_en")


def test_fine_tuning_says_what_a_preset_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More tokens than it has positions, or another size."""
    (tmp_path / "train.csv").write_text("text,label\na fine film,1\na waste of time,0\n")
    words = ["finetune", "--train", str(tmp_path / "train.csv"), "--output", str(tmp_path / "model")]
    assert main([*words, "--max-tokens", "300"]) == 2
    assert "--config eelbert_uno starts from fresh weights instead" in capsys.readouterr().err
    assert main([*words, "--preset", "uno_en", "--config", "eelbert_uno"]) == 2
    assert "give one of the two" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_table_of_presets(capsys: pytest.CaptureFixture[str]) -> None:
    """`eelbert presets`: a line each, and what it says of one is so."""
    assert main(["presets"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == preset_names()
    found = json.loads(last)["presets"]
    backbone = EelbertBackbone.from_preset("uno_en")
    assert found["uno_en"]["numbers"] == backbone.count_params()
    assert found["uno_en"]["hidden_size"] == backbone.config.hidden_size
    assert found["uno_en_sst2"]["labels"] == ["negative", "positive"]
    assert {name for name, one in found.items() if one["tflite_bytes"]} == set(READY)
