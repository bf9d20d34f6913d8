"""`NgramHashEmbedding`: kinds of input, configuration, saving, tf.data and compiled training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from eelbert_tf.config import HashConfig
from eelbert_tf.models.layers import NgramHashEmbedding
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import encode_texts
from tests.forms import FULL, ROOT, assert_close, hard_texts, padded
from tests.shared import LIGHT_TENSORFLOW

SLOTS, BYTES = 16, 64

RELOAD = """
import sys
import keras, numpy as np, tensorflow as tf
import eelbert_tf.models.layers
model = keras.models.load_model(sys.argv[1])
inputs = np.load(sys.argv[2])["data"]
texts = tf.constant([bytes(row).rstrip(b"\\0") for row in inputs.astype(np.uint8)])
np.savez(sys.argv[3], **{key: np.asarray(value) for key, value in model(texts).items()})
"""


def layer(**kwargs: Any) -> NgramHashEmbedding:
    """A small layer."""
    return NgramHashEmbedding(FULL, SLOTS, BYTES, **kwargs)


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Asserts equal bits."""
    assert found.keys() == expected.keys() == {"embeddings", "padding_mask", "segment_ids"}
    for key, value in expected.items():
        assert (np.asarray(found[key]) == np.asarray(value)).all(), key


@pytest.fixture(scope="module", autouse=True)
def reloading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that loads a saved model and runs it, beside the other tests."""
    folder = tmp_path_factory.mktemp("saved")
    paths = [folder / name for name in ("model.keras", "texts.npz", "results.npz")]
    inputs = keras.Input((), dtype="string")
    keras.Model(inputs, layer()(inputs)).save(paths[0])
    np.savez(paths[1], data=padded(hard_texts(80), BYTES))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LIGHT_TENSORFLOW + RELOAD, *map(str, paths)]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        yield process, paths[2]
        process.kill()


def test_texts_as_strings_and_as_bytes_agree() -> None:
    """Strings, int32, uint8 and int64 bytes give the same bits, and the reference's tokens."""
    texts = hard_texts(60)
    data = padded(texts, BYTES)
    found = layer()(tf.constant(texts))
    for kind in ("int32", "uint8", "int64"):
        same(layer()(data.astype(kind)), found)
    wide = np.concatenate([data, np.full_like(data, 97)], axis=1)
    same(layer()(wide), found)  # bytes beyond max_bytes are not read
    for i, text in enumerate(texts):
        tokens, _ = tokenize(text, SLOTS, BYTES).with_specials()
        assert_close(found["embeddings"][i, : len(tokens)], tokens, FULL)
        assert not np.asarray(found["embeddings"])[i, len(tokens) :].any()


def test_pairs_as_strings_and_as_bytes_agree() -> None:
    """A tuple of two string tensors is the same as bytes joined on the host."""
    first, second = hard_texts(60), hard_texts(60, seed=1)[::-1]
    found = layer(pair=True)((tf.constant(first), tf.constant(second)))
    same(layer(pair=True)(encode_texts(zip(first, second, strict=True), BYTES)), found)
    assert np.asarray(found["segment_ids"]).any()


def test_ready_tokens_agree_with_texts() -> None:
    """Tokens from the reference, specials and tokens above 64 bytes included, embed as they do within their text."""
    long = NgramHashEmbedding(FULL, SLOTS, 200)
    texts = hard_texts(60)
    tokens = [tokenize(text, SLOTS, 200).with_specials()[0] for text in texts]
    ready = [row + [b""] * (SLOTS - len(row)) for row in tokens]
    assert any(len(token) > 64 and b"\0" not in token for row in ready for token in row)
    whole, found = long(tf.constant(texts)), long(tf.constant(ready))
    same({**found, "embeddings": 0}, {**whole, "embeddings": 0})
    for row, words in zip(np.asarray(found["embeddings"]), ready, strict=True):
        assert_close(row, words, FULL)
    as_bytes = np.stack([padded(row, 200) for row in ready])  # [B, T, W]
    again = long(as_bytes)
    for row, words in zip(np.asarray(again["embeddings"]), ready, strict=True):
        assert_close(row, words, FULL)
    assert (np.asarray(again["padding_mask"]) == np.asarray(found["padding_mask"])).all()


