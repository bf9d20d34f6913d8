"""Columns of texts and labels: every shape that people have them in, and one line that names the row of a mistake."""

from __future__ import annotations

import collections
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from eelbert_tf.config import EelbertConfig
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.preprocessing.columns import as_texts
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.preprocessing.targets import class_targets, class_weights, number_targets
from tests.conftest import randomize

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
HAS_DATASETS = importlib.util.find_spec("datasets") is not None

TEXTS = ["turn on the lights", "größer 中 😀", "", "turn off, please!", "a " * 12]
OTHERS = ["the lamp", "", "no", "a radio", "x"]
NAMES = ["on", "größer", "off", "on", "off"]
NUMBERS = [1, 2, 0, 1, 0]
LABELS = ["off", "on", "größer"]

Make = Callable[[list[Any]], Any]

# Columns of strings: texts, and names of classes.
COLUMNS: dict[str, Make] = {
    "list": list,
    "tuple": tuple,
    "deque": collections.deque,
    "values of a dictionary": lambda values: dict(enumerate(values)).values(),
    "list of bytes": lambda values: [value.encode() for value in values],
    "list of NumPy strings": lambda values: [np.str_(value) for value in values],
    "NumPy strings": np.array,
    "NumPy bytes": lambda values: np.array([value.encode() for value in values]),
    "NumPy objects": lambda values: np.array(values, object),
    "NumPy StringDType": lambda values: np.array(values, np.dtypes.StringDType()),
    "tensor": tf.constant,
    "pandas": pd.Series,
    "pandas objects": lambda values: pd.Series(values, dtype=object),
    "pandas string": lambda values: pd.Series(values, dtype="string"),
    "pandas category": lambda values: pd.Series(values, dtype="category"),
    "pandas on arrow": lambda values: pd.Series(values, dtype=pd.ArrowDtype(pa.string())),
    "pandas, rows in another order": lambda values: pd.Series(values, index=[7, 0, 3, 1, 2][: len(values)]),
    "pandas index": pd.Index,
    "pandas array": lambda values: pd.Series(values).array,
    "pandas table": lambda values: pd.DataFrame({"anything": values}),
    "polars": pl.Series,
    "polars category": lambda values: pl.Series(values, dtype=pl.Categorical),
    "polars table": lambda values: pl.DataFrame({"anything": values}),
    "pyarrow": pa.array,
    "pyarrow dictionary": lambda values: pa.array(values).dictionary_encode(),
    "pyarrow chunks": lambda values: pa.chunked_array([values[:2], values[2:]]),
    "pyarrow table": lambda values: pa.table({"anything": values}),
}
# Columns of numbers.
NUMBER_COLUMNS: dict[str, Make] = {
    "list": list,
    "tuple": tuple,
    "deque": collections.deque,
    "NumPy numbers in a list": lambda values: [np.int64(value) for value in values],
    "NumPy": np.array,
    "NumPy, one column": lambda values: np.array(values)[:, None],
    "NumPy floats": lambda values: np.array(values, np.float32),
    "tensor": tf.constant,
    "pandas": pd.Series,
    "pandas Int64": lambda values: pd.Series(values, dtype="Int64"),
    "pandas on arrow": lambda values: pd.Series(values, dtype=pd.ArrowDtype(pa.int64())),
    "pandas table": lambda values: pd.DataFrame({"anything": values}),
    "polars": pl.Series,
    "pyarrow": pa.array,
    "pyarrow chunks": lambda values: pa.chunked_array([values[:2], values[2:]]),
}
# One of each library goes through every method of a model, which takes a second.
IN_EVERY_METHOD = (
    *("list", "deque", "list of bytes", "NumPy objects", "NumPy floats", "tensor", "pandas", "pandas table"),
    *("polars", "pyarrow chunks", "datasets"),
)
# Columns that can hold a missing text, each with what they hold in its place.
MISSING: dict[str, tuple[Make, list[Any]]] = {
    "list": (list, [None, float("nan"), np.nan, pd.NA, pd.NaT]),
    "tuple": (tuple, [None]),
    "deque": (collections.deque, [None]),
    "NumPy objects": (lambda values: np.array(values, object), [None, float("nan"), pd.NA]),
    "NumPy StringDType": (lambda values: np.array(values, np.dtypes.StringDType(na_object=np.nan)), [np.nan]),
    "pandas": (pd.Series, [None, float("nan")]),
    "pandas objects": (lambda values: pd.Series(values, dtype=object), [None, float("nan"), pd.NA]),
    "pandas string": (lambda values: pd.Series(values, dtype="string"), [None, pd.NA]),
    "pandas table": (lambda values: pd.DataFrame({"anything": values}), [None, float("nan")]),
    "polars": (pl.Series, [None]),
    "pyarrow": (pa.array, [None]),
}
if HAS_DATASETS:

    def _dataset(values: list[Any]) -> Any:
        # Here, since every process of tests imports this file, and one runs it.
        return importlib.import_module("datasets").Dataset.from_dict({"anything": values})

    def _dataset_column(values: list[Any]) -> Any:
        return _dataset(values)["anything"]

    COLUMNS |= {"datasets": _dataset_column, "datasets table": _dataset}
    NUMBER_COLUMNS["datasets"] = _dataset_column
    MISSING["datasets"] = (_dataset_column, [None])


