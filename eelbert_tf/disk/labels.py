"""What the label cells of a table's row say: a class, several labels, or numbers."""

from __future__ import annotations

import collections
import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from eelbert_tf.errors import InputError

from .records import row_error

# What the command line calls the arguments, for error messages.
TASK_OPTION = "--task"
SEPARATOR_OPTION = "--label-separator"

# What stands between joined labels, the likeliest first.
SEPARATORS = ("|", ";", ",")
# Fewer rows with joined labels may be names that have such a character.
_LEAST_JOINED = 0.02

_YES = {"1", "true", "yes", "x", "1.0"}
_NO = {"", "0", "false", "no", "0.0"}


class LabelCells(NamedTuple):
    """The label cells of one row."""

    path: str
    line: int
    columns: tuple[str, ...]
    values: Sequence[Any]  # strings, or what JSON has

    def error(self, message: str) -> InputError:
        """What is wrong with the row, on one line."""
        return row_error(self.path, self.line, message)


def read_labels(cells: LabelCells, task: str, separator: str = "|") -> Any:
    """The label of a row.

    Args:
        cells: of its label columns.
        task: what labels are.
        separator: what stands between several labels in one cell.

    Returns:
        A name; a tuple of different names for "multilabel"; a number, or a tuple of them, for "regression".

    Raises:
        InputError: a cell says something else.
    """
    if task == "regression":
        numbers = tuple(_number(cells, value) for value in cells.values)
        return numbers if len(numbers) > 1 else numbers[0]
    if task == "multilabel":
        return _marked(cells) if len(cells.columns) > 1 else _several(cells, cells.values[0], separator)
    if len(cells.columns) > 1:
        raise InputError(
            f"{cells.path}: {len(cells.columns)} label columns; {TASK_OPTION} {task} reads one. Several need "
            f"{TASK_OPTION} multilabel (0 and 1) or regression (numbers)"
        )
    return _name(cells, cells.values[0])


def _name(cells: LabelCells, value: Any) -> str:
    """One name: a string, or a number or truth value as JSON writes it.

    Raises:
        InputError: it is empty, or of another type.
    """
    (column,) = cells.columns
    if isinstance(value, list):
        raise cells.error(
            f"the label under `{column}` is a list, {_show(repr(value))}; {TASK_OPTION} multilabel reads several"
        )
    if isinstance(value, dict):
        raise cells.error(f"the label under `{column}` is {_show(repr(value))}; expected a string or a number")
    if value is None:
        raise cells.error(f"no label under `{column}`; it is null. Fill it, drop the row, or see --label-column")
    name = _text(value)
    if not name:
        raise cells.error(f"the label in column `{column}` is empty; fill it, or drop the row")
    return name


def _several(cells: LabelCells, value: Any, separator: str) -> tuple[str, ...]:
    """Names from a cell such as `a|b`, or from a list of JSON; none where there is nothing.

    Raises:
        InputError: one is empty, or of another type.
    """
    column = cells.columns[0]
    if value is None or value == "":
        return ()
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, list | dict) for part in value)):
        raise cells.error(f"the labels under `{column}` are {_show(repr(value))}; expected a list of strings")
    parts = value if isinstance(value, list) else _text(value).split(separator)
    names = ["" if part is None else _text(part) for part in parts]
    if not all(names):
        raise cells.error(f"an empty label among {_show(repr(value))}; leave the whole cell empty for none")
    return tuple(dict.fromkeys(names))


def _marked(cells: LabelCells) -> tuple[str, ...]:
    """Names of the columns that say yes.

    Raises:
        InputError: one says neither yes nor no.
    """
    found = []
    for column, value in zip(cells.columns, cells.values, strict=True):
        word = "" if value is None else _text(value).lower()
        if word not in _YES | _NO:
            raise cells.error(f"{_show(_text(value))} in the label column `{column}`; expected 1 or 0")
        if word in _YES:
            found.append(column)
    return tuple(found)


def _number(cells: LabelCells, value: Any) -> float:
    """A label of a regression.

    Raises:
        InputError: it is no finite number.
    """
    cell = "" if value is None or isinstance(value, list | dict | bool) else str(value)
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = " with a decimal point" if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", cell) else ""
        raise cells.error(f"the label {_show(cell or str(value))} is not a number; expected one{hint}")
    return number


def joined_by(labels: Sequence[str]) -> str | None:
    """What joins several labels in one column, if it looks as if something did.

    The parts of many labels, split at the same character, are then labels of other rows, by themselves or in another
    company, and there are fewer of them than of the labels.

    Args:
        labels: one a row, as read for "classification".

    Returns:
        The separator, or `None`.
    """
    for separator in SEPARATORS:
        joined = [label.split(separator) for label in labels if separator in label.strip(separator)]
        if len(joined) < max(2, _LEAST_JOINED * len(labels)):
            continue
        parts = collections.Counter(part.strip() for label in set(labels) for part in label.split(separator))
        known = sum(all(parts[part.strip()] > 1 for part in label) for label in joined)
        if known >= 0.8 * len(joined) and len(parts) <= len(set(labels)):
            return separator
    return None


def _text(value: Any) -> str:
    """A value of JSON, or a cell, as a name."""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _show(text: str) -> str:
    """A value in quotes on one line, shortened."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
