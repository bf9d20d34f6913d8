"""Columns of texts and of labels in every shape that people have them: one place turns them into plain lists.

A column may be a list, tuple, deque or view, a NumPy array, a pandas, polars or pyarrow column, a `datasets` column, a
tensor, or a table with one column. None of those libraries is imported: what they share is asked for by name.
"""

from __future__ import annotations

import collections
import re
from collections.abc import KeysView, Sequence, ValuesView
from typing import Any

import numpy as np

from eelbert_tf.text.strings import TextOrPair, is_string_tensor

_PLAIN = (list, tuple, collections.deque, KeysView, ValuesView)
_LIST_METHODS = ("to_pylist", "to_list", "tolist")  # pyarrow; pandas and polars; pandas' index and NumPy

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEAN = re.compile(r"true|false|True|False|TRUE|FALSE")

NO_PAIRS = "This model takes one text per example, not pairs: build it with `pair=True`."


def one_line(value: Any) -> str:
    """The beginning of what Python writes for a value, for messages; arrays take several lines."""
    return " ".join(line.strip() for line in repr(value).splitlines())[:100]


def as_list(x: Any) -> list[Any] | None:
    """The values of a column, or `None` where `x` is something else, a dataset for example.

    Args:
        x: any of the shapes named above.

    Returns:
        Plain Python values; a table with two columns, or an array `[n, 2]`, gives lists of two.

    Raises:
        ValueError: it is a single value, or has another number of columns than one or two.
    """
    if isinstance(x, _PLAIN):
        return list(x)
    if isinstance(x, str | bytes) or (not hasattr(x, "__len__") and not hasattr(x, "shape")):
        return None
    if is_string_tensor(x):
        if not hasattr(x, "numpy"):  # symbolic
            return None
        x = np.asarray(x)
    if is_table(x):
        return _rows_of_table(x)
    shape = getattr(x, "shape", None)
    if isinstance(shape, tuple) and (len(shape) == 0 or len(shape) > 2 or (len(shape) == 2 and shape[1] != 2)):
        raise ValueError(f"Expected one column of texts, `[n]`. Received an array of shape {shape}")
    for method in _LIST_METHODS:
        if hasattr(x, method):
            return list(getattr(x, method)())
    return list(x) if isinstance(x, Sequence) else None


def is_table(x: Any) -> bool:
    """Whether `x` is a table of pandas, polars, pyarrow or `datasets`."""
    return hasattr(x, "shape") and (hasattr(x, "columns") or hasattr(x, "column_names"))


def _rows_of_table(table: Any) -> list[Any]:
    """The rows of a table of one or two columns.

    Raises:
        ValueError: it has another number.
    """
    names = list(table.column_names if hasattr(table, "column_names") else table.columns)
    columns = [as_list(table[name]) or [] for name in names]
    if len(columns) == 1:
        return columns[0]
    if len(columns) == 2:
        return [list(row) for row in zip(*columns, strict=True)]
    raise ValueError(f"Expected a table with one column of texts, or two for pairs. Received the columns: {names}")


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: `None`, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(value != value)


def as_texts(x: Any, pair: bool) -> list[TextOrPair] | None:
    """Texts, or pairs of texts, out of what a user may pass.

    Args:
        x: a column of texts; for pairs a column of tuples, a table of two columns, or a tuple of two columns.
        pair: whether the model takes pairs.

    Returns:
        The texts; `None` where `x` is something else, a dataset or arrays for example.

    Raises:
        ValueError: a text is missing or is none, there are pairs where `pair` is not set or the other way round, or
            `x` is a single text.
    """
    if isinstance(x, str | bytes):
        raise ValueError(f"Expected a list of texts. Received one text: {x!r:.100}. Put it into a list: [text]")
    sides = _two_columns(x)
    if sides is not None:
        if not pair:
            raise ValueError(NO_PAIRS)
        if len(sides[0]) != len(sides[1]):
            raise ValueError(f"A pair's sides differ in length. Received: {len(sides[0])} and {len(sides[1])}")
        values: list[Any] | None = list(zip(*sides, strict=True))
    else:
        values = as_list(x) if _may_hold_texts(x) else None
    if values is None:
        return None
    return [_text(value, row, pair) for row, value in enumerate(values)]


def _two_columns(x: Any) -> tuple[list[Any], list[Any]] | None:
    """The sides of pairs that come as a tuple of two columns, or `None`."""
    if not isinstance(x, tuple) or len(x) != 2 or any(isinstance(part, str | bytes) for part in x):
        return None
    if not all(_may_hold_texts(part) for part in x) or any(isinstance(part, tuple) and len(part) == 2 for part in x):
        return None
    first, second = (as_list(part) for part in x)
    return None if first is None or second is None else (first, second)


