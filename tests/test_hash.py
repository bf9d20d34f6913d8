"""The hash: constants, golden vectors, and `keras.ops` against the reference, on every backend and compiler."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from eelbert_tf.config import FNV_OFFSET, FNV_PRIME, MAX_WORD_BYTES, HashConfig
from eelbert_tf.text import hashing
from eelbert_tf.text.reference import CLS, MASK, SEP, embed_token, multipliers, signature, tokenize, word_signature
from tests.forms import (
    FORMS,
    FULL,
    ROOT,
    assert_close,
    by_ops,
    check,
    hard_texts,
    padded,
    ready_arrays,
    signatures_by_ops,
)
from tests.make_golden import GOLDEN, HASHES, TOKENS, as_text, example, golden

MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}
B = 2**32


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    """The golden file."""
    return json.loads(GOLDEN.read_text(encoding="ascii"))


@pytest.fixture(scope="module", autouse=True)
def jax_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """tests/forms.py in a fresh process on JAX, where TensorFlow cannot be imported, beside the other tests."""
    path = tmp_path_factory.mktemp("jax") / "results.npz"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.forms", str(path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        yield process, path
        process.kill()


@pytest.fixture(scope="module")
def jax_results(jax_process: tuple[subprocess.Popen[str], Path]) -> dict[str, np.ndarray]:
    """What that process wrote."""
    process, path = jax_process
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    with np.load(path) as results:
        return dict(results)


def part(results: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The results that stand under a name."""
    return {key.partition("/")[2]: value for key, value in results.items() if key.startswith(f"{name}/")}


