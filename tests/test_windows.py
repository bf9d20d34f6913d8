"""Long texts read in windows: where these lie, and that training, prediction and saved models see the same."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.frozen import text_features
from eelbert_tf.preprocessing.windowed_texts import WindowedTexts
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.windows import Windows
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests.configs import RICH, TINY
from tests.make_windows import GOLDEN, cases, golden
from tests.small_models import FILE

SHORT = "turn on the lights"
LONG = " ".join(f"w{i}" for i in range(40))
TEXTS = [SHORT, LONG, "", "x" * 200 + " and more", "one two three " * 6, "Ärger, ja! " * 30]
LABELS = ["a", "b", "a", "b", "a", "b"]


def small(**changes: Any) -> EelbertClassifier:
    """A classifier whose logits differ between texts, that reads up to four windows of 14 tokens."""
    keras.utils.set_random_seed(3)
    config = TINY.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_windows=4, **changes)
    model = EelbertClassifier(EelbertBackbone(config), labels=["a", "b"], dropout=0.0)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(np.asarray(weight) + rng.normal(0, 0.3, weight.shape).astype(np.float32))
    return model


def told_apart_at_the_end(count: int) -> tuple[list[str], list[str]]:
    """Texts of two windows with labels that the last word decides."""
    noise = np.random.default_rng(0).integers(50, size=(count, 20))
    texts = [" ".join([*(f"n{k}" for k in row), "yes" if i % 2 else "no"]) for i, row in enumerate(noise)]
    return texts, ["b" if i % 2 else "a" for i in range(count)]


@pytest.fixture(scope="module")
def model() -> EelbertClassifier:
    """For tests that leave it as it is."""
    return small()


def in_one_window(model: EelbertClassifier, texts: list[bytes]) -> np.ndarray:
    """Logits of texts that are cut off."""
    backbone = EelbertBackbone(model.backbone.config.replace(max_windows=1))
    other = EelbertClassifier(backbone, labels=model.labels)
    other.set_weights(model.get_weights())
    return other.predict(texts, verbose=0)


def test_golden_vectors_are_those_of_the_reference():
    """tests/golden/windows.json, which the kits are tested with too."""
    assert json.loads(GOLDEN.read_text("ascii")) == golden()


@pytest.mark.parametrize("case", range(len(cases())))
def test_windows_are_those_of_the_reference(case):
    """And their tokens, one behind the other, are those of the text."""
    data, max_tokens, max_bytes, overlap, normalization = cases()[case]
    windows = Windows(max_tokens, max_bytes, 99, overlap, normalization)
    found = list(windows.find(data))
    assert [list(window) for window in found] == golden()["windows"][case]["windows"]
    parts = [tokenize(part, max_tokens, max_bytes, False, normalization).first for part in windows.cut(data)]
    assert [len(part) for part in parts] == ([window.tokens for window in found] or [0])
    if not overlap and not windows.is_truncated(data):
        assert [token for part in parts for token in part] == tokenize(data, 999, 9999, False, normalization).first


def test_what_is_truncated():
    windows = Windows(16, 64, 2)
    assert not windows.is_truncated(" ".join("a" * 28))
    assert windows.is_truncated(" ".join("a" * 29))
    assert not windows.is_truncated("a" * 64 + " b")
    assert windows.is_truncated("a" * 65 + " b")
    assert len(windows.cut("a " * 1000)) == 2


def test_logits_are_the_mean_over_windows(model):
    """By the number of tokens; of a text of one window they are what they were."""
    windows = model.preprocessor.windows
    logits = model.predict(TEXTS, verbose=0)
    for text, row in zip(TEXTS, logits, strict=True):
        parts, shares = windows.cut_and_weigh(text)
        tokens = np.array([len(tokenize(part, 16, 64).first) for part in parts])
        assert shares == pytest.approx(tokens / max(tokens.sum(), 1) if tokens.any() else [1.0])
        assert row == pytest.approx(shares @ in_one_window(model, parts), abs=1e-5)
    assert logits[:1] == pytest.approx(in_one_window(model, [SHORT.encode()]), abs=1e-6)
    assert len(windows.cut(LONG)) == 3
    assert [label for label, _ in model.classify(LONG)] == [label for label, _ in model.classify([LONG])[0]]


def test_calls_see_what_prediction_sees(model):
    """The call on batches of windows, with empty ones among them; bytes, and words hashed once."""
    logits = model.predict(TEXTS, verbose=0)
    assert np.asarray(model(TEXTS)) == pytest.approx(logits, abs=1e-5)
    assert model.predict_on_batch(TEXTS) == pytest.approx(logits, abs=1e-5)
    ready = model.ready(TEXTS, model.word_hashes(), 3)
    assert isinstance(ready, WindowedTexts)
    assert model.predict(ready, verbose=0) == pytest.approx(logits, abs=1e-5)
    assert model.predict_on_batch(ready) == pytest.approx(logits, abs=1e-5)
    chosen = np.array([5, 1])
    assert model.predict(ready.part(chosen), verbose=0) == pytest.approx(logits[chosen], abs=1e-5)
    loss, _ = model.evaluate(TEXTS, LABELS, batch_size=4, verbose=0)
    targets = model.targets(LABELS)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(TEXTS)), targets])
    assert loss == pytest.approx(expected, abs=1e-5)


def test_training_saves_and_reloads(tmp_path):
    """`fit` learns from what stands behind the first window; streams and `.keras` files know of windows too."""
    import tensorflow as tf

    model = small()
    texts, labels = told_apart_at_the_end(32)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(texts, labels, 16, epochs=25, verbose=0).history["loss"]
    assert history[-1] < 0.1 < history[0]
    assert model.evaluate(texts, labels, verbose=0)[1] == 1.0
    model.fit(tf.data.Dataset.from_tensor_slices((texts, model.targets(labels))), batch_size=8, epochs=1, verbose=0)
    logits = model.predict(TEXTS, verbose=0)
    model.save_to_preset(tmp_path / "model")
    again = EelbertClassifier.from_preset(tmp_path / "model")
    assert again.preprocessor.get_config() == model.preprocessor.get_config()
    assert again.predict(TEXTS, verbose=0) == pytest.approx(logits, abs=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.predict(TEXTS, verbose=0) == pytest.approx(logits, abs=1e-6)
    cut = EelbertClassifier.from_preset(tmp_path / "model", max_windows=1)
    assert cut.predict(TEXTS, verbose=0) == pytest.approx(in_one_window(model, [t.encode() for t in TEXTS]), abs=1e-6)


def test_convex_heads_see_all_windows():
    """The features that heads are fitted on give the logits that the model then gives."""
    model = small()
    texts, labels = told_apart_at_the_end(24)
    assert model.fit_head(texts, labels, lexical=True)["lexical"]
    logits = model.predict(texts, verbose=0)
    assert (logits.argmax(axis=1) == model.targets(labels)).all()
    assert np.asarray(model(texts)) == pytest.approx(logits, abs=1e-4)
    features = text_features(model.backbone, model.encode(texts))
    kernel, bias = model.classifier.get_weights()
    model.lexical.kernel.assign(model.lexical.kernel * 0)
    assert model.predict(texts, verbose=0) == pytest.approx(features.pooled @ kernel + bias, abs=1e-4)


def test_overlap_repeats_tokens():
    model = small(window_overlap=4)
    assert [len(part.split()) for part in model.preprocessor.windows.cut(LONG)] == [14, 14, 14, 10]


def test_pairs_are_read_in_one_window():
    with pytest.raises(ValueError, match="max_windows=1"):
        EelbertClassifier(EelbertBackbone(RICH.replace(max_windows=2), pair=True), labels=["a", "b"])


@pytest.mark.parametrize(
    "changes", [{"max_windows": 0}, {"max_windows": 5000}, {"window_overlap": 8}, {"window_overlap": -1}]
)
def test_limits_are_checked(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        TINY.replace(**changes)


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with `train.csv`, and the `model` that the command trained on it by itself; and what it said."""
    folder = tmp_path_factory.mktemp("finetuned")
    texts, labels = told_apart_at_the_end(60)
    rows = [f"{text},{label}" for text, label in zip(texts, labels, strict=True)]
    (folder / "train.csv").write_text("\n".join(["text,label", "w " * 200 + ",a", *rows]) + "\n")
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    report = run("finetune", "--train", folder / "train.csv", "--config", folder / "tiny.json", "--epochs", 1,
                 "--validation-split", 0, "--output", folder / "model")  # fmt: skip
    convert(folder / "model", folder / FILE)
    return folder, report


