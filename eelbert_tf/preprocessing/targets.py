"""Columns of labels as what a loss takes: numbers of classes, shares of labels, numbers; and the weights of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .columns import as_list, is_missing, is_table, one_line, rows_of_table

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEAN = re.compile(r"true|false|True|False|TRUE|FALSE")


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
        y = rows_of_table(y) if y.shape[1] < 3 else np.asarray(y)
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