@pytest.fixture(scope="module")
def model(tiny: EelbertConfig) -> EelbertClassifier:
    """Random weights, which no training changes: the rate is 0, and nothing is dropped out."""
    config = tiny.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = randomize(EelbertClassifier(EelbertBackbone(config), labels=LABELS, dropout=0.0))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return model


@pytest.fixture(scope="module")
def pairs(tiny: EelbertConfig) -> EelbertClassifier:
    """The same for pairs of texts."""
    return randomize(EelbertClassifier(EelbertBackbone(tiny, pair=True), labels=LABELS))


@pytest.fixture(scope="module")
def logits(model: EelbertClassifier) -> np.ndarray:
    """What the model makes of each text alone."""
    found = np.concatenate([np.asarray(model(tf.constant([text]))) for text in TEXTS])
    assert np.ptp(found, axis=0).min() > 0.02
    return found


@pytest.fixture(scope="module")
def loss(logits: np.ndarray) -> float:
    """The cross-entropy of these logits with `NUMBERS`, by NumPy."""
    chosen = logits[np.arange(len(TEXTS)), NUMBERS]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))


def all_losses(model: EelbertClassifier, x: Any, y: Any) -> list[float]:
    """The loss of all texts, by every method that gives one."""
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    scores = [
        model.evaluate(x, y, return_dict=True, verbose=0),
        model.train_on_batch(x, y, return_dict=True),
        model.test_on_batch(x, y, return_dict=True),
    ]
    model.reset_metrics()
    return [*history["loss"], *history["val_loss"], *(float(score["loss"]) for score in scores)]


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_strings(kind: str, model: EelbertClassifier) -> None:
    """As texts and as names of classes, by what every method of a model calls first."""
    texts, targets = as_texts(COLUMNS[kind](TEXTS), pair=False), model.targets(COLUMNS[kind](NAMES))
    assert texts in (TEXTS, [text.encode() for text in TEXTS])
    assert targets.dtype == np.int32
    assert targets.tolist() == NUMBERS


@pytest.mark.parametrize("kind", [kind for kind in IN_EVERY_METHOD if kind in COLUMNS])
def test_columns_in_every_method(kind: str, model: EelbertClassifier, logits: np.ndarray, loss: float) -> None:
    """Every method gives what lists give."""
    x, y = COLUMNS[kind](TEXTS), COLUMNS[kind](NAMES)
    for found in (model.predict(x, verbose=0), model.predict_on_batch(x), model(x)):
        np.testing.assert_allclose(found, logits, rtol=0, atol=2e-6)
    assert [ranked[0][0] for ranked in model.classify(x)] == [LABELS[i] for i in logits.argmax(axis=1)]
    np.testing.assert_allclose(all_losses(model, x, y), loss, rtol=1e-5)


