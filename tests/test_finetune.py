"""Fine-tuning: the optimizer does what BERT's does, and the command trains, saves and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.config import EelbertConfig, named_config
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.optimizer import WarmupLinearDecay, adamw
from eelbert_tf.saving.info import read_info
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import BACKBONE_RATE, Recipe, default_epochs, default_rate, suited_recipe
from eelbert_tf.training.finetune.run import Options, finetune, score
from eelbert_tf.training.finetune.start import start

TEXTS = [
    f"{verb} the {noun}" for verb in ("turn on", "turn off") for noun in ("lamp", "light", "radio", "heating", "tv")
]
LABELS = ["10"] * 5 + ["9"] * 5  # as text "10" comes first, as numbers "9" does


@pytest.fixture(scope="module")
def preset(tiny: EelbertConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder to start from, which trains in seconds."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("finetune") / "tiny"
    EelbertBackbone(tiny).save_to_preset(path)
    return path


def write(path: Path, labels: list[Any]) -> Path:
    """A labelled file."""
    rows = [f"{text},{label}" for text, label in zip(TEXTS, labels, strict=True)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def test_schedule() -> None:
    """Rises to the peak, falls to zero, and is above zero at the first and the last step."""
    schedule = WarmupLinearDecay(peak=2.0, total_steps=19, warmup=0.25)
    rates = [float(schedule(step)) for step in range(20)]
    np.testing.assert_allclose(rates[:5], [0.4, 0.8, 1.2, 1.6, 2.0], rtol=1e-5)
    np.testing.assert_allclose(np.diff(rates[4:]), -2.0 / 15, rtol=1e-4)
    assert rates[18] > 0
    assert rates[19] == float(schedule(100)) == 0.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()
    assert again.get_config() == {"peak": 2.0, "total_steps": 19, "warmup": 0.25, "pieces": 1}
    for warmup in (0.0, 1.0):
        rates = [float(WarmupLinearDecay(1.0, 9, warmup)(step)) for step in range(9)]
        assert all(0 < rate <= 1.0 for rate in rates)
        assert rates == sorted(rates, reverse=warmup == 0.0)


def test_decay_spares_biases_and_norms(rich: EelbertConfig) -> None:
    """With gradients of zero they stay, by name; every other weight shrinks."""
    model = EelbertClassifier(EelbertBackbone(rich))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape).astype(np.float32))
    spared = {v.path for v in model.trainable_variables if v.path.endswith(("bias", "beta", "gamma"))}
    decayed = {v.path.rpartition("/")[2] for v in model.trainable_variables if v.path not in spared}
    assert decayed == {"kernel", "table", "position_embedding", "segment_embedding"}

    optimizer = adamw(model, learning_rate=0.5, total_steps=3, warmup=0.25, weight_decay=0.1)
    before = {variable.path: variable.numpy() for variable in model.trainable_variables}
    optimizer.apply([keras.ops.zeros_like(variable) for variable in model.trainable_variables])
    for variable in model.trainable_variables:
        factor = 1.0 if variable.path in spared else 1 - 0.5 * 0.1
        np.testing.assert_allclose(variable.numpy(), before[variable.path] * factor, rtol=1e-5, err_msg=variable.path)


def test_start(preset: Path, tiny: EelbertConfig) -> None:
    """Fresh weights of a size, or those of a model, with fewer slots; impossible changes are the user's to mend."""
    uno = named_config("eelbert_uno")
    fresh = start("scratch", uno, True, ["a", "b", "c"], {"max_tokens": 8})
    assert (fresh.backbone.config.hidden_size, fresh.backbone.config.max_tokens, fresh.backbone.pair) == (128, 8, True)
    assert (fresh.labels, fresh.num_classes, fresh.task) == (["a", "b", "c"], 3, "classification")
    loaded = start(str(preset), uno, False, None, {})
    assert loaded.backbone.config == tiny
    assert (loaded.labels, loaded.num_classes, loaded.task) == (None, 1, "regression")
    for origin, changes, message in (
        (str(preset), {"max_tokens": 17}, "tiny: `max_tokens` must lie between 4 and"),
        ("scratch", {"max_tokens": 513}, "scratch: `max_tokens` must lie between 4 and"),
        ("scratch", {"max_tokens": 3}, "`max_tokens` must lie between 4 and"),
        ("scratch", {"max_bytes": 3}, "`max_bytes` must be at least 4"),
        ("scratch", {"max_bytes": 10**9}, "--max-bytes: must be at most"),
    ):
        with pytest.raises(InputError, match=message):
            start(origin, uno, False, ["a", "b"], changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epochs", value) for value in (0, -1)),
        ("batch_size", 0),
        *(("learning_rate", value) for value in (0.0, -1e-3, float("nan"), float("inf"))),
        *(("seed", value) for value in (-1, 2**32)),
    ],
)
def test_wrong_recipes(field: str, value: Any) -> None:
    """Each names the option."""
    with pytest.raises(InputError, match=f"--{field.replace('_', '-')}: must "):
        Recipe(**{field: value})


