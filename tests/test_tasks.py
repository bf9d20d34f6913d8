"""Tasks: texts of every kind in, the same results out; reproducible; saved and reloaded elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from eelbert_tf.config import EelbertConfig
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier, EelbertMaskedLM
from eelbert_tf.text.strings import encode_texts
from tests.conftest import randomize
from tests.forms import ROOT

GOOD, BAD = ("what a good film", "good", "a good one, really"), ("what a bad film", "bad", "a bad one, really")
TEXTS = [*GOOD, *BAD] * 4
LABELS = [1] * 3 + [0] * 3
LABELS = LABELS * 4
MIXED = [("word " * n).strip() or "" for n in (3, 70, 0, 30, 1, 12, 90, 2, 17)]  # of every batch shape of `rich`


def loss() -> keras.losses.Loss:
    """Cross-entropy of logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(config: EelbertConfig, pair: bool = False, **kwargs: Any) -> EelbertClassifier:
    """Fresh weights from a fixed seed, compiled; not by XLA, which takes seconds for each model."""
    keras.utils.set_random_seed(5)
    model = EelbertClassifier(EelbertBackbone(config, pair=pair), **kwargs)
    model.compile(keras.optimizers.Adam(0.01), loss(), metrics=["accuracy"], jit_compile=False)
    return model


@pytest.fixture(scope="module")
def model(rich: EelbertConfig) -> EelbertClassifier:
    """A classifier of three classes with random weights."""
    model = classifier(rich, num_classes=3, labels=["a", "b", "c"])
    randomize(model)
    return model


@pytest.fixture(scope="module")
def pairs(rich: EelbertConfig) -> EelbertClassifier:
    """A classifier of pairs with random weights."""
    return randomize(classifier(rich, pair=True))


def test_predict_keeps_the_order_of_texts(model: EelbertClassifier) -> None:
    """Whatever shapes the batches have, each row is what its text gives alone."""
    expected = np.concatenate([model(tf.constant([text])).numpy() for text in MIXED])
    assert np.ptp(expected, axis=0).min() > 0.05
    for batch_size in (2, 32):
        np.testing.assert_allclose(model.predict(MIXED, batch_size, verbose=0), expected, rtol=0, atol=1e-5)
    assert model.predict([], verbose=0).shape == (0, 3)


def test_every_container_of_texts(model: EelbertClassifier) -> None:
    """Lists and tuples of str or bytes, NumPy arrays of three types, tensors, and datasets of batches."""
    expected = model.predict(MIXED, verbose=0)
    data = [text.encode() for text in MIXED]
    for texts in (data, tuple(MIXED), np.array(MIXED), np.array(data), np.array(MIXED, object), tf.constant(MIXED)):
        np.testing.assert_array_equal(model.predict(texts, verbose=0), expected)
    dataset = tf.data.Dataset.from_tensor_slices(MIXED).batch(4)
    np.testing.assert_allclose(model.predict(dataset, verbose=0), expected, rtol=0, atol=1e-5)


def test_every_container_of_pairs(pairs: EelbertClassifier) -> None:
    """A list of tuples or lists, an array of two columns, a tuple of two sides."""
    other = MIXED[::-1]
    expected = pairs.predict(list(zip(MIXED, other, strict=True)), verbose=0)
    alone = [pairs((tf.constant([a]), tf.constant([b]))).numpy()[0] for a, b in zip(MIXED, other, strict=True)]
    np.testing.assert_allclose(expected, alone, rtol=0, atol=1e-5)
    columns = np.array([MIXED, other]).T
    for texts in ([list(row) for row in columns], columns, tf.constant(columns), (MIXED, other)):
        np.testing.assert_array_equal(pairs.predict(texts, verbose=0), expected)
    sides = (tf.constant(MIXED), np.array(other))
    np.testing.assert_array_equal(pairs.predict(sides, verbose=0), expected)