@pytest.mark.parametrize("kind", NUMBER_COLUMNS)
def test_columns_of_numbers(kind: str, model: EelbertClassifier, loss: float) -> None:
    """As indices of classes, and as targets of a regression."""
    y = NUMBER_COLUMNS[kind](NUMBERS)
    for targets, dtype in ((model.targets(y), np.int32), (number_targets(y), np.float32)):
        assert targets.dtype == dtype
        assert targets.tolist() == NUMBERS
    if kind in IN_EVERY_METHOD:
        np.testing.assert_allclose(all_losses(model, TEXTS, y), loss, rtol=1e-5)


def test_probabilities(model: EelbertClassifier, loss: float) -> None:
    """Arrays, lists of lists and tables of three columns are targets of another loss."""
    eye, weights = np.eye(3)[NUMBERS], model.get_weights()
    model = EelbertClassifier.from_config(model.get_config())  # the other one would be traced again after this test
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(0.0), keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    for y in (eye, eye.tolist(), tf.constant(eye), pd.DataFrame(eye), pl.DataFrame(eye)):
        np.testing.assert_allclose(all_losses(model, TEXTS, y), loss, rtol=1e-5)
    for y, message in (
        (np.eye(2)[[0, 1]], r"Expected 3 probabilities per text. Received labels of shape \(2, 2\)"),
        (3, "Received a single one: 3"),
        (np.float32(3), "Received a single one: "),
        (tf.constant(3), "Received a single one: "),
        (iter([0, 1]), "Received a single one: "),
        ([[1, 0, 0], [0, 1]], r"Expected 3 labels in each row, as in row 0. Received in row 1: \[0, 1\]"),
        ([[1, 0, 0], [0, -1, 2]], r"not negative. Received in row 1: \[0.*, -1.*, 2.*\]"),
        ([[1, 0, 0], [0, float("nan"), 1]], "must be finite .* Received in row 1"),
        (np.zeros((2, 3, 1)), r"numbers \[n, k\]. Received labels of shape \(2, 3, 1\)"),
        (np.array([["a", "b"]]), r"Received labels of shape \(1, 2\)"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            model.fit(["a", "b"], y, verbose=0)
        assert "\n" not in str(caught.value)


def test_columns_of_pairs(pairs: EelbertClassifier) -> None:
    """Rows of two, tables of two columns, and tuples of two columns of any kind."""
    rows = list(zip(TEXTS, OTHERS, strict=True))
    expected = pairs.predict(rows, verbose=0)
    assert np.ptp(expected, axis=0).min() > 0.02
    table = {"text_b": TEXTS, "text_a": OTHERS}  # in their order, whatever their names
    shapes = [
        [list(row) for row in rows],
        tuple(rows),
        collections.deque(rows),
        np.array(rows),
        np.array(rows, object),
        tf.constant(rows),
        pd.Series(rows),
        pd.DataFrame(table),
        pl.DataFrame(table),
        pa.table(table),
        *([importlib.import_module("datasets").Dataset.from_dict(table)] if HAS_DATASETS else []),
        *((make(TEXTS), make(OTHERS)) for make in COLUMNS.values()),
        (TEXTS, pl.Series(OTHERS)),
    ]
    for x in shapes:
        assert as_texts(x, pair=True) in (rows, [(a.encode(), b.encode()) for a, b in rows]), type(x)
    for x in (shapes[7], shapes[-1]):
        np.testing.assert_array_equal(pairs.predict(x, verbose=0), expected)
        np.testing.assert_allclose(pairs.predict_on_batch(x), expected, rtol=0, atol=2e-6)
        np.testing.assert_allclose(pairs(x), expected, rtol=0, atol=2e-6)


class Batches(keras.utils.PyDataset):
    """Two batches, of three texts and of two."""

    def __init__(self, make: Make, labels: Any) -> None:
        super().__init__()
        self.make, self.labels = make, labels

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        rows = slice(3) if index == 0 else slice(3, None)
        return (self.make(TEXTS[rows]), self.labels[rows]) if self.labels is not None else (self.make(TEXTS[rows]),)


def streams(make: Make, labels: Any) -> dict[str, Callable[[], Any]]:
    """Ways to give texts in batches, with labels or without."""

    def generate() -> Iterator[Any]:
        batches = Batches(make, labels)
        return (batches[i] for i in range(2))

    arrays = (TEXTS, labels) if labels is not None else TEXTS
    return {
        "tf.data": lambda: tf.data.Dataset.from_tensor_slices(arrays).batch(3),
        "tf.data, not batched": lambda: tf.data.Dataset.from_tensor_slices(arrays),
        "generator": generate,
        "PyDataset": lambda: Batches(make, labels),
    }


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("tf.data", list),
        ("tf.data, not batched", list),
        *((kind, make) for kind in ("generator", "PyDataset") for make in (list, np.array, pd.Series)),
    ],
)
def test_streams(kind: str, make: Make, model: EelbertClassifier, logits: np.ndarray, loss: float) -> None:
    """The same numbers from batches that others make; labels are names or numbers there too."""
    found = model.predict(streams(make, None)[kind](), batch_size=2, verbose=0)
    np.testing.assert_allclose(found, logits, rtol=0, atol=2e-6)
    for labels in (NAMES, NUMBERS):
        stream = streams(make, labels)[kind]
        scores = model.evaluate(stream(), return_dict=True, verbose=0)
        history = model.fit(stream(), verbose=0, validation_data=stream()).history
        np.testing.assert_allclose([scores["loss"], *history["loss"], *history["val_loss"]], loss, rtol=1e-5)