def test_command_trains_saves_and_reports(preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line is a report; the saved model is the trained one, with labels in the order of numbers."""
    train, output = write(tmp_path / "train.csv", LABELS), tmp_path / "out" / "model"
    arguments = ["finetune", "--train", str(train), "--preset", str(preset), "--output", str(output)]
    arguments += ["--epochs", "12", "--batch-size", "4", "--learning-rate", "0.02", "--lexical", "off"]
    assert main([*arguments, "--dev", str(train)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    report = json.loads(captured.out)
    assert report["output"] == str(output)
    assert report["train_texts"] == report["dev_texts"] == 10
    assert report["epochs"] == len(report["loss"]) == 12
    assert report["dev"] == {"accuracy": 1.0, "macro_f1": 1.0, "ece": pytest.approx(0.0, abs=0.3)}
    assert "training: pass 12 of 12, loss " in captured.err
    assert "\r" not in captured.err
    assert "Traceback" not in captured.err

    info, sha256 = read_info(output)
    assert info.labels == ["9", "10"]
    assert info.notes["finished_epochs"] == 12
    assert info.notes["recipe"]["seed"] == 0
    assert info.notes["trained_on"] == "train.csv"
    model = EelbertClassifier.from_preset(output)
    logits = np.asarray(model(encode_texts(TEXTS, model.backbone.config.max_bytes)))
    assert [info.labels[i] for i in logits.argmax(axis=1)] == LABELS
    assert report["parameters"] == model.count_params()

    assert main(arguments) == 0  # over the older one
    again = json.loads(capsys.readouterr().out)
    assert again["loss"] == report["loss"]
    assert read_info(output)[1] == sha256  # the same bits
    assert [path.name for path in output.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("untraced")
def test_fresh_weights_of_a_file_shape(
    preset: Path, tiny: EelbertConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model's own configuration will do; a size with a vocabulary, or nothing at all, will not."""
    arguments = ["finetune", "--train", str(write(tmp_path / "train.csv", LABELS)), "--output", str(tmp_path / "out")]
    arguments += ["--epochs", "1", "--config"]
    for name, message in (("bert", "--config: bert: neither a name"), ("bert_tiny", "needs a vocabulary")):
        assert main([*arguments, name]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*arguments, str(preset / "config.json")]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == "config.json"
    assert read_info(tmp_path / "out")[0].config == tiny


def test_regression_starts_at_the_mean(tiny: EelbertConfig, tmp_path: Path) -> None:
    """Numbers in, a score out; without that start the first epochs would only learn the mean."""
    keras.utils.set_random_seed(0)
    model = EelbertClassifier(EelbertBackbone(tiny.replace(hidden_dropout_prob=0.0)), task="regression")
    data = Labelled(TEXTS, [101.0] * 5 + [103.0] * 5)
    recipe = Recipe(epochs=15, batch_size=5, learning_rate=0.02)
    report = finetune(model, data, None, recipe, Options(tmp_path / "m")).report()
    assert report["loss"][0] < 3.0
    found = score(model, data)
    assert found["pearson"] > 0.9
    assert found["rmse"] < 1.0
    assert read_info(tmp_path / "m")[0].task == "regression"


@pytest.mark.parametrize(
    ("texts", "fresh", "pretrained"),
    [(1, 40, 40), (320, 40, 40), (640, 40, 20), (3200, 40, 12), (16000, 24, 8), (10**6, 3, 3)],
)
def test_default_epochs(texts: int, fresh: int, pretrained: int) -> None:
    """Fewer passes over more texts, and for weights that know something already."""
    assert default_epochs(texts, 32, pretrained=False) == fresh
    assert default_epochs(texts, 32, pretrained=True) == pretrained


def test_default_rate() -> None:
    """Pretrained weights learn more slowly where the steps are very many; fresh ones never do."""
    assert [default_rate(texts, True) for texts in (100, 30_000, 60_000)] == [1e-3, 1e-3, 3e-4]
    assert [default_rate(texts, False) for texts in (100, 60_000)] == [1e-3, 1e-3]
    cases = ((100, True, None), (60_000, True, None), (100, False, None), (100, True, False))
    shares = [suited_recipe(n, known, 3, 32, None, 0, lexical=words).backbone_rate for n, known, words in cases]
    assert shares == [BACKBONE_RATE, 1.0, 1.0, 1.0]
