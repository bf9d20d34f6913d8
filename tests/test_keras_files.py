"""Keras's own `.keras` files: a model comes back as it was, in a process that has imported no more than the package."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from eelbert_tf import registration
from eelbert_tf.config import PACKAGE, EelbertConfig
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.optimizer import AdamW, adamw
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.preprocessing.wordpiece import RESERVED, WordPiece
from tests.conftest import randomize
from tests.forms import ROOT
from tests.shared import LIGHT_KERAS, LIGHT_TENSORFLOW

TEXTS = ["turn on the lights", "", "größer 中 😀", "word " * 30]
PIECES = [*RESERVED, b"turn", b"on", b"##s", b"light", b"\xff\xfe", "größer".encode()]


def state(model: Any) -> dict[str, Any]:
    """What a file must keep, as JSON."""
    optimizer = getattr(model, "optimizer", None)
    preprocessor = getattr(model, "preprocessor", None)
    return {
        "class": type(model).__name__,
        "name": model.name,
        "layers": [
            [layer.name, layer.trainable, layer.dtype_policy.name] for layer in model._flatten_layers() if layer.weights
        ],
        "trainable": [v.path for v in model.trainable_variables],
        "types": [v.dtype for v in model.weights],
        "labels": getattr(model, "labels", None),
        "preprocessor": preprocessor and [type(preprocessor).__name__, preprocessor.get_config()],
        "optimizer": optimizer and [type(optimizer).__name__, optimizer.get_config()],
        "loss": optimizer and type(model.loss).__name__,
        "iterations": optimizer and int(optimizer.iterations),
    }


# The line of imports is all that a user has to import.
ELSEWHERE = """
{imports}
import json, sys
folder = sys.argv[1]
models = {{name: keras.models.load_model(f"{{folder}}/{{name}}.keras") for name in json.loads(sys.argv[2])}}
import numpy as np
from tests.test_keras_files import outputs, state
results = {{}}
for name, model in models.items():
    results[name] = outputs(model)
    results[name + "/state"] = np.array(json.dumps(state(model)))
    for i, weight in enumerate(model.weights):
        results[f"{{name}}/{{i}}"] = np.asarray(weight).astype(np.float32)