@pytest.mark.parametrize("kind", streams(list, None))
def test_what_is_wrong_in_a_stream_is_told(kind: str, model: EelbertClassifier) -> None:
    """An unknown name is reported as it is for a list, without TensorFlow's report around it."""
    names = [*NAMES[:3], "blue", "off"]
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="Unknown label. Known: 'off', 'on', 'größer'. Received.*'blue'") as caught:
            call(streams(list, names)[kind](), verbose=0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [0, 2, 4])
@pytest.mark.parametrize("kind", MISSING)
def test_missing_texts(kind: str, row: int, model: EelbertClassifier) -> None:
    """Whatever stands for none in a column, its row is named, at whichever end it is."""
    make, holes = MISSING[kind]
    for hole in holes:
        x = make([*TEXTS[:row], hole, *TEXTS[row + 1 :]])
        for call in (model.predict, model.predict_on_batch, model, model.classify, lambda x: model.fit(x, NAMES)):
            with pytest.raises(ValueError, match=f"^Row {row} has no text. Received: .*Leave the row out") as caught:
                call(x)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hole", [None, float("nan"), pd.NA])
def test_missing_sides_of_pairs(hole: Any, pairs: EelbertClassifier) -> None:
    """In rows, in two columns and in tables."""
    holed = ["a", "b", hole]
    shapes = ([*zip(holed, holed, strict=True)], (["a", "b", "c"], holed), pd.DataFrame({"a": holed, "b": ["c"] * 3}))
    for x in shapes:
        with pytest.raises(ValueError, match="Row 2 has no text on one side"):
            pairs.predict(x, verbose=0)
    with pytest.raises(ValueError, match="Row 1 has no text. Received"):
        pairs.predict([("a", "b"), hole], verbose=0)


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (-1, "Labels must be whole numbers from 0 to 2, or names of classes. Received in row {row}: -1"),
        (3, "from 0 to 2, or names of classes. Received in row {row}: 3"),
        (3.5, "from 0 to 2, or names of classes. Received in row {row}: 3.5"),
        (1.5, "from 0 to 2, or names of classes. Received in row {row}: 1.5"),
        (10**30, "from 0 to 2, or names of classes. Received in row {row}: 1"),
        (float("inf"), "from 0 to 2, or names of classes. Received in row {row}: inf"),
        (float("nan"), "Row {row} has no label. Received: nan"),
    ],
)
def test_wrong_numbers_of_classes(wrong: Any, message: str, row: int, model: EelbertClassifier) -> None:
    """In lists, arrays and columns; one line names the row, and nothing is learned."""
    labels = [*[1] * row, wrong, *[0] * (2 - row)]
    for y in (labels, tuple(labels), np.array(labels), np.array(labels, object), pd.Series(labels)):
        for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
            with pytest.raises(ValueError, match=message.format(row=row)) as caught:
                call(["a", "b", "c"], y)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hole", [None, float("nan"), pd.NA, pd.NaT, np.float32("nan")])