def test_ready_tokens_are_hashed_as_they_are() -> None:
    """Nothing is lower-cased or split, and the empty string is an empty slot."""
    words = [b"Word", b"two words", b"[MASK]", b"", b"\xff"]
    found = layer()(tf.constant([words]))
    assert_close(found["embeddings"][0], words, FULL)
    assert np.asarray(found["padding_mask"]).tolist() == [[1, 1, 1, 0, 1]]


def test_empty_text() -> None:
    """An empty text is [CLS][SEP]; a batch may be empty."""
    found = layer()(tf.constant([""]))
    assert np.asarray(found["padding_mask"]).tolist() == [[1, 1] + [0] * (SLOTS - 2)]
    assert layer()(tf.zeros((0,), tf.string))["embeddings"].shape == (0, SLOTS, FULL.size)
    assert layer()(tf.zeros((0, 3), tf.string))["embeddings"].shape == (0, 3, FULL.size)


def test_fewer_slots() -> None:
    """`num_slots` lays out fewer token slots, as an integer or a tensor."""
    texts = tf.constant(["a b c", "d"])
    full = np.asarray(layer()(texts)["embeddings"])
    for slots in (8, tf.constant(8)):
        found = layer()(texts, num_slots=slots)
        assert found["padding_mask"].shape == (2, 8)
        assert (np.asarray(found["embeddings"]) == full[:, :8]).all()


def test_config_round_trip() -> None:
    """The configuration rebuilds the layer, through JSON types too."""
    config = HashConfig((6, 5), seed=9, boundaries=True, word_width=2, pooling="sqrtn")
    original = NgramHashEmbedding(config, 12, 40, pair=True, name="front")
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    assert rebuilt.get_config() == original.get_config()
    assert (rebuilt.hash, rebuilt.max_tokens, rebuilt.max_bytes, rebuilt.pair) == (config, 12, 40, True)
    assert NgramHashEmbedding().hash == HashConfig()
    assert not original.weights


def test_mixed_precision_leaves_the_hash_alone() -> None:
    """Under a float16 policy the embeddings are the same float32 numbers."""
    texts = tf.constant(hard_texts(20))
    same(layer(dtype="mixed_float16")(texts), layer()(texts))


def test_symbolic_shapes() -> None:
    """Every kind of symbolic input gives the shapes that the layer computes."""
    kinds: list[tuple[Any, int]] = [
        (keras.Input((), dtype="string"), SLOTS),
        (keras.Input((7,), dtype="string"), 7),
        (keras.Input((BYTES,), dtype="int32"), SLOTS),
        (keras.Input((None,), dtype="uint8"), SLOTS),
        (keras.Input((7, 20), dtype="int32"), 7),
        ((keras.Input((), dtype="string"), keras.Input((), dtype="string")), SLOTS),
    ]
    for inputs, slots in kinds:
        found = layer(pair=True)(inputs)
        assert found["embeddings"].shape == (None, slots, FULL.size)
        assert found["padding_mask"].shape == found["segment_ids"].shape == (None, slots)
    assert layer()(kinds[2][0], num_slots=8)["padding_mask"].shape == (None, 8)