def test_fit_learns_and_is_reproducible(tiny: EelbertConfig) -> None:
    """Two models of one seed end with the same bits, whether or not one is validated on the way."""
    weights = []
    for options in ({"validation_data": (list(GOOD), [1, 1, 1])}, {}):
        model = classifier(tiny)
        history = model.fit(TEXTS, LABELS, 8, epochs=8, seed=3, verbose=0, **options).history
        weights.append([weight.numpy() for weight in model.weights])
        assert history["accuracy"][-1] == 1.0
        assert not options or history["val_accuracy"][-1] == 1.0
    assert all((a == b).all() for a, b in zip(*weights, strict=True))
    scores = model.evaluate(list(BAD), [0, 0, 1], return_dict=True, verbose=0)
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_fit_takes_what_predict_takes(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches from a list, an array and a tensor; the seed gives their order, and `shuffle=False` none."""
    seen: list[list[bytes]] = []

    def record(self: keras.Model, data: tf.data.Dataset, **kwargs: Any) -> None:
        seen.append([row.tobytes() for inputs, _ in data for row in inputs["bytes"].numpy()])

    model = classifier(tiny)
    monkeypatch.setattr(keras.Model, "fit", record)
    for texts in (TEXTS, tuple(TEXTS), np.array(TEXTS), tf.constant(TEXTS)):
        model.fit(texts, LABELS, 8, seed=2)
    model.fit(TEXTS, LABELS, 8, seed=3)
    model.fit(TEXTS, LABELS, 8, shuffle=False)
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert sorted(seen[0]) == sorted(seen[4]) == sorted(seen[5])
    assert seen[0] != seen[4]
    assert seen[5] == [row.tobytes() for row in encode_texts(TEXTS, tiny.max_bytes)]


def test_fit_on_a_dataset_of_strings(tiny: EelbertConfig) -> None:
    """`tf.data` of (strings, labels) goes to Keras as it is."""
    model = classifier(tiny)
    dataset = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    history = model.fit(dataset, epochs=8, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] == 1.0


def test_fit_compiled_by_xla(tiny: EelbertConfig) -> None:
    """With `jit_compile=True`, which Keras does not choose by itself on a CPU; pairs, in order."""
    keras.utils.set_random_seed(5)
    model = EelbertClassifier(EelbertBackbone(tiny.replace(hidden_dropout_prob=0.0), pair=True))
    model.compile(keras.optimizers.Adam(0.01), loss(), jit_compile=True)
    texts = [("word " * n, "other") for n in (1, 2, 4, 5)]
    history = model.fit(texts, [0, 0, 1, 1], 2, epochs=20, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_weights_of_samples_and_classes(tiny: EelbertConfig) -> None:
    """A weight of zero takes a text's influence away, and class weights multiply it."""
    lies = [*GOOD, *BAD] * 2
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    trust = np.array([1.0] * 6 + [0.0] * 6)
    model = classifier(tiny)
    model.fit(lies, labels, sample_weight=trust, epochs=20, verbose=0)
    assert model.predict(["what a good film", "bad"], verbose=0).argmax(axis=1).tolist() == [1, 0]
    weighted = model.evaluate(lies, labels, sample_weight=trust, verbose=0, return_dict=True)["loss"]
    plain = model.evaluate(lies, labels, verbose=0, return_dict=True)["loss"]
    assert weighted < plain / 2

    model.fit(lies, labels, class_weight={0: 0.0}, epochs=20, verbose=0)
    assert model.predict(lies, verbose=0).argmax(axis=1).all()


def test_regression(tiny: EelbertConfig) -> None:
    """One score per text, learned by mean squared error."""
    keras.utils.set_random_seed(0)
    model = EelbertClassifier(EelbertBackbone(tiny), num_classes=1, dropout=0.0, task="regression")
    model.compile(keras.optimizers.Adam(0.02), "mse")
    model.fit([*GOOD, *BAD], [3.5] * 3 + [0.0] * 3, epochs=20, verbose=0)
    scores = model.predict(["what a good film", "what a bad film"], verbose=0)
    assert scores.shape == (2, 1)
    assert scores[0, 0] > scores[1, 0] + 1.0


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", 3], [0, 1], "Expected texts: strings, bytes. Received among them: 3"),
        (["a", None], [0, 1], "Expected texts: strings, bytes. Received among them: None"),
        (np.array(["a", 1.5], object), [0, 1], "Received among them: 1.5"),
        (np.array([["a", "b", "c"]]), [0], "Received among them: array"),
        ("a text", [0], "Expected a list of texts. Received one text: 'a text'"),
        (b"a text", [0], "Expected a list of texts"),
        (tf.constant("a text"), [0], "Expected a list of texts"),
        ([("a", "b")], [0], "one text per example, not pairs: build it with `pair=True`"),
        (np.array([["a", "b"]]), [0], "not pairs"),
        ((["a"], ["b"]), [0], "not pairs"),
        ([], [], "at least one text. Received none"),
        (["a", "b"], None, "one label per text. Received: y=None"),
        (["a", "b"], [0], "one label per text. Received: 2 texts and 1"),
        (["a", "b"], ["good", "bad"], "each label to be a number"),
        (["a", "b"], [0, 3], "below `num_classes`, which is 3. Received among them: 3"),
    ],
)
def test_wrong_texts_and_labels(model: EelbertClassifier, texts: Any, labels: Any, message: str) -> None:
    """`fit` and `evaluate` refuse them before anything is traced."""
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            call(texts, labels, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(["a", "b"], [0, 1], validation_data=(texts, labels), verbose=0)


def test_wrong_options_of_fit(model: EelbertClassifier, pairs: EelbertClassifier) -> None:
    """What texts do not support is said so."""
    for options, message in (
        ({"validation_split": 0.1}, "`validation_split` is not supported for texts: pass `validation_data`"),
        ({"sample_weight": [1.0]}, "one sample weight per text. Received: 2 texts and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(["a", "b"], [0, 1], verbose=0, **options)
    with pytest.raises(ValueError, match=r"`class_weight` needs labels \[n\]"):
        model.fit(["a", "b"], np.eye(2, 3), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="A pair's sides differ in length. Received: 2 and 1"):
        pairs.predict((["a", "b"], ["c"]), verbose=0)
    with pytest.raises(ValueError, match=r"strings, bytes, or tuples of two. Received among them: \('a', 'b', 'c'\)"):
        pairs.predict([("a", "b", "c")], verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "ranking"}, '"classification" or "regression". Received: task=\'ranking\''),
        ({"labels": ["a"]}, "one name per class. Received: 1 for 2"),
        ({"num_classes": 0}, "must be positive"),
    ],
)
def test_wrong_arguments(tiny: EelbertConfig, arguments: dict[str, Any], message: str) -> None:
    """The constructor names what is wrong."""
    with pytest.raises(ValueError, match=message):
        EelbertClassifier(EelbertBackbone(tiny), **arguments)


