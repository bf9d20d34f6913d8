"""The lexical head: keys, table and file agree with the reference; what is fitted is saved, and helps."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from eelbert_tf.__main__ import main
from eelbert_tf.config import HashConfig, LexicalConfig
from eelbert_tf.linear.books import learn_book
from eelbert_tf.linear.placement import place
from eelbert_tf.linear.tables import LexicalTable, largest_table, to_bytes
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import LEXICAL_LOGITS, EelbertClassifier
from eelbert_tf.models.frozen import text_features
from eelbert_tf.text import hashing, ngrams, splitting
from eelbert_tf.text.reference import Tokens, candidate_rows, ngram_keys, tokenize
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.training.finetune.beside import start_beside_words, word_logits
from eelbert_tf.training.finetune.heads import fit_heads, names_as_texts
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import Recipe
from tests.conftest import randomize
from tests.forms import FORMS, Form, hard_texts, padded
from tests.make_golden import GOLDEN
from tests.small_models import CONFIGS

ROWS = 256


def keys_by_ops(data: Any, form: Form, scatter: bool | None = None) -> ngrams.Ngrams:
    """The n-grams of texts, from int32 `[B, L]` on."""
    tokens = splitting.split(data, form.hash.normalization)
    tokens, layout = splitting.lay_out(tokens, form.max_bytes, form.max_tokens, form.pair)
    where = (*tokens[:3], layout.slots, form.max_tokens, form.hash)
    codes = hashing.word_codes(*where) if scatter is None else hashing.slot_codes(*where, scatter)[0]
    return ngrams.find_ngrams(codes, layout, form.hash, form.pair)


def read(text: bytes, form: Form) -> Tokens:
    """The tokens of a text, by the reference."""
    return tokenize(text, form.max_tokens, form.max_bytes, form.pair, form.hash.normalization)


@pytest.mark.parametrize("name", ["long", "normalized"])
def test_keys_match_the_reference(name: str) -> None:
    """Batched, and in both forms for exporters; with the rows where they may lie."""
    form = FORMS[name]
    texts = [b"a b a\x1fb c b", b"x" * 70 + b" y", b"", b"\x1f", *hard_texts(30)]
    data = padded(texts, form.max_bytes)
    found = keys_by_ops(ops.convert_to_tensor(data), form)
    keys, counts = (ops.convert_to_numpy(x) for x in found)
    rows, tags = (ops.convert_to_numpy(x) for x in ngrams.candidate_rows(found.keys, ROWS, form.hash))
    width = keys.shape[1]
    for i, text in enumerate(texts):
        there = np.flatnonzero(counts[i])
        mine = keys[i, there].view(np.uint32)
        assert sorted(mine.tolist()) == sorted(ngram_keys(read(text, form), form.hash)), text
        first, second, tag = candidate_rows(mine.astype(np.int64), ROWS, form.hash)
        assert (rows[i, there] == first).all()
        assert (rows[i, width + there] == second).all()
        assert (tags[i, there] == tag).all()
        assert (tags[i, width + there] == tag).all()
    for i, scatter in itertools.product(range(2), (True, False)):
        one = keys_by_ops(ops.convert_to_tensor(data[i : i + 1]), form, scatter)
        assert (ops.convert_to_numpy(one.keys)[0] * counts[i] == keys[i] * counts[i]).all()
        assert (ops.convert_to_numpy(one.counts)[0] == counts[i]).all()


def test_golden_ngrams() -> None:
    """The golden keys and rows, which are frozen."""
    vectors = json.loads(GOLDEN.read_text(encoding="ascii"))
    hashes = {record["name"]: record for record in vectors["hashes"]}
    fields = {field.name for field in dataclasses.fields(HashConfig)}
    for record in vectors["ngrams"]:
        config = HashConfig(**{name: value for name, value in hashes[record["hash"]].items() if name in fields})
        tokens = tokenize(bytes.fromhex(record["data"]), 32, 64, record["pair"])
        assert ngram_keys(tokens, config) == record["keys"]
        assert [list(candidate_rows(key, 4096, config)) for key in record["keys"]] == record["rows_and_tag"]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(rows=st.integers(1, 40), count=st.integers(0, 100), seed=st.integers(0, 2**16))
def test_placement(rows: int, count: int, seed: int) -> None:
    """Each has one of its two rows, none is shared; nobody is left out who could have come before all later ones."""
    candidates = np.random.default_rng(seed).integers(0, rows, (count, 2))
    placed = place(candidates)
    found = np.flatnonzero(placed >= 0)
    assert all(placed[i] in candidates[i] for i in found)
    assert len(set(placed[found].tolist())) == len(found)
    taken: dict[int, int] = {}  # by augmenting paths (Kuhn 1955): the rows of those that can be placed in this order

    def insert(i: int, seen: set[int]) -> bool:
        for row in candidates[i].tolist():
            if row not in seen:
                seen.add(row)
                if row not in taken or insert(taken[row], seen):
                    taken[row] = i
                    return True
        return False

    differ = candidates[:, 0] != candidates[:, 1]
    assert [i for i in range(count) if differ[i] and insert(i, set())] == found.tolist()


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(outputs=st.integers(1, 300), exclusive=st.booleans())
def test_sizes(outputs: int, exclusive: bool) -> None:
    """A table takes 64 kB at most where its book leaves room, and holds thousands of n-grams."""
    found = largest_table(outputs, exclusive)
    size = found.rows * (found.rank * (1 + found.coded) + 2) + 256 * outputs * found.coded
    assert size <= 2**16 or (found.coded and outputs > 200)
    assert found.rows >= (8192 if outputs <= 64 else 2048)
    assert found.coded == (outputs - exclusive > 6)


def test_book() -> None:
    """Rows along few directions are kept; of any rows each code takes away a part of what is left."""
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1, (40, 30)).astype(np.float32)
    rows = directions[rng.integers(0, 40, 3000)] * rng.normal(0, 1, (3000, 1)).astype(np.float32)
    config = LexicalConfig(4096, 2, coded=True)

    def kept(rows: np.ndarray, importance: np.ndarray) -> np.ndarray:
        values, kernel, codes, book = to_bytes(rows, importance, config)
        assert codes is not None
        assert book is not None
        entries = book[codes.astype(int) + 128].astype(np.float32)
        return (values[..., None] * entries).sum(axis=1) * kernel

    ones = np.ones(3000, np.float32)
    assert np.abs(kept(rows, ones) - rows).max() < 0.02 * np.abs(rows).max()
    others = rng.normal(0, 1, (3000, 30)).astype(np.float32)
    codes, gains, book = learn_book(others, ones, 2)
    left = others - gains[:, :1] * book[codes[:, 0]]
    assert np.square(left).sum() < 0.85 * np.square(others).sum()
    assert np.square(left - gains[:, 1:] * book[codes[:, 1]]).sum() < 0.85 * np.square(left).sum()
    heavy = np.where(np.arange(3000) < 100, 1000, 1).astype(np.float32)  # a hundred rows that count most are kept best
    assert (
        np.square(kept(others, heavy) - others)[:100].sum() < 0.5 * np.square(kept(others, ones) - others)[:100].sum()
    )
    assert not kept(np.zeros((3, 30), np.float32), ones[:3]).any()


def filled(model: EelbertClassifier, texts: list[bytes], pair: bool) -> dict[int, np.ndarray]:
    """Fills a model's table with random weights for n-grams of some texts; these weights by key."""
    config, rng = model.backbone.config, np.random.default_rng(3)
    form = Form(config.hash, config.max_tokens, config.max_bytes, pair)
    keys = np.array(sorted({key for text in texts for key in ngram_keys(read(text, form), config.hash)}), np.int64)
    first, second, tags = candidate_rows(keys, ROWS, config.hash)
    placed = place(np.stack([first, second], axis=1))
    found = placed >= 0
    lexical = model.lexical.config
    values = rng.integers(-127, 128, (found.sum(), 2)).astype(np.int8)
    where = (lexical, placed[found], tags[found], values)
    if lexical.coded:
        kernel = rng.normal(0, 2e-4, (1, model.num_classes)).astype(np.float32)
        codes, book = (rng.integers(-128, 128, size).astype(np.int8) for size in (values.shape, (256, kernel.size)))
        weights = (values[..., None] * book[codes.astype(int) + 128].astype(np.float32)).sum(axis=1) * kernel
        model.lexical.set_table(LexicalTable(*where, kernel, codes, book))
    else:
        kernel = rng.normal(0, 0.02, (2, model.num_classes)).astype(np.float32)
        weights = values @ kernel
        model.lexical.set_table(LexicalTable(*where, kernel))
    return dict(zip(keys[found].tolist(), weights, strict=True))