np.savez("results.npz", **results)
"""


def outputs(model: Any) -> np.ndarray:
    """float32 `[n, ...]` for `TEXTS`."""
    pair = model.pair if isinstance(model, EelbertBackbone) else model.backbone.pair
    texts = [(text, text[::-1]) for text in TEXTS] if pair else TEXTS
    if isinstance(model, EelbertBackbone):
        inputs = HashedTexts(model.config.max_tokens, model.config.max_bytes, pair)(texts)
        return np.asarray(keras.ops.cast(model(inputs)["pooled_output"], "float32"))
    return np.asarray(keras.ops.cast(model(texts), "float32"))


def frozen(config: EelbertConfig) -> EelbertClassifier:
    """Its encoder learns nothing."""
    model = EelbertClassifier(EelbertBackbone(config), labels=["no", "yes"])
    model.backbone.trainable = False
    return model


def partly_frozen(config: EelbertConfig) -> EelbertClassifier:
    """Its first block, its lexicon and a layer of the second block learn nothing."""
    model = EelbertClassifier(EelbertBackbone(config), 3, name="mine")
    model.backbone.blocks[0].trainable = False
    model.backbone.blocks[1].intermediate.trainable = False
    model.backbone.lexicon.trainable = False
    return model


def trained(config: EelbertConfig) -> EelbertClassifier:
    """With a schedule, an optimizer that has done steps, another loss and other metrics."""
    model = EelbertClassifier(EelbertBackbone(config), labels=["a", "b"])
    optimizer = adamw(model, 3e-3, total_steps=40, weight_decay=0.05)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss, metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(1)], jit_compile=False)
    model.run_eagerly = True  # which is sooner done for four steps
    model.fit(TEXTS, np.eye(2)[[0, 1, 0, 1]], 2, epochs=2, verbose=0)
    model.run_eagerly = False
    return model


def mixed(config: EelbertConfig) -> EelbertClassifier:
    """Computes in bfloat16."""
    backbone = EelbertBackbone(config, dtype="mixed_bfloat16")
    return EelbertClassifier(backbone, labels=["a", "b"])


def half(config: EelbertConfig) -> EelbertSentenceEncoder:
    """Stored in bfloat16."""
    return EelbertSentenceEncoder(EelbertBackbone(config, dtype="bfloat16"))


def bert(config: EelbertConfig) -> EelbertClassifier:
    """With a vocabulary, one piece of which is no UTF-8."""
    config = config.replace(hash=None, lexicon_size=0, lexicon_width=0, vocab_size=len(PIECES))
    preprocessor = WordPiece(PIECES, config.max_tokens)
    return EelbertClassifier(EelbertBackbone(config), labels=["a", "b"], preprocessor=preprocessor)


def plain(config: EelbertConfig) -> EelbertClassifier:
    """As the constructor leaves it, but for pairs."""
    return EelbertClassifier(EelbertBackbone(config, pair=True), labels=["größer", "b", "c"], dropout=0.25)


def codes(config: EelbertConfig) -> EelbertClassifier:
    """With a quantized lexicon, which goes past the encoder too."""
    config = config.replace(pooling="mean", lexicon_codes=config.lexicon_width, lexicon_skip=True)
    return EelbertClassifier(EelbertBackbone(config), labels=["a", "b"])


MODELS = {
    "backbone": lambda config: EelbertBackbone(config, name="front"),
    "backbone_of_pairs": lambda config: EelbertBackbone(config.replace(pooling="mean"), pair=True),
    "sentence_encoder": lambda config: EelbertSentenceEncoder(EelbertBackbone(config)),
    "regression": lambda config: EelbertClassifier(EelbertBackbone(config), task="regression"),
    "plain": plain,
    "frozen": frozen,
    "partly_frozen": partly_frozen,
    "trained": trained,
    "mixed": mixed,
    "half": half,
    "bert": bert,
    "codes": codes,
}


@pytest.fixture(scope="module")
def originals(rich: EelbertConfig) -> dict[str, Any]:
    """A model of each kind, with random weights."""
    keras.utils.set_random_seed(3)
    models = {name: make(rich) for name, make in MODELS.items()}
    return {name: model if name == "trained" else randomize(model) for name, model in models.items()}


@pytest.fixture(scope="module")
def files(originals: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with a file of each, and their outputs."""
    folder = tmp_path_factory.mktemp("keras")
    for name, model in originals.items():
        model.save(folder / f"{name}.keras")
    return folder, {name: outputs(model) for name, model in originals.items()}


