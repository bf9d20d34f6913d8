"""Lexicons in codes and books: the layer against one of numbers, product quantization, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.config import HashConfig
from eelbert_tf.models.quantized_lexicon import k_means, product_quantize, quantize_lexicon, turn
from eelbert_tf.saving.folders import read_weights
from eelbert_tf.saving.info import read_info
from eelbert_tf.text.reference import lexicon_index, quantized_rows
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.training.tokens.tables import lexicon_counts
from tests.configs import RICH, TINY
from tests.conftest import randomize
from tests.forms import hard_texts
from tests.make_golden import GOLDEN, HASHES, example_codes
from tests.small_corpora import topical

CONFIG = TINY.replace(lexicon_size=64, lexicon_width=6)


def table(rows: int, width: int, seed: int = 0) -> np.ndarray:
    """Correlated columns of falling variance."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, width)) * 0.8 ** np.arange(width) @ rng.normal(size=(width, width))).astype("f4")


@pytest.mark.parametrize(("width", "hidden"), [(6, 16), (12, 12), (12, 8)])
def test_turned_table(width: int, hidden: int) -> None:
    """The projected rows are the same, lengths are kept, and all columns vary about as much."""
    points, kernel = table(500, width), table(width, hidden, 1)
    turned, back = turn(points, kernel)
    assert (turned.shape, back.shape) == (points.shape, kernel.shape)
    np.testing.assert_allclose(turned @ back, points @ kernel, rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.square(turned).sum(axis=1), np.square(points @ kernel).sum(axis=1), rtol=1e-4)
    assert (turned.var(axis=0) > 0.01 * turned.var()).all()
    assert (turn(points, kernel, 1)[0] != turned).any()


def test_few_rows_are_exact() -> None:
    """With no more rows than entries each row is its own entry; what remains of a book is zero."""
    points = table(100, 6)
    codes, books = product_quantize(points, 3)
    assert (str(codes.dtype), codes.shape, str(books.dtype), books.shape) == ("uint8", (100, 3), "float32", (3, 256, 2))
    np.testing.assert_allclose(quantized_rows(codes, books), points, rtol=0, atol=1e-5)
    assert not books[:, 100:].any()


def test_codes_name_the_nearest_entries() -> None:
    """By a loop over rows; more codes are nearer; a seed fixes all."""
    points = table(2000, 8)
    codes, books = product_quantize(points, 2)
    for row, named in zip(points[:50], codes, strict=False):
        for group, part in enumerate(np.split(row, 2)):
            distances = np.square(books[group] - part).sum(axis=1)
            assert distances[named[group]] == pytest.approx(distances.min(), abs=1e-5)
    errors = [np.square(quantized_rows(*product_quantize(points, m)) - points).mean() for m in (1, 2, 4)]
    assert errors[0] > 1.5 * errors[1] > 3 * errors[2] > 0
    again, other = product_quantize(points, 2, seed=0), product_quantize(points, 2, seed=1)
    np.testing.assert_array_equal(again[0], codes)
    np.testing.assert_array_equal(again[1], books)
    assert (other[0] != codes).any()


def test_frequent_rows_are_rounded_less() -> None:
    """Rows of a large weight, and rows that are all alike."""
    points, weights = table(4000, 4), np.where(np.arange(4000) < 400, 100.0, 1.0)
    codes, books = product_quantize(points, 1, weights)
    errors = np.square(quantized_rows(codes, books) - points).sum(axis=1)
    assert errors[:400].mean() < 0.5 * errors[400:].mean()
    nearest, centres = k_means(np.ones((1000, 3), np.float32), np.ones(1000), np.random.default_rng(0))
    np.testing.assert_array_equal(centres[nearest], 1)


def test_codes_and_books() -> None:
    """A row of codes stands for the entries that they name, one behind the other: in every way to look rows up."""
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.presets import weight_names

    config = RICH.replace(lexicon_width=6, lexicon_codes=3)
    quantized = randomize(EelbertBackbone(config))
    codes, books = (np.asarray(v) for v in (quantized.lexicon.code_table, quantized.lexicon.books))
    assert (str(codes.dtype), codes.shape, books.shape) == ("uint8", (RICH.lexicon_size, 3), (3, 256, 2))
    assert codes.max() > 127
    dense = EelbertBackbone(config.replace(lexicon_codes=0))
    weights = {name: np.asarray(variable) for name, variable in weight_names(quantized).items()}
    weights["lexicon/table"] = np.concatenate([books[i][codes[:, i]] for i in range(3)], axis=1)
    for name, variable in weight_names(dense).items():
        variable.assign(weights[name])
    data = encode_texts(hard_texts(20), RICH.max_bytes)
    for name, output in quantized(data).items():
        np.testing.assert_allclose(output, dense(data)[name], rtol=0, atol=1e-5, err_msg=name)
    rows = np.array([[0, 63, -1], [5, 5, 17]], np.int32)
    np.testing.assert_allclose(quantized.lexicon.look_up(rows), dense.lexicon.look_up(rows), rtol=0, atol=1e-6)
    trainable = {variable.path.rpartition("lexicon/")[2] for variable in quantized.lexicon.trainable_variables}
    assert trainable == {"books", "projection/kernel"}


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_codes_in_other_precisions(policy: str) -> None:
    """Codes stay whole numbers of one byte; the rest computes as the policy says."""
    import keras

    from eelbert_tf.models.backbone import EelbertBackbone

    config = TINY.replace(pooling="mean", lexicon_size=64, lexicon_width=6, lexicon_codes=3, lexicon_skip=True)
    model = randomize(EelbertBackbone(config))
    other = EelbertBackbone(config, dtype=policy)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other.lexicon.code_table, model.lexicon.code_table)
    data = encode_texts(["some words, and others", "one"], TINY.max_bytes)
    found = other(data)["pooled_output"]
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(keras.ops.cast(found, "float32"), model(data)["pooled_output"], rtol=0, atol=0.15)