def _may_hold_texts(x: Any) -> bool:
    """Whether `x` is a column of texts rather than numbers, tensors or a dataset."""
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "OSUT"
    if is_string_tensor(x):
        return hasattr(x, "numpy")
    if isinstance(x, _PLAIN):
        first = next(iter(x), "")
        return isinstance(first, str | bytes | tuple | list) or is_missing(first) or _is_text_array(first)
    if is_table(x):
        return True
    if hasattr(x, "isna"):  # pandas' arrays, which lack `to_list`
        return True
    return any(hasattr(x, method) for method in _LIST_METHODS[:2]) or (
        isinstance(x, Sequence) and not isinstance(x, str | bytes) and not _is_batches(x)
    )


def _is_text_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "OSUT"


def _is_batches(x: Any) -> bool:
    """Whether `x` makes batches: a PyDataset has a length and items too."""
    return hasattr(x, "on_epoch_end")


def _text(value: Any, row: int, pair: bool) -> TextOrPair:
    """One text, or a tuple of two.

    Raises:
        ValueError: it is neither, or does not fit `pair`.
    """
    if isinstance(value, str | bytes):
        if pair:
            raise ValueError(
                f"This model takes pairs: tuples of two texts. Received one text in row {row}: {one_line(value)}"
            )
        return value
    if is_missing(value):
        raise ValueError(
            f'Row {row} has no text. Received: {value!r}. Leave the row out, or fill it, with "" for example'
        )
    if isinstance(value, tuple | list | np.ndarray) and len(value) == 2:
        for side in value:
            if is_missing(side):
                raise ValueError(f"Row {row} has no text on one side. Received: {tuple(value)!r:.100}")
        if all(isinstance(side, str | bytes) for side in value):
            if not pair:
                raise ValueError(f"{NO_PAIRS} Received in row {row}: {tuple(value)!r:.100}")
            first, second = value
            return first, second
    raise ValueError(
        f"Expected texts: strings, bytes{', or tuples of two' * pair}. Received in row {row}: {one_line(value)}"
    )


def class_targets(y: Any, labels: Sequence[str | None] | None, num_classes: int) -> np.ndarray:
    """Labels of classes as numbers.

    Args:
        y: a column of class names (where the model has `labels`) or of class indices; or an array
            `[n, num_classes]` of probabilities. Where names are numbers, a number is a name and never an index.
        labels: names of the classes, in the order of the logits.
        num_classes: C.

    Returns:
        int32 `[n]` of indices, or float32 `[n, num_classes]`.

    Raises:
        ValueError: a label is missing, unknown, or no whole number from 0 to C - 1; the message names its row.
    """
    values = _label_values(y)
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.ndim == 2:
        return _probabilities(array, num_classes)
    classes = ClassNames(labels, num_classes)
    rows = enumerate(values.tolist() if array is not None else values)
    return np.array([classes.index(value, row) for row, value in rows], np.int32)


def binary_targets(y: Any, labels: Sequence[str | None] | None) -> np.ndarray:
    """Labels of two classes as the probability of the second.

    Args:
        y: a column of class names or class indices, as in `class_targets`; probabilities of the second class, `[n]`; or
            of both, `[n, 2]`.
        labels: names of the two classes.

    Returns:
        float32 `[n]`.

    Raises:
        ValueError: a label is missing or unknown; the message names its row.
    """
    values = _label_values(y)
    if isinstance(values, list) and values and all(type(value) is float for value in values):
        values = np.array(values)
    is_number = isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim == 1
    if is_number and not ClassNames(labels, 2).has_numbers and ((values > 0) & (values < 1)).any():
        return _probabilities(np.stack([1 - values, values], axis=1), 2)[:, 1]
    targets = class_targets(values, labels, 2)
    return targets[:, 1] if targets.ndim == 2 else targets.astype(np.float32)