def test_missing_labels(hole: Any, model: EelbertClassifier) -> None:
    """Among names and among numbers, by row."""
    for y in (["on", "off", hole], [1, 0, hole], np.array(["on", "off", hole], object)):
        with pytest.raises(ValueError, match=r"^Row 2 has no label. Received: .* Leave the row out"):
            model.fit(["a", "b", "c"], y, verbose=0)
    for y in (
        pd.Series([1, 0, None]),
        pd.Series([1, 0, None], dtype="Int64"),
        pl.Series([1, 0, None]),
        pa.array([1, 0, None]),
    ):
        with pytest.raises(ValueError, match=r"^Row 2 has no label"):
            model.fit(["a", "b", "c"], y, verbose=0)


def test_wrong_names_of_classes(model: EelbertClassifier, tiny: EelbertConfig) -> None:
    """Unknown ones are shown beside the known ones, and a model without names says so."""
    for wrong in ("On", "", " on", "1", b"blue"):
        with pytest.raises(ValueError, match="Unknown label. Known: 'off', 'on', 'größer'. Received in row 1: "):
            model.fit(["a", "b"], ["on", wrong], verbose=0)
    with pytest.raises(ValueError, match=r"from 0 to 2, or names of classes. Received in row 1: \{'on'\}"):
        model.fit(["a", "b"], ["on", {"on"}], verbose=0)
    nameless = EelbertClassifier(EelbertBackbone(tiny), 2)
    with pytest.raises(ValueError, match=r"build it with `labels=\[...\]`. Received in row 0: 'on'"):
        nameless.fit(["a", "b"], ["on", "off"], verbose=0)
    many = [f"class {i}" for i in range(100)]
    with pytest.raises(ValueError, match=r"'class 19', ...\. Received in row 0: 'blue'$"):
        class_targets(["blue"], many, 100)