@pytest.mark.parametrize(
    ("name", "coded", "options"),
    [
        ("small", False, {"quantize": "int8"}),
        ("pair", False, {"target": "micro"}),
        ("small", True, {"target": "micro"}),
        ("pair", True, {"quantize": "int8"}),
    ],
)
def test_in_keras_and_in_files(name: str, coded: bool, options: dict[str, str], tmp_path: Path) -> None:
    """Logits are the sum that the specification says; folders, Keras's files and devices give the same."""
    keras.utils.set_random_seed(2)
    config, pair = CONFIGS[name], name == "pair"
    model = EelbertClassifier(EelbertBackbone(config, pair=pair), 3, lexical=LexicalConfig(ROWS, 2, coded))
    for weight in (*model.backbone.weights, *model.classifier.weights):
        spread = 0.2 if len(weight.shape) < 2 else weight.shape[0] ** -0.5
        weight.assign(np.asarray(weight) + np.random.default_rng(1).normal(0, spread, weight.shape))
    form = Form(config.hash, config.max_tokens, config.max_bytes, pair)
    texts = [b"turn on the lights", b"a b a\x1fb c b", *hard_texts(20)]
    known = filled(model, texts[::2], pair)
    data = padded(texts, config.max_bytes)
    logits = np.asarray(model(data))
    alone = EelbertClassifier(model.backbone, 3)
    alone.classifier.set_weights(model.classifier.get_weights())
    added = []
    for text in texts:
        tokens = read(text, form)
        total = sum((known.get(key, np.zeros(3)) for key in ngram_keys(tokens, config.hash)), np.zeros(3))
        added.append(total / np.sqrt(len(tokens.with_specials()[0])))
    np.testing.assert_allclose(logits - np.asarray(alone(data)), added, rtol=0, atol=1e-5)
    assert np.abs(added).max() > 1

    model.save_to_preset(tmp_path / "model")
    model.save(tmp_path / "model.keras")
    for again in (EelbertClassifier.from_preset(tmp_path / "model"), keras.models.load_model(tmp_path / "model.keras")):
        assert again.lexical.table.dtype == "int8"
        np.testing.assert_array_equal(np.asarray(again(data)), logits)
    fresh = EelbertClassifier.from_preset(tmp_path / "model", labels=["x", "y"])
    assert fresh.lexical is None
    report = convert(model, tmp_path / "model.tflite", **options)  # which compares with Keras, in TFLite Micro as well
    assert report["max_abs_diff"] < (0.1 if "quantize" in options else 1e-4)
    assert not {"SELECT", "ONE_HOT", "GATHER_ND"}.intersection(report["ops"])