def test_masked_language_model(tiny: EelbertConfig) -> None:
    """Logits for every slot or for masked positions only; the output words' embeddings stay as they are."""
    rng = np.random.default_rng(0)
    words = rng.normal(size=(30, 16)).astype(np.float32)
    model = EelbertMaskedLM(EelbertBackbone(tiny), words)
    randomize(model.backbone)
    texts = tf.constant(["turn on the lights", "off"])
    whole = model(texts)
    assert whole.shape == (2, 16, 30)
    positions = np.array([[3, 1], [1, 0]], np.int32)
    found = model({"bytes": texts, "masked_positions": positions})
    np.testing.assert_allclose(found, np.take_along_axis(whole.numpy(), positions[..., None], 1), rtol=0, atol=1e-5)
    assert whole.dtype == tf.float32
    np.testing.assert_array_equal(model.output_embeddings, words)

    trainable = {id(variable) for variable in model.trainable_variables}
    assert id(model.output_embeddings) not in trainable
    assert not any("pooler" in variable.path for variable in model.trainable_variables)
    assert id(model.output_bias) in trainable
    before = [weight.numpy() for weight in model.weights]
    model.compile(keras.optimizers.Adam(0.02), loss(), run_eagerly=True)
    inputs = {"bytes": texts, "masked_positions": tf.constant(positions)}
    model.fit(tf.data.Dataset.from_tensors((inputs, [[3, 4], [5, 6]])).repeat(12), shuffle=False, verbose=0)
    names = [weight.path.partition("/")[2] for weight in model.weights]
    still = {n for n, w, b in zip(names, model.weights, before, strict=True) if (w.numpy() == b).all()}
    assert {"output_embeddings", "pooler/kernel", "pooler/bias"} <= still
    assert not still - {"output_embeddings", "pooler/kernel", "pooler/bias", "block_0/key/bias"}
    better = keras.ops.softmax(model(inputs)).numpy().ravel()[[3, 34, 65, 96]]
    assert (better > keras.ops.softmax(found).numpy().ravel()[[3, 34, 65, 96]]).all()

    bert = EelbertMaskedLM(EelbertBackbone(tiny.replace(hash=None, vocab_size=9)))
    assert bert({"token_ids": np.zeros((1, 5), np.int32)}).shape == (1, 5, 9)
    with pytest.raises(ValueError, match="needs `output_embeddings` or `output_size`"):
        EelbertMaskedLM(EelbertBackbone(tiny))