def check_golden(records: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """Asserts that signatures and rows are the golden ones, and embeddings the reference's, which are golden too."""
    found = {key: np.asarray(value) for key, value in found.items()}
    for i, record in enumerate(records):
        for key in record:
            if key.startswith("signatures_"):
                valid = found["valid" + key[len("signatures") :]][i] == 1
                assert found[key][i].view(np.uint32)[valid].tolist() == record[key]
        last = np.flatnonzero(found["lasts"][i])
        assert len(last) == (record["token"] != "")
        if len(last):
            assert int(found["word"][i].view(np.uint32)[last[0]]) == record["word_signature"]
            assert int(found["lexicon_64"][i, last[0]]) == record["lexicon_64"]
            assert int(found["lexicon_2048"][i, last[0]]) == record["lexicon_2048"]
    tokens = [bytes.fromhex(record["token"]) for record in records]
    assert_close(found["embeddings"], tokens, HASHES[records[0]["hash"]])


def test_golden_file_is_what_the_reference_gives() -> None:
    """The file on disk is the one that tests/make_golden.py writes, and small."""
    text = GOLDEN.read_text(encoding="ascii")
    assert text == as_text(golden())
    assert len(text) < 300_000


def test_worked_example_of_the_specification() -> None:
    """The numbers in docs/hash.md are the reference's."""
    assert example() in (ROOT / "docs" / "hash.md").read_text(encoding="utf-8")


def test_multipliers_are_splitmix64() -> None:
    """The published outputs of SplitMix64 for the seed 1234567; all odd; a longer draw begins with the shorter."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert multipliers(1234567, 4).view(np.uint32).tolist() == [x >> 32 | 1 for x in published]
    many = multipliers(5, 1000)
    assert (many & 1).all()
    assert len(np.unique(many)) == 1000
    assert (many[:7] == multipliers(5, 7)).all()


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(s=st.integers(0, B - 1), h=st.integers(0, B - 1).map(lambda n: n | 1))
def test_wrapped_int32_is_the_papers_formula(s: int, h: int) -> None:
    """`int32(s * h) * 2 ** -31` is "modulo B, minus B where larger than B / 2, divided by B / 2"."""
    paper = s * h % B
    paper -= B if paper > B // 2 else 0
    wrapped = np.array([s], np.uint32).view(np.int32) * np.array([h], np.uint32).view(np.int32)
    if paper == B // 2:  # the one tie: the paper has +1 where two's complement has -1; s is 2 ** 31
        assert s == B // 2
        assert wrapped[0] == -B // 2
    else:
        assert wrapped[0] == paper
        assert wrapped[0] * 2.0**-31 == paper / (B / 2)


def test_projection_wraps() -> None:
    """`keras.ops` multiplies modulo 2 ** 32, as big integers do."""
    rng = np.random.default_rng(0)
    s = np.concatenate([rng.integers(0, B, 400), [0, 1, B - 1, B // 2, B // 2 - 1]]).astype(np.uint32)
    h = multipliers(3, 50)
    expected = [[(int(a) * int(b) + B // 2) % B - B // 2 for b in h] for a in s]
    found = ops.convert_to_numpy(hashing.project(ops.convert_to_tensor(s.view(np.int32)[None]), h))[0].T
    assert found.dtype == np.int32
    assert (found == expected).all()


def test_one_gram_is_exact_in_float32() -> None:
    """Where nothing is summed there is one rounding, to float32: the same bits as the reference's."""
    tokens = [bytes([c]) for c in range(256)]
    arrays = [ops.convert_to_tensor(x) for x in ready_arrays(tokens, 1)]
    found = np.asarray(signatures_by_ops(arrays[0], arrays[1], arrays[2], FULL)["embeddings"])
    assert (found == [embed_token(token, FULL) for token in tokens]).all()


def test_signature_is_the_polynomial_of_the_specification() -> None:
    """Horner's rule and the sum of powers agree in big integers."""
    units = list(b"polynomial")
    n = len(units)
    total = FNV_OFFSET * FNV_PRIME**n + sum(u * FNV_PRIME ** (n - 1 - i) for i, u in enumerate(units))
    assert signature(units) == total % B
    assert (FNV_OFFSET, FNV_PRIME) == (0x811C9DC5, 0x01000193)  # the published 32-bit constants


def test_word_signature_sees_the_last_64_bytes() -> None:
    """Longer tokens: bytes further back do not matter, and a longer token differs from its own last 64 bytes."""
    token = bytes(range(97, 97 + 16)) * 5
    assert word_signature(token, False) == word_signature(b"z" + token, False)
    assert word_signature(token[-64:], False) != word_signature(token, False)
    assert word_signature(token, True) != word_signature(token, False)
    assert MAX_WORD_BYTES == 64


def test_special_tokens_cannot_occur_in_text() -> None:
    """Text that spells a special token is split into other tokens."""
    for special in (CLS, SEP, MASK):
        words = tokenize(b"a " + special + b" b", 32, 64).first
        assert words == [b"a", b"[", special[1:-1].lower(), b"]", b"b"]
        assert not {CLS, SEP, MASK} & set(words)


def test_short_tokens_have_zero_blocks() -> None:
    """No trigram, no number: zeros, never NaN; the empty token is all zeros."""
    config = HashConfig(widths=(3, 3, 3), word_width=2)
    e = embed_token(b"a", config)
    assert e[:3].all()
    assert not e[3:9].any()
    assert e[9:].all()
    assert not embed_token(b"", config).any()


def test_poolings_differ_by_the_root_of_the_count() -> None:
    """The "sqrtn" block is the "mean" block times the square root of the number of n-grams."""
    mean, root = (embed_token(b"abcde", HashConfig((4, 4), pooling=pooling)) for pooling in ("mean", "sqrtn"))
    np.testing.assert_allclose(root, mean * np.sqrt([5] * 4 + [4] * 4), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "eager") for name in HASHES), ("all", "xla"), ("all", "graph")],
)
def test_golden_tokens(vectors: dict[str, Any], name: str, mode: str) -> None:
    """Signatures and lexicon rows bit for bit, embeddings within 1e-6, in TensorFlow."""
    records = [record for record in vectors["tokens"] if record["hash"] == name]
    arrays = [ops.convert_to_tensor(x) for x in ready_arrays(TOKENS, 200)]
    check_golden(records, MODES[mode](lambda *x: signatures_by_ops(x[0], x[1], x[2], HASHES[name]))(*arrays))


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "eager") for name in FORMS), ("pairs", "xla"), ("normalized", "xla")]
)
def test_texts_match_the_reference(name: str, mode: str) -> None:
    """From bytes to embeddings on hard texts, in TensorFlow."""
    form, texts = FORMS[name], hard_texts(200)
    data = ops.convert_to_tensor(padded(texts, form.max_bytes))
    check(texts, form, MODES[mode](lambda x: by_ops(x, form))(data))