def test_targets_of_a_regression() -> None:
    """Numbers, finite, each in its row."""
    for wrong in (float("nan"), float("inf"), None):
        for y in ([1.0, wrong], np.array([1.0, wrong], np.float32), pd.Series([1.0, wrong])):
            with pytest.raises(ValueError, match="Expected finite numbers as labels. Received in row 1: "):
                number_targets(y)
    nothing: list[Any] = [pd.NA, "good", {}]
    for none in nothing:
        with pytest.raises(ValueError, match="Expected numbers as labels. Received in row 1: "):
            number_targets([1.0, none])
    assert number_targets([[1, 2], [3, 4]], 2).tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("a text", r"Expected a list of texts. Received one text: 'a text'. Put it into a list: \[text\]"),
        (b"a text", "Expected a list of texts. Received one text"),
        (np.str_("a text"), "Expected a list of texts. Received one text"),
        (tf.constant("a text"), r"Expected one column of texts, `\[n\]`. Received an array of shape \(\)"),
        (np.array("a text"), r"Received an array of shape \(\)"),
        (np.array([["a"], ["b"]]), r"Received an array of shape \(2, 1\)"),
        (np.array([["a", "b", "c"]]), r"Received an array of shape \(1, 3\)"),
        (tf.constant([["a", "b", "c"]]), r"Received an array of shape \(1, 3\)"),
        (np.array([[["a"]]]), r"Received an array of shape \(1, 1, 1\)"),
        (
            pd.DataFrame({"id": [1], "text": ["a"], "label": ["x"]}),
            r"one column of texts, or two for pairs. Received the columns: \['id', 'text', 'label'\]",
        ),
        (pl.DataFrame({"id": [1], "text": ["a"], "label": ["x"]}), r"Received the columns: \['id', 'text', 'label'\]"),
        (pa.table({"id": [1], "text": ["a"], "label": ["x"]}), r"Received the columns: \['id', 'text', 'label'\]"),
        ([("a", "b")], "takes one text per example, not pairs: build it with `pair=True`. Received in row 0"),
        (["a", ("a", "b")], "not pairs: build it with `pair=True`. Received in row 1"),
        ((["a"], ["b"]), "takes one text per example, not pairs"),
        ((pd.Series(["a"]), pd.Series(["b"])), "takes one text per example, not pairs"),
        (pd.DataFrame({"a": ["a"], "b": ["b"]}), "takes one text per example, not pairs"),
        (["a", 3], "Expected texts: strings, bytes. Received in row 1: 3"),
        (["a", ["b"]], r"Expected texts: strings, bytes. Received in row 1: \['b'\]"),
        (["a", np.array(["b", "c", "d"])], "Received in row 1: array"),
        (pd.Series([1, 2]), "Expected texts: strings, bytes. Received in row 0: 1"),
        ([b"a", b"b", 1.5], "Received in row 2: 1.5"),
    ],
)
def test_what_is_no_column_of_texts(x: Any, message: str, model: EelbertClassifier) -> None:
    """One line says what was expected, from every method and from the preprocessor alone."""
    preprocessor = model.preprocessor
    assert preprocessor is not None
    for call in (model.predict, model.predict_on_batch, model, preprocessor, lambda x: model.fit(x, [0])):
        with pytest.raises(ValueError, match=message) as caught:
            call(x)
        assert "\n" not in str(caught.value)


