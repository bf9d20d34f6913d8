"""Columns in every shape that people have them, as plain lists: of texts, or of anything else.

A column may be a list, tuple, deque or view, a NumPy array, a pandas, polars or pyarrow column, a `datasets` column, a
tensor, or a table with one column. None of those libraries is imported: what they share is asked for by name.
"""

from __future__ import annotations

import collections
from collections.abc import KeysView, Sequence, ValuesView
from typing import Any

import numpy as np

from eelbert_tf.text.strings import TextOrPair, is_string_tensor

_PLAIN = (list, tuple, collections.deque, KeysView, ValuesView)
_LIST_METHODS = ("to_pylist", "to_list", "tolist")  # pyarrow; pandas and polars; pandas' index and NumPy

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
        return rows_of_table(x)
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


def rows_of_table(table: Any) -> list[Any]:
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