WORDS = [f"w{i}" for i in range(40)]


def task(seed: int, count: int = 120) -> tuple[list[str], list[str]]:
    """Texts whose class is told by one word, or by the order of two: nothing that random weights embed well."""
    rng, texts, labels = np.random.default_rng(seed), [], []
    for i in range(count):
        words = [WORDS[k] for k in rng.integers(0, 40, 6)]
        label = ("off", "on")[i % 2]
        told = [["switch", "on"], ["switch", "off"]][i % 2 == 0] if i % 4 < 2 else [label, "please"]
        texts.append(" ".join([*words, *told]))
        labels.append(label)
    return texts, labels


def test_fit_head(tiny: Any, tmp_path: Path) -> None:
    """Words beside a random encoder learn what it cannot; held-out texts say whether they help; it can be undone."""
    keras.utils.set_random_seed(0)
    model = randomize(EelbertClassifier(EelbertBackbone(tiny), labels=["off", "on"]))
    texts, labels = task(0)
    others, truth = task(1)

    def accuracy() -> float:
        return float(model.evaluate(others, truth, return_dict=True, verbose=0)["accuracy"])

    model.predict(texts[:2], verbose=0)  # compiled without a lexical head
    report = model.fit_head(texts, labels, lexical=False)
    assert (report["lexical"], model.lexical) == (False, None)
    without = accuracy()
    report = model.fit_head(texts, labels)
    assert report["lexical"]
    assert report["held_out_loss_with_words"] < report["held_out_loss_of_encoder"]
    assert accuracy() > max(0.95, without + 0.1)
    expected = model.predict(others, verbose=0)
    model.save_to_preset(tmp_path / "model")
    again = EelbertClassifier.from_preset(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(others, verbose=0), expected)
    model.fit(texts, labels, epochs=1, verbose=0)  # the encoder may be trained beside it
    model.fit_head(texts[:40], labels[:40])  # another size
    assert len(model.weights) == len(again.weights)
    assert accuracy() > 0.8
    model.fit_head(texts, labels, lexical=False)
    assert len(model.weights) == len(again.weights) - 3
    with pytest.raises(ValueError, match="takes texts in a column"):
        model.fit_head(np.zeros((2, 8), np.int32), [0, 1])