def test_single_texts_for_a_model_of_pairs(pairs: EelbertClassifier) -> None:
    """One text has no second side, also with a separator byte in it; a triple has one too many."""
    for x, message in (
        (["a\x1fb"], r"takes pairs: tuples of two texts. Received one text in row 0: 'a\\x1fb'"),
        ([("a", "b"), "alone"], "takes pairs: tuples of two texts. Received one text in row 1: 'alone'"),
        ([b"alone"], "takes pairs: tuples of two texts. Received one text in row 0"),
        (pd.Series(["alone"]), "takes pairs"),
        ([("a", "b", "c")], r"strings, bytes, or tuples of two. Received in row 0: \('a', 'b', 'c'\)"),
        ([("a", 1)], r"or tuples of two. Received in row 0: \('a', 1\)"),
        ((["a", "b"], ["c"]), "A pair's sides differ in length. Received: 2 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            pairs.predict(x, verbose=0)


def test_what_holds_no_texts_is_left_alone() -> None:
    """Arrays of numbers, dictionaries, datasets and batches go to Keras as they are."""
    arrays: tuple[Any, ...] = (np.zeros((2, 3)), tf.zeros((2, 3)), [np.zeros(3)], np.float32(1), np.zeros(()))
    for x in (
        *arrays,
        {"bytes": np.zeros((2, 3))},
        tf.data.Dataset.range(3),
        Batches(list, NAMES),
        iter(TEXTS),
        None,
        3,
    ):
        assert as_texts(x, pair=False) is None
        assert as_texts(x, pair=True) is None
    assert as_texts([], pair=False) == as_texts([], pair=True) == []
    assert as_texts(("a", "b"), pair=False) == ["a", "b"]  # two texts and no pair of columns


def test_texts_of_any_bytes() -> None:
    """Lone surrogates and invalid UTF-8 are texts, and arrive as they are; a separator byte is white space."""
    texts = ["\ud800", b"\xff\xfe", "\0a", "\x1f"]
    found = HashedTexts(8, 32)(texts)["bytes"]
    rows = [bytes(row.astype(np.uint8)).rstrip(b"\0") for row in found]
    assert rows == [b"\xed\xa0\x80", b"\xff\xfe", b"\0a", b" "]


@pytest.mark.parametrize(
    ("weights", "by_class"),
    [
        ({"on": 3.0, "off": 0.5}, [0.5, 3.0, 1.0]),
        ({1: 3.0, 0: 0.5}, [0.5, 3.0, 1.0]),
        ({np.int64(1): 3, "größer": 0}, [1.0, 3.0, 0.0]),
        ({}, [1.0, 1.0, 1.0]),
        ("balanced", [5 / (3 * 2), 5 / (3 * 2), 5 / (3 * 1)]),
    ],
)
def test_class_weights(weights: Any, by_class: list[float], model: EelbertClassifier) -> None:
    """By names, by numbers, or balanced: the loss is that of such weights of samples, alone and beside others."""
    expected = np.array(by_class, np.float32)[NUMBERS]
    np.testing.assert_allclose(class_weights(weights, np.array(NUMBERS), LABELS, 3), expected, rtol=1e-6)
    trust = np.array([1.0, 0.5, 2.0, 0.0, 1.0])
    for own in (None, trust, pd.Series(trust), pl.Series(trust), trust.tolist())[: None if weights else 2]:
        both = expected if own is None else expected * trust
        wanted = model.evaluate(TEXTS, NAMES, sample_weight=both, return_dict=True, verbose=0)["loss"]
        history = model.fit(TEXTS, NAMES, class_weight=weights, sample_weight=own, verbose=0).history["loss"]
        batch = model.train_on_batch(TEXTS, NAMES, own, weights, return_dict=True)["loss"]
        model.reset_metrics()
        np.testing.assert_allclose([*history, float(batch)], wanted, rtol=1e-5)


def test_class_weights_balance_what_is_there() -> None:
    """A class without texts takes no share; all others weigh the same in total."""
    targets = np.array([0] * 6 + [2] * 2)
    weights = class_weights("balanced", targets, None, 3)
    assert weights[targets == 0].sum() == pytest.approx(4) == weights[targets == 2].sum()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"blue": 2.0}, "unknown class. Known: 'off', 'on', 'größer'. Received: 'blue'"),
        ({3: 2.0}, "unknown class. .* Received: 3"),
        ({-1: 2.0}, "unknown class. .* Received: -1"),
        ({0.5: 2.0}, "unknown class. .* Received: 0.5"),
        ({"on": -1.0}, "finite and not negative. Received: -1.0 for 'on'"),
        ({"on": float("nan")}, "finite and not negative. Received: nan for 'on'"),
        ({"on": float("inf")}, "finite and not negative. Received: inf for 'on'"),
        ("fair", "\"balanced\", or a dictionary of weights by class. Received: class_weight='fair'"),
        ([1.0, 2.0, 3.0], '"balanced", or a dictionary'),
    ],
)
def test_wrong_class_weights(weights: Any, message: str, model: EelbertClassifier) -> None:
    """Nothing is weighed by what is no class."""
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=message):
            call(TEXTS, NAMES, class_weight=weights)
    if isinstance(weights, dict) and "blue" in weights:
        with pytest.raises(ValueError, match=message):
            model.fit(tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)), class_weight=weights, verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 4, r"one sample weight per text, \[5\]. Received weights of shape \(4,\)"),
        ([[1.0]] * 5, r"Received weights of shape \(5, 1\)"),
        ([1, 1, -2, 1, 1], "finite and not negative. Received in row 2: -2"),
        ([1, 1, 1, 1, float("nan")], "finite and not negative. Received in row 4: nan"),
        ([float("inf"), 1, 1, 1, 1], "finite and not negative. Received in row 0: inf"),
        ([1, 1, None, 1, 1], "finite and not negative. Received in row 2: nan"),
        (["much"] * 5, "must be numbers"),
    ],
)
def test_wrong_sample_weights(weights: Any, message: str, model: EelbertClassifier) -> None:
    """Each counts for one text."""
    for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=message):
            call(TEXTS, NAMES, sample_weight=weights)