def test_inside_tf_data() -> None:
    """In `tf.data.Dataset.map`, for texts, pairs and ready tokens."""
    texts = hard_texts(24)
    plain, pairs = layer(), layer(pair=True)
    data = tf.data.Dataset.from_tensor_slices(texts).batch(8)
    found = [batch.numpy() for batch in data.map(lambda x: plain(x)["embeddings"])]
    assert (np.concatenate(found) == np.asarray(plain(tf.constant(texts))["embeddings"])).all()
    found = [batch.numpy() for batch in data.map(lambda x: pairs((x, x))["embeddings"])]
    assert (np.concatenate(found) == np.asarray(pairs((tf.constant(texts),) * 2)["embeddings"])).all()
    words = tf.strings.split(tf.constant(["a bc def", "ghij"])).to_tensor("")
    ready = tf.data.Dataset.from_tensors(words).map(lambda x: plain(x)["embeddings"])
    assert_close(next(iter(ready))[0], [b"a", b"bc", b"def"], FULL)


def test_training_with_jit_compile() -> None:
    """A model on bytes trains inside one XLA program, and tells two words apart."""
    inputs = keras.Input((24,), dtype="int32")
    x = NgramHashEmbedding(HashConfig((6, 5)), 8, 24)(inputs)["embeddings"]
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, jit_compile=True)
    data = encode_texts(["turn it on", "turn it off"] * 16, 24)
    labels = np.array([0, 1] * 16)
    history = model.fit(data, labels, batch_size=16, epochs=40, verbose=0)
    assert history.history["loss"][-1] < 0.2
    assert (model(data[:2]).numpy().argmax(axis=1) == [0, 1]).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("a text", "Texts must be a tensor"),
        (["a", "b"], "Texts must be a tensor"),
        (("a", "b"), "Texts must be a tensor"),
        (tf.constant("a"), r"texts \[B\] or tokens \[B, T\]"),
        (tf.constant([[["a"]]]), r"texts \[B\] or tokens \[B, T\]"),
        ((tf.constant(["a"]),), "tuple of two string tensors"),
        ((tf.constant([["a"]]), tf.constant([["a"]])), "tuple of two string tensors"),
        ((tf.constant(["a"]), np.zeros((1, 4), np.int32)), "tuple of two string tensors"),
        ((tf.constant(["a"]), tf.constant(["b", "c"])), "differ in number. Received: 1 and 2"),
        (np.zeros((2, 8), np.float32), "bytes as int32 or uint8"),
        (np.zeros((2, 8), np.int8), "bytes as int32 or uint8"),
        (None, "bytes as int32 or uint8"),
        (np.zeros(8, np.int32), r"texts \[B, L\] or tokens \[B, T, W\]"),
        (np.zeros((2, 0), np.int32), r"texts \[B, L\] or tokens \[B, T, W\]"),
        (keras.KerasTensor((None, 8), "float32"), "bytes as int32 or uint8"),
        (keras.KerasTensor((None, 3, 4), "string"), r"texts \[B\] or tokens \[B, T\]"),
    ],
)
def test_wrong_inputs(inputs: Any, message: str) -> None:
    """Each gets a ValueError that says what was expected."""
    with pytest.raises(ValueError, match=message):
        layer()(inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NgramHashEmbedding(FULL, max_tokens=3), "must be at least 4. Received: max_tokens=3"),
        (lambda: NgramHashEmbedding(FULL, max_bytes=3), "must be at least 4"),
        (lambda: HashConfig(widths=()), "at least one positive width"),
        (lambda: HashConfig(widths=(3, 0)), "at least one positive width"),
        (lambda: HashConfig(word_width=-1), "`word_width` must not be negative"),
        (lambda: HashConfig(pooling="max"), '"mean" or "sqrtn"'),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    """The constructors name what is wrong."""
    with pytest.raises(ValueError, match=message):
        make()


def test_functional_model_reloads_in_a_fresh_process(reloading: tuple[subprocess.Popen[str], Path]) -> None:
    """A model on `keras.Input(dtype="string")` gives the same bits after `save` and `load_model` elsewhere."""
    process, path = reloading
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    with np.load(path) as results:
        same(dict(results), layer()(tf.constant(hard_texts(80))))
