"""MirroredStrategy on two logical CPUs, in a process of its own: devices are divided before TensorFlow starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from eelbert_tf.saving.folders import WEIGHTS_FILE
from tests.configs import TINY
from tests.shared import LIGHT_TENSORFLOW
from tests.small_corpora import topical

PROGRAM = """
import json
import sys

import numpy as np
import tensorflow as tf

halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
engine = tf.distribute.MirroredStrategy


def two_cpus():  # by itself it takes GPUs, and collective operations of two strategies in one process collide
    return engine(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())


tf.distribute.MirroredStrategy = two_cpus

import keras

from eelbert_tf import EelbertBackbone, EelbertClassifier
from eelbert_tf.__main__ import main
from tests.configs import TINY

GOOD, BAD = ["a good film", "so good", "good, good"], ["a bad film", "so bad", "bad, bad"]


def build():
    keras.utils.set_random_seed(3)
    config = TINY.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = EelbertClassifier(EelbertBackbone(config), labels=["bad", "good"], dropout=0.0)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def fit(model):
    names = ["good"] * 3 + ["bad"] * 3
    held_out = ([*GOOD, "good", "bad"], ["good"] * 4 + ["bad"])  # a batch of 4 would leave one text for two devices
    return model.fit(GOOD + BAD, names, 4, epochs=2, validation_data=held_out, verbose=0).history


def report(model, history):
    copies = [getattr(weight.value, "values", [weight.value]) for weight in model.weights]
    return {
        "history": history,
        "logits": model.predict(GOOD + BAD, verbose=0).tolist(),
        "one": model.predict(GOOD[:1], verbose=0).tolist(),  # fewer texts than devices
        "weights": [copy[0].numpy().tolist() for copy in copies],
        "copies": sorted({len(copy) for copy in copies}),
        "alike": all(np.array_equal(copy[0], other) for copy in copies for other in copy),
    }


def refusal(call):
    try:
        call()
    except ValueError as error:
        return str(error)


found = {}
with tf.distribute.MirroredStrategy().scope():
    model = build()
    history = fit(model)
found["inside"] = report(model, history)
found["refused"] = [
    refusal(lambda: model.evaluate(["a"], ["bad"], verbose=0)),
    refusal(lambda: model.fit(GOOD, ["bad"] * 3, 1, verbose=0)),
]
with tf.distribute.MirroredStrategy().scope():
    model = build()
found["outside"] = report(model, fit(model))
model = build()
model.run_eagerly = True  # sooner than a graph
found["alone"] = report(model, fit(model))
for options in (["--output", "one"], ["--output", "two", "--strategy", "mirrored"]):
    found[options[1]] = main(["pretrain", *sys.argv[1:], *options])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program found, and its folder."""
    folder = tmp_path_factory.mktemp("strategies")
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    words = ["--corpus", topical().directory, "--config", "tiny.json", "--sequence-length", 16, "--batch-size", 16]
    words += ["--steps", 20, "--eval-every", 0, "--no-jit", "--clip-norm", 1e9]
    root = str(Path(__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", LIGHT_TENSORFLOW + PROGRAM, *map(str, words)],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return {**json.loads(run.stdout.splitlines()[-1]), "folder": folder}


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_fit_on_lists_with_names_of_classes(found: dict[str, Any], place: str) -> None:
    """In the scope and beside it: two equal copies of the weights, which are those that one device learns."""
    alone, report = found["alone"], found[place]
    assert (alone["copies"], report["copies"], report["alike"]) == ([1], [2], True)
    assert {name: len(values) for name, values in report["history"].items()} == dict.fromkeys(alone["history"], 2)
    assert np.isfinite(list(report["history"].values())).all()
    for texts in ("logits", "one"):
        np.testing.assert_allclose(report[texts], alone[texts], rtol=0, atol=1e-4)
    for weight, expected in zip(report["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-5)


def test_batches_smaller_than_the_devices(found: dict[str, Any]) -> None:
    """Where a device would get no text, one line says so."""
    message = "Each of the 2 devices needs a text of every batch. Received: "
    assert found["refused"] == [message + "1 texts, batch_size=32", message + "3 texts, batch_size=1"]


def test_pretraining_on_two_devices_equals_one(found: dict[str, Any]) -> None:
    """The weights of one, where Keras's clipping does not come into play."""
    assert found["one"] == found["two"] == 0
    one, two = (safetensors.numpy.load_file(found["folder"] / run / WEIGHTS_FILE) for run in ("one", "two"))
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-5, rtol=0, err_msg=name)
