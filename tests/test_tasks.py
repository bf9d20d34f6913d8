"""Tasks: texts in, the same results out; training that is reproducible, and mistakes that are told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.errors import InputWarning
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import LEXICAL_LOGITS, EelbertClassifier
from eelbert_tf.models.optimizer import AdamW
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.preprocessing.batches import TrainingBatches
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.preprocessing.wordpiece import WordPiece
from tests.conftest import randomize

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


class Batches(keras.utils.PyDataset):
    """Texts three at a time."""

    def __init__(self, *columns: list[Any]) -> None:
        super().__init__()
        self.columns = columns

    def __len__(self) -> int:
        return -(-len(self.columns[0]) // 3)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(column[3 * index : 3 * index + 3] for column in self.columns)


def test_streams_of_batches_of_any_width(model: EelbertClassifier) -> None:
    """The last batches are wider than the first ones; other containers are tested with the columns."""
    texts = sorted(MIXED, key=len)
    labels = ["a", "b", "c"] * 3
    batches = Batches(texts, labels)
    expected = model.predict(texts, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(3)
    for stream in (Batches(texts), dataset, (Batches(texts)[i] for i in range(3))):
        np.testing.assert_allclose(model.predict(stream, verbose=0), expected, rtol=0, atol=1e-5)
    scores = model.evaluate(texts, labels, return_dict=True, verbose=0)
    for stream in (batches, (batches[i] for i in range(3))):
        found = model.evaluate(stream, return_dict=True, verbose=0)
        assert found == pytest.approx(scores, rel=1e-5)


def test_fit_on_a_py_dataset(tiny: EelbertConfig) -> None:
    """It learns, with the batches in another order in each epoch, and the dataset is told of an epoch's end."""
    ends: list[int] = []
    orders: list[list[int]] = [[]]

    class Watched(Batches):
        def __getitem__(self, index: int) -> tuple[Any, ...]:
            orders[-1].append(index)
            return super().__getitem__(index)

        def on_epoch_end(self) -> None:
            ends.append(len(orders[-1]))
            orders.append([])

    model = classifier(tiny, labels=["bad", "good"])
    names = ["good" if label else "bad" for label in LABELS]
    history = model.fit(Watched(TEXTS, names), epochs=12, verbose=0)
    assert history.history["accuracy"][-1] == 1.0
    assert len(ends) == 12
    epochs = [order[-8:] for order in orders[:12]]
    assert all(sorted(order) == list(range(8)) for order in epochs)
    assert len({tuple(order) for order in epochs}) > 6


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

    def record(self: keras.Model, data: tf.data.Dataset, **kwargs: Any) -> keras.callbacks.History:
        seen.append([row.tobytes() for inputs, _ in data for row in inputs["embeddings"].numpy()])
        history = keras.callbacks.History()
        history.epoch = []
        return history

    model = classifier(tiny)
    monkeypatch.setattr(keras.Model, "fit", record)
    for texts in (TEXTS, tuple(TEXTS), np.array(TEXTS), tf.constant(TEXTS)):
        model.fit(texts, LABELS, 8, seed=2)
    model.fit(TEXTS, LABELS, 8, seed=3)
    model.fit(TEXTS, LABELS, 8, shuffle=False)
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert sorted(seen[0]) == sorted(seen[4]) == sorted(seen[5])
    assert seen[0] != seen[4]
    model.fit(TEXTS[::-1], LABELS[::-1], 8, shuffle=False)
    assert seen[6] == seen[5][::-1] != seen[5]


def test_fit_on_a_dataset_of_strings(tiny: EelbertConfig) -> None:
    """`tf.data` of (strings, labels) is encoded on its way to Keras."""
    model = classifier(tiny)
    dataset = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    history = model.fit(dataset, epochs=8, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] == 1.0


def test_fit_with_codes(tiny: EelbertConfig) -> None:
    """Books learn and codes stay; normalization 1 takes batches of any length."""
    config = tiny.replace(
        hash=HashConfig(widths=(6, 5, 5), normalization=1), pooling="mean", lexicon_size=64, lexicon_width=6
    )
    model = classifier(config.replace(lexicon_codes=3, lexicon_skip=True))
    lexicon, scale = model.backbone.lexicon, model.backbone.lexicon_scale
    before = [np.asarray(v) for v in (lexicon.code_table, lexicon.books, scale)]
    history = model.fit(TEXTS, LABELS, 8, epochs=8, seed=3, verbose=0)
    assert history.history["accuracy"][-1] == 1.0
    np.testing.assert_array_equal(lexicon.code_table, before[0])
    assert (np.asarray(lexicon.books) != before[1]).any()
    assert (np.asarray(scale) != before[2]).all()


