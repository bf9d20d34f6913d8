"""Batches of texts: no text is lost, cut or reordered by the shapes that batches come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import EelbertConfig, named_config
from eelbert_tf.preprocessing.batches import OrderedBatches, TrainingBatches, for_backend
from eelbert_tf.preprocessing.hashed_texts import EncodedBytes, batch_shapes, count_tokens
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import encode_texts
from tests.forms import hard_texts

SENTENCES = [("word " * n).strip() for n in (1, 30, 2, 70, 0, 3, 12, 33, 5, 18, 2, 60, 4)]


def encode(texts: list[Any], config: EelbertConfig, pair: bool = False) -> EncodedBytes:
    """Texts as a model of this configuration reads them."""
    return EncodedBytes(texts, config.max_tokens, config.max_bytes, pair)


@pytest.fixture(scope="module")
def sentences(rich: EelbertConfig) -> EncodedBytes:
    """Thirteen texts of very different lengths."""
    return encode(SENTENCES, rich)


def test_shapes(tiny: EelbertConfig, rich: EelbertConfig) -> None:
    """Few, ever wider, and the last one is the model's own."""
    assert batch_shapes(tiny.max_tokens, tiny.max_bytes) == [(16, 64)]
    for config in (rich, named_config("eelbert_uno"), rich.replace(max_bytes=32), rich.replace(max_tokens=8)):
        shapes = batch_shapes(config.max_tokens, config.max_bytes)
        assert shapes[-1] == (config.max_tokens, config.max_bytes)
        assert 1 <= len(shapes) <= 6
        slots, widths = zip(*shapes, strict=True)
        assert sorted(set(slots)) == list(slots)
        assert sorted(widths) == list(widths)


@pytest.mark.parametrize("pair", [False, True])
def test_counts_are_the_reference_tokenizers(rich: EelbertConfig, pair: bool) -> None:
    """Filled slots of every hard text, in one call and one by one."""
    texts = [text.rstrip(b"\0") for text in hard_texts(120)]
    limits = rich.max_tokens, rich.max_bytes
    rows = encode(texts, rich, pair).rows
    expected = [len(tokenize(row, *limits, pair).with_specials()[0]) for row in rows]
    assert count_tokens(rows, *limits, pair).tolist() == expected
    assert [int(count_tokens([row], *limits, pair)[0]) for row in rows[:20]] == expected[:20]
    assert count_tokens([], *limits).tolist() == []


def test_a_batch_holds_its_texts_uncut(rich: EelbertConfig, sentences: EncodedBytes) -> None:
    """The narrowest shape in which the longest text of the batch fits."""
    shapes = batch_shapes(rich.max_tokens, rich.max_bytes)
    assert set(sentences.levels.tolist()) == {0, 1, 2}
    for i, text in enumerate(SENTENCES):
        batch = sentences.batch(np.array([i]))
        slots, width = shapes[int(sentences.levels[i])]
        assert batch["bytes"].shape == (1, width)
        assert batch["padding_mask"].shape == (1, slots)
        assert batch["bytes"].dtype == batch["padding_mask"].dtype == np.int32
        assert (batch["bytes"] == encode_texts([text], rich.max_bytes)[:, :width]).all()
        assert len(text.encode()) <= width or width == rich.max_bytes
        assert batch["padding_mask"].sum() == min(rich.max_tokens, len(text.split()) + 2)
    both = sentences.batch(np.array([0, 3]))
    assert both["bytes"].shape == (2, 400)


def test_training_order_depends_on_seed_and_epoch_alone(sentences: EncodedBytes) -> None:
    """Every text occurs in every epoch, and the last batch is filled up."""
    labels = np.arange(len(sentences))

    def orders(seed: int) -> list[list[list[int]]]:
        batches = TrainingBatches(sentences, labels, batch_size=4, seed=seed)
        found = []
        for _ in range(3):
            found.append([batches[i][1].tolist() for i in range(len(batches))])
            batches.on_epoch_end()
        return found

    first = orders(1)
    assert first == orders(1) != orders(2)
    assert first[0] != first[1] != first[2]
    for epoch in first:
        assert [len(batch) for batch in epoch] == [4, 4, 4, 4]
        assert {label for batch in epoch for label in batch} == set(range(13))


def test_ordered_batches_hold_every_text_once(sentences: EncodedBytes) -> None:
    """Shortest shapes first, and only the last batch is smaller."""
    batches = OrderedBatches(sentences, np.arange(13), 4, np.arange(13) * 10)
    items = [batches[i] for i in range(len(batches))]
    assert [len(labels) for _, labels, _ in items] == [4, 4, 4, 1]
    assert sorted(np.concatenate([labels for _, labels, _ in items]).tolist()) == list(range(13))
    assert all((weights == labels * 10).all() for _, labels, weights in items)
    widths = [inputs["bytes"].shape[1] for inputs, _, _ in items]
    assert widths == sorted(widths)
    assert len(OrderedBatches(sentences)[0]) == 1


@pytest.mark.parametrize("labels", [np.arange(13), np.arange(13)[:, None], np.eye(13, 3)])
def test_dataset_for_tensorflow(sentences: EncodedBytes, labels: np.ndarray) -> None:
    """Declares varying widths, keeps what is known of the labels, and moves on to the next epoch in time.

    Keras takes as many batches as there are and asks for no more, so nothing may wait for the dataset's end.
    """
    batches = TrainingBatches(sentences, labels, 4, seed=3, sample_weight=np.ones(13, np.float32))
    expected = TrainingBatches(sentences, labels, 4, seed=3)
    dataset = for_backend(batches)
    inputs, targets, weights = dataset.element_spec
    assert inputs["bytes"].shape.as_list() == inputs["padding_mask"].shape.as_list() == [None, None]
    assert targets.shape.as_list() == [None, *labels.shape[1:]]
    assert weights.shape.as_list() == [None]
    assert dataset.cardinality() == 4
    for _ in range(3):
        iterator = iter(dataset)
        for i in range(4):
            assert (next(iterator)[1].numpy() == expected[i][1]).all()
        expected.on_epoch_end()


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        (np.arange(12), None, "one label per text. Received: 13 texts and 12"),
        (np.arange(13), np.ones(14), "one sample weight per text. Received: 13 texts and 14"),
        (3, None, "one label per text. Received: 13 texts and a single number"),
        (["good"] * 13, None, "each label to be a number, a class's index for example. Received: "),
        ([None] * 13, None, "each label to be a number"),
    ],
)
@pytest.mark.parametrize("kind", [TrainingBatches, OrderedBatches])
def test_wrong_labels(sentences: EncodedBytes, kind: Any, labels: Any, weights: Any, message: str) -> None:
    """Labels and weights are numbers, one per text."""
    with pytest.raises(ValueError, match=message):
        kind(sentences, labels, sample_weight=weights)


def test_no_texts(rich: EelbertConfig) -> None:
    """There is nothing to make batches of."""
    with pytest.raises(ValueError, match="at least one text"):
        TrainingBatches(encode([], rich), np.zeros(0))