ELSEWHERE = """
import sys
import keras, numpy as np
folder, texts = sys.argv[1], np.load(sys.argv[1] + "/texts.npy")
results = {}
def record(name, model, outputs):
    results[name] = np.asarray(outputs)
    results[name + "/weights"] = np.concatenate([np.asarray(w).ravel() for w in model.weights])
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    import eelbert_tf.models.classifier
    for name in ("single", "pair", "masked", "regression"):
        model = keras.models.load_model(f"{folder}/{name}.keras")
        inputs = (tf.constant(texts), tf.constant(texts[::-1])) if name == "pair" else tf.constant(texts)
        record(name, model, model(inputs))
else:
    sys.modules["tensorflow"] = None  # whoever imports it now fails
from eelbert_tf.models.classifier import EelbertClassifier
model = EelbertClassifier.from_preset(folder + "/saved")
record("saved", model, model.predict(texts, verbose=0))
results["labels"] = np.array(model.labels)
np.savez(f"{folder}/{keras.backend.backend()}.npz", **results)
"""


def test_saved_models_are_the_same_in_fresh_processes(
    tmp_path: Path, model: EelbertClassifier, pairs: EelbertClassifier, tiny: EelbertConfig
) -> None:
    """Keras's own `.keras` files of every task, and this library's directories, these on JAX without TensorFlow too.

    Weights have equal bits. Outputs may differ by a rounding: no two processes share out their work alike.
    """
    texts = np.array([*MIXED, "größer 中 😀"])
    np.save(tmp_path / "texts.npy", texts)
    model.save_to_preset(tmp_path / "saved")
    tasks = {
        "single": model,
        "pair": pairs,
        "masked": randomize(EelbertMaskedLM(EelbertBackbone(tiny), output_size=7)),
        "regression": randomize(EelbertClassifier(EelbertBackbone(tiny), 1, dropout=0.2, task="regression")),
    }
    for name, task in tasks.items():
        task.save(tmp_path / f"{name}.keras")
    processes = {
        backend: subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
            cwd=tmp_path,
            env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in ("jax", "tensorflow")
    }
    inputs = tf.constant(texts)
    expected = {name: task(inputs) for name, task in tasks.items() if name != "pair"}
    expected["pair"] = pairs((inputs, tf.constant(texts[::-1])))
    expected["saved"] = expected["single"]
    weights = {**tasks, "saved": model}
    for backend, process in processes.items():
        errors = process.communicate()[1]
        assert process.returncode == 0, errors[-2000:]
        with np.load(tmp_path / f"{backend}.npz") as results:
            assert results["labels"].tolist() == ["a", "b", "c"]
            names = set(expected) & set(results)
            assert names == (set(expected) if backend == "tensorflow" else {"saved"})
            for name in names:
                np.testing.assert_allclose(results[name], expected[name], rtol=0, atol=2e-6, err_msg=name)
                bits = np.concatenate([weight.numpy().ravel() for weight in weights[name].weights])
                np.testing.assert_array_equal(results[name + "/weights"], bits, err_msg=name)