@pytest.mark.parametrize("imports", ["import eelbert_tf, keras", "import keras, eelbert_tf"])
def test_in_a_fresh_process(
    imports: str, originals: dict[str, Any], files: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """Weights to the bit, what is frozen, precisions, names of classes, optimizer, loss; outputs but for rounding."""
    folder, expected = files
    program = LIGHT_TENSORFLOW + ELSEWHERE.format(imports=imports)
    command = [sys.executable, "-c", program, str(folder), json.dumps(list(originals))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "results.npz") as results:
        for name, model in originals.items():
            assert json.loads(str(results[name + "/state"])) == json.loads(json.dumps(state(model))), name
            for i, weight in enumerate(model.weights):
                value = np.asarray(weight).astype(np.float32)
                np.testing.assert_array_equal(results[f"{name}/{i}"], value, err_msg=f"{name}: {weight.path}")
            tolerance = 0.05 if name in ("mixed", "half") else 5e-6
            np.testing.assert_allclose(results[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


def test_what_the_models_are(originals: dict[str, Any]) -> None:
    """The states that the files are to keep are there in the first place."""
    partly = originals["partly_frozen"]
    still = {v.path.partition("/")[2] for v in partly.weights} - {
        v.path.partition("/")[2] for v in partly.trainable_variables
    }
    assert any("block_0/query/kernel" in path for path in still)
    assert any("block_1/intermediate/kernel" in path for path in still)
    assert any("lexicon/table" in path for path in still)
    assert not any("block_1/query" in path for path in still)
    assert [v.path.rpartition("/")[2] for v in originals["frozen"].trainable_variables] == ["kernel", "bias"]
    trained = originals["trained"].optimizer
    assert isinstance(trained, AdamW)
    assert int(trained.iterations) == 4
    assert {v.dtype for v in originals["half"].weights} == {"bfloat16"}
    assert {v.dtype for v in originals["mixed"].weights} == {"float32"}
    assert originals["mixed"].backbone.blocks[0].query.compute_dtype == "bfloat16"


def test_training_goes_on(originals: dict[str, Any], tmp_path: Path) -> None:
    """A model that was saved in the middle takes the steps that it would have taken."""
    model = originals["trained"]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for variable, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(other), np.asarray(variable), err_msg=variable.path)
    before = model.get_weights()
    steps = [m.optimizer.variables for m in (model, again)]
    kept = [[np.asarray(v) for v in variables] for variables in steps]
    losses = [m.test_on_batch(TEXTS, np.eye(2)[[0, 1, 0, 1]], return_dict=True)["loss"] for m in (model, again)]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-5)
    for m in (model, again):
        m.optimizer.apply([keras.ops.ones_like(v) for v in m.trainable_variables])
    for a, b, old in zip(model.weights, again.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=a.path)
        assert (np.asarray(a) != old).any()
    model.set_weights(before)
    for variable, value in zip(steps[0], kept[0], strict=True):
        variable.assign(value)


def test_changes_that_a_file_cannot_hold(tiny: EelbertConfig, tmp_path: Path) -> None:
    """A quantized layer and LoRA's matrices are refused before a byte is written; an older file stays."""

    def quantized() -> EelbertClassifier:
        model = EelbertClassifier(EelbertBackbone(tiny))
        model.quantize("int8")
        return model

    def lora() -> EelbertClassifier:
        model = EelbertClassifier(EelbertBackbone(tiny))
        model.backbone.blocks[0].query.enable_lora(2)
        return model

    cases: tuple[tuple[Any, str], ...] = (
        (quantized, r"is quantized \(int8.*Save the model before `quantize`"),
        (lora, "LoRA's matr"),
    )
    for make, message in cases:
        model = make()
        places: dict[Path, Callable[[Path], None]] = {
            tmp_path / "model.keras": model.save,
            tmp_path / "folder": model.save_to_preset,
        }
        for place, save in places.items():
            with pytest.raises(ValueError, match=message) as caught:
                save(place)
            assert "\n" not in str(caught.value)
        for saved in (model.backbone, EelbertSentenceEncoder(model.backbone)):
            with pytest.raises(ValueError, match=message):
                saved.save(tmp_path / "model.keras")
            with pytest.raises(ValueError, match=message):
                saved.save_to_preset(tmp_path / "folder")
        assert not list(tmp_path.iterdir())
    older = EelbertBackbone(tiny)
    older.save_to_preset(tmp_path / "folder")
    older.save(tmp_path / "model.keras")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for save in (lora().save_to_preset, lambda _: lora().save(tmp_path / "model.keras")):
        with pytest.raises(ValueError, match="LoRA"):
            save(tmp_path / "folder")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_inside_a_users_model(tiny: EelbertConfig, tmp_path: Path) -> None:
    """An encoder is a layer of a functional model like any other, and comes back with it."""
    backbone = randomize(EelbertBackbone(tiny))
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("bytes", "padding_mask")}
    pooled = backbone(inputs)["pooled_output"]
    model = keras.Model(inputs, keras.layers.Dense(3, name="own")(pooled))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    batch = HashedTexts(tiny.max_tokens, tiny.max_bytes)(TEXTS)
    np.testing.assert_allclose(again(batch), model(batch), rtol=0, atol=1e-6)


def test_copies(originals: dict[str, Any]) -> None:
    """`clone_model`'s way: a configuration makes an equal model with weights of its own."""
    for name, model in originals.items():
        config = keras.saving.serialize_keras_object(model)
        json.dumps(config)
        again = keras.saving.deserialize_keras_object(config)
        assert type(again) is type(model)
        again.set_weights(model.get_weights())
        np.testing.assert_allclose(outputs(again), outputs(model), rtol=0, atol=2e-6, err_msg=name)