def multilabel_targets(y: Any, labels: Sequence[str | None] | None, num_labels: int) -> np.ndarray:
    """Any number of labels a text, as 0 and 1.

    Args:
        y: an array `[n, num_labels]` of 0 and 1, or of probabilities; or a column whose rows are lists, tuples or sets
            of names.
        labels: names of the labels, in the order of the logits.
        num_labels: C.

    Returns:
        float32 `[n, num_labels]`.

    Raises:
        ValueError: a row is something else, or names an unknown label; the message names it.
    """
    values = None if is_table(y) or len(getattr(y, "shape", ())) > 1 else as_list(y)
    rows = None if values is None else [_label_row(value, row) for row, value in enumerate(values)]
    if rows is None or all(len(row) == num_labels and all(map(_is_share, row)) for row in rows):
        matrix = np.asarray(y if rows is None else rows)
        if matrix.ndim == 2 and matrix.dtype.kind in "biuf" and len(matrix):
            targets = _probabilities(matrix, num_labels)
            if targets.max() > 1:
                row = int(targets.max(axis=1).argmax())
                raise ValueError(
                    f"Expected 0 or 1 for each label. Received in row {row}: {one_line(matrix[row].tolist())}"
                )
            return targets
    if rows is None:
        raise ValueError(f"Expected an array [n, {num_labels}] of 0 and 1, or lists of names. Received: {one_line(y)}")
    classes = ClassNames(labels, num_labels)
    found = np.zeros((len(rows), num_labels), np.float32)
    for row, names in enumerate(rows):
        for name in names:
            if not isinstance(name, str | bytes) and not classes.has_numbers:
                raise ValueError(
                    f"Expected lists of names, or {num_labels} numbers, 0 or 1, in every row. "
                    f"Received in row {row}: {one_line(names)}"
                )
            found[row, classes.index(name, row)] = 1
    return found


def _label_row(value: Any, row: int) -> list[Any]:
    """One text's labels.

    Raises:
        ValueError: it is no collection of them.
    """
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return list(value)
    raise ValueError(
        f"Expected a list of labels for each text, an empty one for none. Received in row {row}: {one_line(value)}"
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_) and bool(0 <= value <= 1)