def run(*arguments: Any) -> dict[str, Any]:
    """The last line of a command, which succeeds."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(list(map(str, arguments))) == 0
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def test_command_reads_long_texts_in_windows(finetuned):
    """It counts them, says which it cannot read whole, and saves how texts are read."""
    folder, report = finetuned
    assert report["windows"] == {"longer": 61, "most": 15, "read": 8, "mean": pytest.approx(2.1, abs=0.1)}
    assert report["truncated"] == 1
    assert any(
        "8 windows of 16 tokens and 64 bytes, and are cut; to read all: --windows 15" in w for w in report["warnings"]
    )
    assert EelbertClassifier.from_preset(folder / "model").preprocessor.max_windows == 8
    found = run("evaluate", "--model", folder / "model", "--test", folder / "train.csv")
    assert found["truncated"] == 1
    assert found["ms_per_100_words"] > 0


def test_file_and_runtime_read_windows(finetuned):
    """One window at a time goes through the file; the runtime cuts and averages as Keras does."""
    folder, _ = finetuned
    runtime = EelbertRuntime(folder / FILE)
    assert (runtime.metadata.max_windows, runtime.metadata.window_overlap) == (8, 0)
    expected = EelbertClassifier.from_preset(folder / "model").predict(TEXTS, verbose=0)
    assert runtime.predict(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert runtime.answer(LONG)["score"] == pytest.approx(runtime.classify(LONG)[0][1])
    assert [runtime.is_truncated(text) for text in (LONG, "w " * 200)] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--windows", "many"], "--windows: expected auto or a number from 1 to 1024, not many"),
        (["--windows", "2", "--task", "tagging"], "--windows: a tagger reads one window"),
        (["--windows", "2", "--window-overlap", "8"], "`window_overlap` must be at most half"),
        (["--windows", "2", "--text-columns", "text", "label"], "--windows: pairs of texts are read in one window"),
    ],
)
def test_wrong_options(finetuned, tmp_path, capsys, arguments, message):
    """One line, and nothing written."""
    folder, _ = finetuned
    command = [
        "finetune",
        "--train",
        folder / "train.csv",
        "--config",
        folder / "tiny.json",
        "--output",
        tmp_path / "m",
    ]
    assert main(list(map(str, [*command, *arguments]))) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