@pytest.mark.usefixtures("untraced")
def test_fit_head_of_other_tasks(tiny: Any) -> None:
    """A regression, and weights of texts: what has no weight is not learned."""
    keras.utils.set_random_seed(0)
    scorer = randomize(EelbertClassifier(EelbertBackbone(tiny), task="regression"))
    texts, labels = task(0)
    scorer.fit_head(texts, [3.0 if label == "on" else 1.0 for label in labels])
    others, truth = task(1)
    scores = scorer.predict(others, verbose=0)[:, 0]
    assert np.corrcoef(scores, [label == "on" for label in truth])[0, 1] > 0.8
    assert 1.5 < scores.mean() < 2.5
    model = randomize(EelbertClassifier(EelbertBackbone(tiny), labels=["off", "on"]))
    flipped = ["on" if label == "off" else "off" for label in labels]
    model.fit_head(texts * 2, [*labels, *flipped], sample_weight=[1.0] * 120 + [0.0] * 120)
    assert model.evaluate(others, truth, return_dict=True, verbose=0)["accuracy"] > 0.9


@pytest.mark.usefixtures("untraced")
def test_finetune_of_few_texts(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fits the heads alone, says so, and writes a model; so it does from three texts."""
    randomize(EelbertBackbone(tiny)).save_to_preset(tmp_path / "preset")
    texts, labels = task(0)
    for count in (60, 3):
        rows = [f"{text},{label}" for text, label in zip(texts[:count], labels[:count], strict=True)]
        (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
        arguments = ["finetune", "--train", str(tmp_path / "train.csv"), "--preset", str(tmp_path / "preset")]
        assert main([*arguments, "--output", str(tmp_path / "model"), "--lexical", "on"]) == 0
        captured = capsys.readouterr()
        report = json.loads(captured.out)
        assert (report["method"], report["train_texts"], report["lexical"]) == ("convex", count, True)
        assert f"{report['ngrams']} words and word pairs beside it" in captured.err
        model = EelbertClassifier.from_preset(tmp_path / "model")
        found = model.predict(texts[:count], verbose=0).argmax(axis=1)
        assert [model.labels[i] for i in found] == labels[:count]


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["BookRestaurant", "not_happy", "Tür-öffnen"], ["Book Restaurant", "not happy", "Tür öffnen"]),
        (["joy", None, "anger"], ["joy", "anger"]),
        (["yes", "no"], []),
        (["A1", "B2"], []),
    ],
)
def test_names_as_texts(names: list[str | None], texts: list[str]) -> None:
    """Names that are words are examples of their classes; where one is not, none is."""
    assert list(names_as_texts(names).values()) == texts


def test_class_names_are_read(tiny: Any) -> None:
    """A word that stands in a class's name alone speaks for the class."""
    model = randomize(EelbertClassifier(EelbertBackbone(tiny), labels=["kitchen", "garden"]))
    train = Labelled(["a b", "c d", "a d", "c b"], ["kitchen", "garden", "kitchen", "garden"])
    assert fit_heads(model, train, lexical=True)["class_names_read"] == 2
    kitchen, garden = model.predict(["kitchen", "garden"], verbose=0) @ [1, -1]
    assert kitchen > garden
    numbers = randomize(EelbertClassifier(EelbertBackbone(tiny), labels=["0", "1"]))
    assert fit_heads(numbers, Labelled(train.texts, ["0", "1", "0", "1"]))["class_names_read"] == 0


def test_encoder_beside_words(tiny: Any) -> None:
    """Words answer for texts that they were not learned from; a training takes these answers, and moves the encoder."""
    keras.utils.set_random_seed(0)
    model = randomize(EelbertClassifier(EelbertBackbone(tiny), labels=["off", "on"]))
    (texts, labels), (others, truth) = task(0), task(1)
    hashes = model.word_hashes()
    train = Labelled(texts, labels, ready=model.ready(texts, hashes))
    dev = Labelled(others, truth, ready=model.ready(others, hashes))
    train, held_out, report = start_beside_words(model, train, dev, Recipe(lexical=None))
    assert held_out is not None
    assert report["lexical"]
    assert len(train.ready) == len(texts)
    numbers = np.array([label == "on" for label in labels], np.int32)
    batch = train.ready.batch(np.arange(len(texts)))
    own = word_logits(model, texts)
    margins = [(2 * numbers - 1) * (x[:, 1] - x[:, 0]) for x in (batch[LEXICAL_LOGITS], own)]
    assert (margins[0] > 0).mean() > 0.9
    assert margins[0].mean() < margins[1].mean()
    np.testing.assert_allclose(model.predict(held_out.ready, verbose=0), model.predict(others, verbose=0), atol=1e-5)
    found = text_features(model.backbone, model.encode(texts))
    assert found.pooled.shape == (len(texts), 16)
    before = model.backbone.blocks[0].query.kernel.numpy()
    model.train_on_batch(batch, numbers)
    assert np.abs(model.backbone.blocks[0].query.kernel.numpy() - before).max() > 0