def test_every_class_has_a_stand_in() -> None:
    """What the modules register is what Keras is told of before they are imported."""
    told = {f"{PACKAGE}>{name}": module for module, names in registration.CLASSES.items() for name in names}
    for module in registration.CLASSES:
        importlib.import_module(f"{PACKAGE}.{module}")
    known = keras.saving.get_custom_objects()
    library = {
        name: value.__module__.removeprefix(f"{PACKAGE}.")
        for name, value in known.items()
        if isinstance(value, type) and value.__module__.startswith((f"{PACKAGE}.models", f"{PACKAGE}.preprocessing"))
    }
    assert library == told


def test_importing_the_package_imports_no_keras() -> None:
    """And classes can be taken in any order afterwards."""
    code = LIGHT_KERAS + "import eelbert_tf; assert 'keras' not in sys.modules; from eelbert_tf import {}"
    quick = "jax" if importlib.util.find_spec("jax") else "tensorflow"  # the first starts sooner
    backends = {"EelbertBackbone": "tensorflow", "HashedTexts": quick, "NgramHashEmbedding": quick}
    processes = [
        subprocess.Popen([sys.executable, "-c", code.format(name)], cwd=ROOT, env={**os.environ, "KERAS_BACKEND": on})
        for name, on in backends.items()
    ]
    assert [process.wait() for process in processes] == [0] * len(backends)


def test_folders_on_jax(originals: dict[str, Any], tmp_path: Path) -> None:
    """This library's own folders need no TensorFlow."""
    pytest.importorskip("jax")
    code = """
import sys
sys.modules["tensorflow"] = None  # whoever imports it now fails
import numpy as np
from eelbert_tf import EelbertClassifier
model = EelbertClassifier.from_preset(sys.argv[1] + "/model")
texts = [tuple(row) for row in np.load(sys.argv[1] + "/texts.npy")]
np.savez(sys.argv[1] + "/results.npz", np.array(model.labels), model.predict(texts, verbose=0), *model.weights)
"""
    model = originals["plain"]
    model.save_to_preset(tmp_path / "model")
    pairs = [(text, text[::-1]) for text in TEXTS]
    np.save(tmp_path / "texts.npy", np.array(pairs))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles sooner
    }
    command = [sys.executable, "-c", LIGHT_KERAS + code, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    with np.load(tmp_path / "results.npz") as results:
        labels, logits, *weights = (results[name] for name in results.files)
    assert labels.tolist() == model.labels
    np.testing.assert_allclose(logits, model.predict(pairs, verbose=0), rtol=0, atol=5e-6)
    for found, variable in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(found, variable.numpy(), err_msg=variable.path)


def test_symbolic_strings_outside_of_a_stream(tiny: EelbertConfig) -> None:
    """A preprocessor in `tf.data` gives what it gives outside of it."""
    preprocessor = HashedTexts(tiny.max_tokens, tiny.max_bytes)
    (inside,) = tf.data.Dataset.from_tensors(TEXTS).map(preprocessor)
    for name, array in preprocessor(TEXTS).items():
        np.testing.assert_array_equal(inside[name], array)


def test_export_takes_bytes(tiny: EelbertConfig, tmp_path: Path) -> None:
    """`export` of Keras needs no signature, for tasks that have answered texts alone."""
    encoder = randomize(EelbertSentenceEncoder(EelbertBackbone(tiny)))
    encoder.export(tmp_path / "encoder", verbose=False)
    inputs = HashedTexts(tiny.max_tokens, tiny.max_bytes)(["turn on the lights"])["bytes"]
    data = np.zeros((1, tiny.max_bytes), np.int32)
    data[:, : inputs.shape[1]] = inputs
    loaded = tf.saved_model.load(str(tmp_path / "encoder"))  # its variables live as long as this
    found = loaded.serve(data)
    np.testing.assert_allclose(found, encoder.predict(["turn on the lights"], verbose=0), atol=1e-5)