_random_tokens = tf.function(lambda *x: signatures_by_ops(x[0], x[1], x[2], FULL))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(tokens=st.lists(st.binary(min_size=1, max_size=150), min_size=24, max_size=24))
def test_random_tokens(tokens: list[bytes]) -> None:
    """Any bytes as ready tokens, also longer than 64: word signatures are exact, embeddings near."""
    found = {key: np.asarray(value) for key, value in _random_tokens(*ready_arrays(tokens, 150)).items()}
    for i, token in enumerate(tokens):
        assert found["word"][i].view(np.uint32)[len(token) - 1] == word_signature(token, FULL.boundaries)
    assert_close(found["embeddings"], tokens, FULL)


@pytest.mark.parametrize(("length", "scatter"), [(128, False), (500, False), (500, True)])
def test_words_of_one_byte(length: int, scatter: bool) -> None:
    """The sums that float32 is worst at: the same number again and again, which rounds to the same side every time."""
    config, tokens = HashConfig(), [bytes([c]) * length for c in range(256)]
    chars, starts, continues = (ops.convert_to_tensor(x) for x in ready_arrays(tokens, length))
    slots = ops.zeros_like(chars)
    found = hashing.embed_tokens(chars, starts, continues, slots, 1, config, scatter=scatter)
    expected = [embed_token(token, config) for token in tokens]
    np.testing.assert_allclose(np.asarray(found)[:, 0], expected, rtol=0, atol=1e-6)


def test_order_and_padding_do_not_matter() -> None:
    """A text's result depends neither on its neighbours nor on the zeros behind it."""
    texts = [text[:60] for text in hard_texts(120)]
    for form in (FORMS["texts"], FORMS["pairs"]):
        data = padded(texts, 64)
        plain = {key: np.asarray(value) for key, value in by_ops(ops.convert_to_tensor(data), form).items()}
        order = list(range(len(texts)))
        random.Random(1).shuffle(order)
        shuffled = by_ops(ops.convert_to_tensor(data[order]), form)
        narrow = by_ops(ops.convert_to_tensor(data[:, :60]), form)
        for key in ("padding_mask", "segment_ids", "separate", "embeddings"):
            assert (np.asarray(shuffled[key]) == plain[key][order]).all()
            np.testing.assert_allclose(np.asarray(narrow[key]), plain[key], rtol=0, atol=5e-6)


def test_isotropy_script_hashes_as_the_reference() -> None:
    """experiments/isotropy.py computes the reference's embeddings, and a rank between 1 and the width."""
    path = ROOT / "experiments" / "isotropy.py"
    spec = importlib.util.spec_from_file_location("isotropy", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for config in (HashConfig((6, 5, 4)), HashConfig((6, 5, 4), boundaries=True, pooling="sqrtn")):
        words = script.DEVICE_WORDS
        found = script.embed_words(words, config)
        assert_close(found, words, config)
        assert 1 < script.effective_rank(found) <= 15


def test_golden_tokens_on_jax(vectors: dict[str, Any], jax_results: dict[str, np.ndarray]) -> None:
    """Signatures, lexicon rows and embeddings on JAX, compiled."""
    check_golden([record for record in vectors["tokens"] if record["hash"] == "all"], part(jax_results, "golden"))


@pytest.mark.parametrize(("name", "config"), [("layer", FULL), ("normalized", FORMS["normalized pairs"].hash)])
def test_layer_on_jax(jax_results: dict[str, np.ndarray], name: str, config: HashConfig) -> None:
    """`NgramHashEmbedding` on bytes of pairs, on JAX, compiled, without TensorFlow."""
    found = part(jax_results, name)
    for i, data in enumerate(hard_texts(200)):
        tokens, segments = tokenize(data, 16, 64, pair=True, normalization=config.normalization).with_specials()
        spare = [0] * (16 - len(tokens))
        assert_close(found["embeddings"][i], [*tokens, *(b"" for _ in spare)], config)
        assert found["padding_mask"][i].tolist() == [1] * len(tokens) + spare
        assert found["segment_ids"][i].tolist() == segments + spare