class ClassNames:
    """Finds classes by what tables and programs call them.

    A string is a name. A number is a name where the classes are called by numbers, and else an index: the classes "1"
    and "2" are 1 and 2, not 0 and 1.

    Args:
        labels: names of the classes, in the order of the logits; `None` where they have none.
        num_classes: how many there are.
    """

    def __init__(self, labels: Sequence[str | None] | None, num_classes: int) -> None:
        self._num_classes = num_classes
        self._by_name = {name: i for i, name in enumerate(labels or ()) if name is not None}
        self._none = num_classes - 1 if labels and labels[-1] is None else None
        self._by_number: dict[float, int | None] = {}
        for name, i in self._by_name.items():
            number = {"true": 1.0, "false": 0.0}.get(name.lower()) if _BOOLEAN.fullmatch(name) else None
            number = float(name) if _NUMBER.fullmatch(name) else number
            if number is not None:  # of two that are equal, as of 1 and 1.0, neither is meant
                self._by_number[number] = None if number in self._by_number else i

    @property
    def has_numbers(self) -> bool:
        """Whether some classes are called by numbers, or by true and false."""
        return bool(self._by_number)

    def find(self, value: Any) -> int | None:
        """The index of a class; `None` where there is none that is called so."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if isinstance(value, str) or str(value) in self._by_name:
            return self._by_name.get(str(value))
        if not isinstance(value, bool | int | float | np.number | np.bool_):
            return None
        if self._by_number:
            return self._by_number.get(float(value))
        return int(value) if 0 <= value < self._num_classes and value == int(value) else None

    def index(self, value: Any, row: int) -> int:
        """The index of the class that a label names.

        Args:
            value: the label.
            row: where it stands, for the message.

        Raises:
            ValueError: there is no such class.
        """
        if value is None and self._none is not None:
            return self._none
        if is_missing(value):
            raise ValueError(f"Row {row} has no label. Received: {value!r}. Leave the row out")
        found = self.find(value)
        if found is not None:
            return found
        received = f"Received in row {row}: {one_line(value)}"
        if isinstance(value, str | bytes) and not self._by_name:
            raise ValueError(
                f"Labels that are names need a model that knows them: build it with `labels=[...]`. {received}"
            )
        if isinstance(value, str | bytes) or self._by_number:
            hint = "" if isinstance(value, str | bytes) else ". Names are numbers here: a number is a name, no index"
            raise ValueError(f"Unknown label. Known: {self.known}{hint}. {received}")
        names = ", or names of classes" if self._by_name else ""
        raise ValueError(f"Labels must be whole numbers from 0 to {self._num_classes - 1}{names}. {received}")

    @property
    def known(self) -> str:
        """The names, for messages."""
        names = list(map(repr, self._by_name)) or [f"0 to {self._num_classes - 1}"]
        return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def class_weights(
    class_weight: Any, targets: np.ndarray, labels: Sequence[str | None] | None, num_classes: int
) -> np.ndarray:
    """The weight of each text by its class.

    Args:
        class_weight: weights by a class's name or number, 1 where there is none; or "balanced": n / (C * n_c).
        targets: `[n]` of class indices, in any type.
        labels: names of the classes.
        num_classes: C.

    Returns:
        float32 `[n]`.

    Raises:
        ValueError: it is something else, names no class, or there are no classes.
    """
    if targets.ndim != 1 or num_classes < 2 or (targets != targets.astype(np.int64)).any():
        raise ValueError(f"`class_weight` needs one class per text. Received labels of shape {targets.shape}")
    targets = targets.astype(np.int64)
    weights = np.ones(num_classes, np.float32)
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(targets, minlength=num_classes)
        weights[counts > 0] = len(targets) / (np.count_nonzero(counts) * counts[counts > 0])
        return weights[targets]
    if not isinstance(class_weight, dict):
        raise ValueError(
            '`class_weight` must be "balanced", or a dictionary of weights by class. '
            f"Received: class_weight={one_line(class_weight)}"
        )
    classes = ClassNames(labels, num_classes)
    for key, weight in class_weight.items():
        number = classes.find(key)
        if number is None:
            raise ValueError(f"`class_weight` names an unknown class. Known: {classes.known}. Received: {key!r:.100}")
        if not isinstance(weight, int | float | np.number) or not np.isfinite(weight) or weight < 0:
            raise ValueError(f"`class_weight` must be finite and not negative. Received: {weight!r} for {key!r:.100}")
        weights[number] = weight
    return weights[targets]


def number_targets(y: Any, count: int = 1) -> np.ndarray:
    """Targets of a regression.

    Args:
        y: numbers `[n]`, or `[n, count]`.
        count: numbers for each text.

    Returns:
        float32 `[n]`, or `[n, count]` where there are several.

    Raises:
        ValueError: a target is missing, is not finite or no number; the message names its row.
    """
    values = _label_values(y)
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        for row, value in enumerate(values):
            if is_missing(value) or not isinstance(value, int | float | np.number | list | tuple | np.ndarray):
                raise ValueError(f"Expected numbers as labels. Received in row {row}: {one_line(value)}") from None
        raise ValueError(f"Expected numbers as labels, one per text. Received: {one_line(values)}") from None
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"Expected finite numbers as labels. Received in row {row}: {values[row]!r}")
    if array.shape[1:] != ((count,) if count > 1 else ()):
        raise ValueError(f"Expected {count} number{'s' * (count > 1)} per text. Received labels of shape {array.shape}")
    return array.astype(np.float32)


def _label_values(y: Any) -> Any:
    """Labels as a list, or as a NumPy array of numbers.

    Raises:
        ValueError: there are none, or they are no column.
    """
    if y is None:
        raise ValueError("Expected one label per text. Received: y=None")
    if isinstance(y, str | bytes) or not hasattr(y, "__len__") or tuple(getattr(y, "shape", (1,))) == ():
        raise ValueError(f"Expected one label per text. Received a single one: {one_line(y)}")
    if hasattr(y, "numpy") and not hasattr(y, "to_numpy") and hasattr(y, "shape"):  # a tensor
        y = y.numpy()
    if is_table(y):
        y = _rows_of_table(y) if y.shape[1] < 3 else np.asarray(y)
    if not isinstance(y, np.ndarray):
        values = as_list(y)
        if values is None:
            raise ValueError(f"Expected labels as a list or an array. Received: {type(y).__name__}")
        if not values or not isinstance(values[0], list | tuple | np.ndarray):
            return values
        y = _matrix(values)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim > 2 or (y.ndim == 2 and y.dtype.kind not in "biuf"):
        raise ValueError(f"Expected one label per text, or numbers [n, k]. Received labels of shape {y.shape}")
    return y if y.dtype.kind in "biuf" else y.tolist()


def _matrix(rows: list[Any]) -> np.ndarray:
    """Rows of several labels as an array `[n, k]`.

    Raises:
        ValueError: they differ in length.
    """
    for row, values in enumerate(rows):
        if np.ndim(values) != 1 or len(values) != len(rows[0]):
            raise ValueError(
                f"Expected {len(rows[0])} labels in each row, as in row 0. Received in row {row}: {one_line(values)}"
            )
    return np.asarray(rows)


def _probabilities(array: np.ndarray, num_classes: int) -> np.ndarray:
    """Rows of probabilities, checked.

    Raises:
        ValueError: there are more or fewer than the classes, or one is negative or not finite.
    """
    if array.shape[1] != num_classes:
        raise ValueError(f"Expected {num_classes} probabilities per text. Received labels of shape {array.shape}")
    good = (np.isfinite(array) & (array >= 0)).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"Probabilities must be finite and not negative. Received in row {row}: {array[row].tolist()}")
    return array.astype(np.float32)