def test_golden_rows() -> None:
    """The layer finds the rows of the golden file, through a projection that changes nothing."""
    from eelbert_tf.models.layers import HashLexicon

    records = json.loads(GOLDEN.read_text(encoding="ascii"))["quantized_rows"]
    lexicon = HashLexicon(64, 6, 6, HASHES["boundaries"], codes=3)
    lexicon.build()
    codes, books = example_codes()
    for variable, value in (
        (lexicon.code_table, codes),
        (lexicon.books, books),
        (lexicon.projection.kernel, np.eye(6)),
    ):
        variable.assign(value)
    rows = np.array([record["row"] for record in records], np.int32)
    np.testing.assert_array_equal(lexicon.look_up(rows), [record["numbers"] for record in records])


def test_quantized_backbone() -> None:
    """A lexicon of few rows gives the same outputs, also in the model that it was made of; books can learn on."""
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.presets import weight_names

    config = CONFIG.replace(pooling="mean", lexicon_skip=True)
    dense = randomize(EelbertBackbone(config, pair=True, name="mine"))
    data = encode_texts(hard_texts(20), config.max_bytes)
    before = np.asarray(dense(data)["pooled_output"])
    quantized = quantize_lexicon(dense, codes=3, counts=np.arange(64))
    assert quantized.config == config.replace(lexicon_codes=3)
    assert (quantized.pair, quantized.name) == (True, "mine")
    np.testing.assert_allclose(quantized(data)["pooled_output"], before, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(dense(data)["pooled_output"], before)
    weights = weight_names(dense)
    for name, variable in weight_names(quantized).items():
        if "lexicon/" not in name:
            np.testing.assert_array_equal(variable, weights[name], err_msg=name)
    with pytest.raises(ValueError, match="needs a lexicon of numbers.*lexicon_codes=3"):
        quantize_lexicon(quantized)
    with pytest.raises(ValueError, match="`lexicon_codes` must divide `lexicon_width`"):
        quantize_lexicon(dense, codes=4)
    with pytest.raises(ValueError, match="codes=0"):
        quantize_lexicon(dense, codes=0)
    for counts in (np.ones(63), -np.ones(64)):
        with pytest.raises(ValueError, match="`counts` must be 64 numbers from 0 on"):
            quantize_lexicon(dense, 3, counts)


def test_counts_of_a_corpus() -> None:
    """Each word counts in its row."""
    corpus, expected = topical(), np.zeros(64)
    assert CONFIG.hash is not None
    for word, count in zip(corpus.words[:], corpus.counts, strict=True):
        expected[lexicon_index(word, CONFIG.hash, 64)] += count
    np.testing.assert_array_equal(lexicon_counts(corpus, CONFIG), expected)


@pytest.mark.usefixtures("untraced")
def test_command(tmp_path: Path, capsys: Any) -> None:
    """A classifier's folder in, one with the same answers out; bad input in one line, and nothing is written."""
    from eelbert_tf.models.classifier import EelbertBackbone, EelbertClassifier

    model = randomize(EelbertClassifier(EelbertBackbone(CONFIG), labels=["a", "b"]))
    model.save_to_preset(tmp_path / "model", {"note": 1})
    output = tmp_path / "quantized"
    common = ["quantize", "--model", str(tmp_path / "model"), "--output", str(output)]
    assert main([*common, "--codes", "2", "--corpus", str(topical().directory)]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["lexicon_codes"], report["lexicon_bytes"]) == (2, 64 * 2 + 256 * 6)
    assert report["error"] < 1e-3
    info, digest = read_info(output)
    assert (info.config, info.labels, info.notes) == (CONFIG.replace(lexicon_codes=2), ["a", "b"], {"note": 1})
    assert read_weights(output, digest)["backbone/lexicon/codes"].shape == (64, 2)
    texts = ["some words, and others", "one"]
    again = EelbertClassifier.from_preset(output)
    np.testing.assert_allclose(again.predict(texts, verbose=0), model.predict(texts, verbose=0), rtol=0, atol=1e-4)

    other = CONFIG.replace(hash=HashConfig(widths=(6, 5, 5), normalization=1))
    EelbertBackbone(other).save_to_preset(tmp_path / "other")
    EelbertBackbone(TINY).save_to_preset(tmp_path / "without")
    for options, message in (
        (["--codes", "4"], "`lexicon_codes` must divide `lexicon_width`"),
        (["--codes", "0"], "at least one code for a row. Received: codes=0"),
        (["--model", str(output)], "lexicon_codes=2"),
        (["--model", str(tmp_path / "without")], "lexicon_size=0"),
        (["--model", str(tmp_path / "nothing")], "neither a directory nor a preset"),
        (["--codes", "3", "--corpus", str(tmp_path / "nothing")], "nothing"),
        (
            ["--codes", "3", "--model", str(tmp_path / "other"), "--corpus", str(topical().directory)],
            "its words have normalization 0, and the model's hash 1",
        ),
    ):
        assert main([*common, "--output", str(tmp_path / "new"), *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
    (output / "mine.txt").write_text("")
    assert main([*common, "--codes", "2"]) == 0
    assert (output / "mine.txt").exists()