def test_fit_compiled_by_xla(tiny: EelbertConfig) -> None:
    """With `jit_compile=True`, which Keras does not choose by itself on a CPU; pairs, in order."""
    keras.utils.set_random_seed(5)
    model = EelbertClassifier(EelbertBackbone(tiny.replace(hidden_dropout_prob=0.0), pair=True))
    model.compile(keras.optimizers.Adam(0.01), loss(), jit_compile=True)
    texts = [("word " * n, "other") for n in (1, 2, 4, 5)]
    history = model.fit(texts, [0, 0, 1, 1], 2, epochs=20, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_every_epoch_has_an_order_of_its_own(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether epochs are fitted at once or call by call; `initial_epoch` says where a new process goes on."""

    model = classifier(tiny)

    def orders(calls: list[dict[str, int]]) -> list[bytes]:
        model._epochs_seen = 0  # as in a new process
        found: list[bytes] = []
        order = TrainingBatches._order

        def watch(self: TrainingBatches, epoch: int) -> np.ndarray:
            drawn = order(self, epoch)
            found.append(drawn.tobytes())
            return drawn

        with monkeypatch.context() as patch:
            patch.setattr(TrainingBatches, "_order", watch)
            used = []
            for options in calls:
                found.clear()
                epochs = len(model.fit(TEXTS, LABELS, 8, seed=1, verbose=0, **options).epoch)
                used += found[:epochs]
        return used

    at_once = orders([{"epochs": 3}])
    assert len(set(at_once)) == 3
    assert orders([{"epochs": 1}] * 3) == at_once
    assert orders([{"epochs": 2}, {"epochs": 1}]) == at_once
    assert orders([{"epochs": 1}, {"epochs": 3, "initial_epoch": 1}]) == at_once
    assert orders([{"epochs": 3, "initial_epoch": 2}]) == at_once[2:]


def test_validation_split(tiny: EelbertConfig) -> None:
    """The last share of the texts is scored and never learned, with its weights, as Keras does it with arrays."""
    model = classifier(tiny, labels=["bad", "good"])
    held_out = ["zzz"] * 6
    names = ["good" if label else "bad" for label in LABELS]
    weights = np.array([1.0] * len(TEXTS) + [2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    history = model.fit(
        [*TEXTS, *held_out],
        [*names, *["good"] * 6],
        8,
        validation_split=0.2,
        sample_weight=weights,
        epochs=2,
        verbose=0,
    ).history
    alone = model.evaluate(held_out, ["good"] * 6, sample_weight=weights[-6:], return_dict=True, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(alone["loss"], rel=1e-5)
    again = classifier(tiny, labels=["bad", "good"])
    again.fit(TEXTS, names, 8, sample_weight=weights[:-6], epochs=2, verbose=0)
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    for share in (-0.1, 1.0, 1.5, 0.999, float("nan")):
        with pytest.raises(ValueError, match="must lie between 0 and 1 and leave texts in both parts"):
            model.fit(["a", "b"], [0, 1], validation_split=share, verbose=0)
    with pytest.raises(ValueError, match="Give `validation_data` or `validation_split`, not both"):
        model.fit(TEXTS, LABELS, validation_split=0.1, validation_data=(TEXTS, LABELS), verbose=0)


def test_compiled_when_it_is_made(tiny: EelbertConfig) -> None:
    """AdamW that spares biases, cross-entropy and accuracy; the mean squared error for scores."""
    keras.utils.set_random_seed(5)
    model = EelbertClassifier(EelbertBackbone(tiny), labels=["bad", "good"])
    assert isinstance(model.optimizer, AdamW)
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-4)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    names = ["good" if label else "bad" for label in LABELS]
    accuracy = 0.0
    for _ in range(6):  # 60 passes at most; fewer will do
        accuracy = model.fit(TEXTS, names, 4, epochs=10, verbose=0).history["accuracy"][-1]
        if accuracy == 1.0:
            break
    assert accuracy == 1.0
    assert model.classify("what a good film")[0][0] == "good"
    model.compile("sgd")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    scores = EelbertClassifier(EelbertBackbone(tiny), task="regression")
    assert isinstance(scores.loss, keras.losses.MeanSquaredError)
    scores.run_eagerly = True  # which is sooner done for one step
    assert list(scores.fit(["a", "b"], [0.5, 1.5], verbose=0).history) == ["loss"]


def test_classify(model: EelbertClassifier, pairs: EelbertClassifier, tiny: EelbertConfig) -> None:
    """Classes with probabilities, the likeliest first; for one text, for a column, for a pair."""
    shares = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(MIXED[:2], verbose=0)))
    first, second = model.classify(MIXED[:2])
    assert [name for name, _ in first] == [["a", "b", "c"][i] for i in (-shares[0]).argsort()]
    np.testing.assert_allclose([share for _, share in second], np.sort(shares[1])[::-1], rtol=1e-5)
    np.testing.assert_allclose([share for _, share in model.classify(MIXED[0])], np.sort(shares[0])[::-1], rtol=1e-4)
    assert [name for name, _ in pairs.classify(("a", "b"))] == [name for name, _ in pairs.classify([("a", "b")])[0]]
    assert {name for name, _ in pairs.classify(("a", "b"))} == {"0", "1"}
    assert model.classify([]) == []
    with pytest.raises(ValueError, match="A regression gives numbers and no classes: use `predict`"):
        EelbertClassifier(EelbertBackbone(tiny), task="regression").classify("a")


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
        (["a", 3], [0, 1], "Expected texts: strings, bytes. Received in row 1: 3"),
        (["a", None], [0, 1], "Row 1 has no text. Received: None"),
        (np.array(["a", 1.5], object), [0, 1], "Received in row 1: 1.5"),
        (np.array([["a", "b", "c"]]), [0], r"Received an array of shape \(1, 3\)"),
        ("a text", [0], "Expected a list of texts. Received one text: 'a text'"),
        (b"a text", [0], "Expected a list of texts"),
        (tf.constant("a text"), [0], "Expected one column of texts"),
        ([("a", "b")], [0], "one text per example, not pairs: build it with `pair=True`"),
        (np.array([["a", "b"]]), [0], "not pairs"),
        ((["a"], ["b"]), [0], "not pairs"),
        ([], [], "at least one text. Received none"),
        (["a", "b"], None, "one label per text. Received: y=None"),
        (["a", "b"], [0], "one label per text. Received: 2 texts and 1 labels"),
        (["a", "b"], 1, "one label per text. Received a single one: 1"),
        (["a", "b"], ["good", "bad"], "Unknown label. Known: 'a', 'b', 'c'. Received in row 0: 'good'"),
        (["a", "b"], [0, 3], "from 0 to 2, or names of classes. Received in row 1: 3"),
    ],
)
def test_wrong_texts_and_labels(model: EelbertClassifier, texts: Any, labels: Any, message: str) -> None:
    """`fit` and `evaluate` refuse them before anything is traced; columns of every kind have tests of their own."""
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            call(texts, labels, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(["a", "b"], [0, 1], validation_data=(texts, labels), verbose=0)


def test_wrong_preprocessors(tiny: EelbertConfig) -> None:
    """One that makes other inputs, or reads other lengths, than the backbone."""
    backbone = EelbertBackbone(tiny)
    pieces = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], tiny.max_tokens)
    bert = EelbertBackbone(tiny.replace(hash=None, vocab_size=5))
    for encoder, preprocessor, message in (
        (backbone, pieces, "needs a `HashedTexts`. Received: preprocessor=WordPiece"),
        (bert, HashedTexts(tiny.max_tokens, tiny.max_bytes), "needs a `WordPiece`. Received: preprocessor=HashedTexts"),
        (backbone, HashedTexts(8, tiny.max_bytes), "agree on `max_tokens`. Received: 16 in the backbone, 8 in the"),
        (backbone, HashedTexts(16, 32), "agree on `max_bytes`. Received: 64 in the backbone, 32 in the"),
        (backbone, HashedTexts(16, 64, pair=True), "agree on `pair`. Received: False in the backbone, True in the"),
    ):
        for task in (EelbertClassifier, EelbertSentenceEncoder):
            with pytest.raises(ValueError, match=message):
                task(encoder, preprocessor=preprocessor)
    without = EelbertClassifier(bert)
    for call in (without.predict, without.predict_on_batch, without, lambda x: without.fit(x, [0])):
        with pytest.raises(ValueError, match=r"build it with `preprocessor=WordPiece\(vocabulary\)`"):
            call(["a"])
    assert without.predict({"token_ids": np.zeros((1, 5), np.int32)}, verbose=0).shape == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "ranking"}, "one of classification, binary, multilabel, regression. Received: task='ranking'"),
        ({"labels": ["a"], "num_classes": 2}, "one name per class. Received: 1 for 2"),
        ({"num_classes": 0}, "must be positive"),
        ({"labels": "bad good"}, "must be a list of names. Received: labels='bad good'"),
        ({"labels": ["a", "b", "a"]}, "must differ from one another"),
        ({"labels": [1, "1"]}, "must differ from one another"),
    ],
)
def test_wrong_arguments(tiny: EelbertConfig, arguments: dict[str, Any], message: str) -> None:
    """The constructor names what is wrong."""
    with pytest.raises(ValueError, match=message):
        EelbertClassifier(EelbertBackbone(tiny), **arguments)


def test_loss_that_contradicts_the_task(tiny: EelbertConfig) -> None:
    """A loss that trains each logit by itself is questioned where answers are a softmax."""
    model = classifier(tiny, num_classes=3)
    with pytest.warns(InputWarning, match="multilabel"):
        model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))


def test_words_beside_a_mixed_policy(tiny: EelbertConfig) -> None:
    """Logits of words come in the policy's type, and are added to those of the head."""
    model = EelbertClassifier(EelbertBackbone(tiny, dtype="mixed_float16"), labels=["off", "on"])
    inputs = HashedTexts(tiny.max_tokens, tiny.max_bytes)(["a film"])
    added = np.array([[1.0, -2.0]], np.float32)
    found = model(inputs | {LEXICAL_LOGITS: added}) - model(inputs)
    np.testing.assert_allclose(found, added, atol=1e-2)
