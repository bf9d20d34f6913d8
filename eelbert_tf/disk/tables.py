"""Labelled texts from tables: streamed, checked row by row, with errors that name the row and the fix.

A file has a header with `text` (or `text_a` and `text_b`) and `label`; arguments name other columns. CSV is RFC 4180:
commas, and double quotes round fields that hold commas, quotes or line ends. TSV has tabs, and quotes are ordinary
characters as in GLUE's files, unless the file shows that its writer quoted as in CSV. Other separators are found by the
header, or read from Excel's line `sep=`. JSON lines (.jsonl, .ndjson, .json) have one object on each line. All of them
are UTF-8, and may be packed with gzip or xz.
"""

from __future__ import annotations

import os
import re
import shlex
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from eelbert_tf.errors import InputError, InputWarning

from .labels import LabelCells, read_labels
from .records import is_json, read_json, read_records, row_error
from .texts import open_text

Text = str | tuple[str, str]

# What the command line calls the arguments, for error messages.
TEXT_OPTION = "--text-columns"
LABEL_OPTION = "--label-column"

# Names of columns that hold a second text beside `text`.
_SECOND_TEXT = re.compile(r"text[ _.-]?(a|b|1|2|one|two|first|second|other|pair)", re.IGNORECASE)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")

# A spreadsheet has no more rows.
_MOST_BLANK_ROWS = 2**20

# So many rows are named in a warning.
_NAMED_ROWS = 5


class Row(NamedTuple):
    """One labelled text."""

    line: int  # where it begins in the file: 1 is the header
    text: Text
    label: Any  # a name, a tuple of names, a number or a tuple of numbers; None where labels were not asked for


@dataclass(frozen=True)
class Table:
    """A labelled file in memory.

    Args:
        path: the file it came from.
        texts: strings, or pairs of strings.
        labels: class names, or numbers in a table for regression; tuples of names where there are several labels a
            text, or of numbers where there are several.
        lines: the line of the file at which each row begins; 1 is the header.
        columns: the columns of the labels where there are several: the names of labels or of numbers.
    """

    path: Path
    texts: list[Text]
    labels: list[Any]
    lines: list[int]
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


def read_table(
    path: str | os.PathLike[str],
    text_columns: Sequence[str] | None = None,
    label_column: str | Sequence[str] = "label",
    task: str = "classification",
    columns: Sequence[str] | None = None,
    separator: str = "|",
) -> Table:
    """Reads a whole labelled file.

    Args:
        path: a CSV or TSV file, or JSON lines, in UTF-8.
        text_columns: the names of one column, or of two for pairs; None for `text`, else `text_a` and `text_b`.
        label_column: the name of the column that holds the label; or of several columns, each with 0 and 1 for one of
            several labels, or with one of several numbers.
        task: what labels are: one of "classification", "binary", "multilabel" and "regression".
        columns: the columns of a file that has no header line.
        separator: what stands between several labels in one column.

    Returns:
        The texts, with labels as `str`, or as `float` for regression; as tuples of them where there are several.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.
    """
    rows = list(iter_rows(path, text_columns, label_column, columns, task, separator))
    return Table(
        path=Path(path),
        texts=[row.text for row in rows],
        labels=[row.label for row in rows],
        lines=[row.line for row in rows],
        columns=() if isinstance(label_column, str) or len(label_column) == 1 else tuple(label_column),
    )


def iter_rows(
    path: str | os.PathLike[str],
    text_columns: Sequence[str] | None = None,
    label_column: str | Sequence[str] | None = "label",
    columns: Sequence[str] | None = None,
    task: str = "classification",
    separator: str = "|",
) -> Iterator[Row]:
    """Reads a file row by row, in memory that does not grow with the file.

    White space round column names and labels is dropped. Blank lines are skipped, save in a file of a single column,
    where they are empty texts. So are the rows of empty cells that spreadsheets leave behind the last one.

    Args:
        path: a CSV or TSV file, or JSON lines, in UTF-8.
        text_columns: the names of one column, or of two for pairs; None for `text`, else `text_a` and `text_b`.
        label_column: the name of the column that holds the label, or of several, as for `read_table`; None reads texts
            only.
        columns: the columns of a file that has no header line.
        task: what labels are, as for `read_table`.
        separator: what stands between several labels in one column.

    Yields:
        The rows in the order of the file.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.

    Warns:
        InputWarning: texts are empty; the message names their rows.
    """
    source = os.fspath(path)
    names = () if label_column is None else (label_column,) if isinstance(label_column, str) else tuple(label_column)
    with open_text(source, "a CSV or TSV file", unit="row") as file:
        if is_json(source):
            cells = _json_cells(file, source, text_columns, names)
        else:
            cells = _table_cells(file, source, text_columns, names, columns)
        rows = empty = 0
        named: list[str] = []
        for line, texts, labels in cells:
            label = read_labels(LabelCells(source, line, names, labels), task, separator) if names else None
            rows += 1
            if not all(map(str.strip, texts)):
                empty += 1
                named += [str(line)] if empty <= _NAMED_ROWS else []
            yield Row(line, texts[0] if len(texts) == 1 else (texts[0], texts[1]), label)
    if not rows:
        what = "the file is empty" if is_json(source) else "there are no rows below the header"
        raise InputError(f"{source}: {what}; expected at least one row")
    if empty:
        where = ", ".join(named) + (", ..." if empty > len(named) else "")
        what = "row has an empty text" if empty == 1 else "rows have empty texts"
        warnings.warn(f"{source}: {empty:,} {what} (row {where}); drop them if they are mistakes", InputWarning, 2)


class _Cells(NamedTuple):
    """What is wanted of a row."""

    line: int
    texts: list[str]
    labels: list[Any]  # of each label column: a string, or what JSON has


def _table_cells(
    file: BinaryIO,
    path: str,
    text_columns: Sequence[str] | None,
    label_columns: Sequence[str],
    columns: Sequence[str] | None,
) -> Iterator[_Cells]:
    """The wanted cells of a CSV or TSV file.

    Raises:
        InputError: a column is missing, or a row has too few or too many.
    """

    def fits(header: list[str]) -> bool:
        names = _wanted(header, text_columns) or ("",)
        return all(name in header for name in (*names, *label_columns))

    records = read_records(file, path, None if columns else fits)
    start, header = (1, list(columns)) if columns else next(records)
    header = [name.strip() for name in header]
    names = _text_names(header, text_columns, path, start)
    texts = [_find(header, name, TEXT_OPTION, path, start) for name in names]
    labels = [_find(header, name, LABEL_OPTION, path, start) for name in label_columns]
    blank: list[int] = []  # rows of empty cells that count only where another row follows
    for line, fields in records:
        if len(header) > 1 and not any(map(str.strip, fields)):
            blank += [line] if len(fields) > 1 else []
            if len(blank) > _MOST_BLANK_ROWS:
                raise row_error(path, blank[0], f"more than {_MOST_BLANK_ROWS:,} rows of empty cells; drop them")
            continue
        for number in blank:
            yield _Cells(number, [""] * len(texts), [""] * len(labels))
        blank.clear()
        fields = fields or [""]
        if len(fields) != len(header):
            raise row_error(path, line, _width_message(len(fields), header))
        yield _Cells(line, [fields[index] for index in texts], [fields[index].strip() for index in labels])


def _json_cells(
    file: BinaryIO, path: str, text_columns: Sequence[str] | None, label_columns: Sequence[str]
) -> Iterator[_Cells]:
    """The wanted values of JSON lines; the keys of the first object say which these are.

    Raises:
        InputError: a value is missing, or of another type.
    """
    names: Sequence[str] = ()
    for line, values in read_json(file, path):
        names = names or _text_names(list(values), text_columns, path, line)
        texts = [_json_text(values, name, path, line) for name in names]
        yield _Cells(line, texts, [_json_label(values, name, path, line) for name in label_columns])


def _json_text(values: dict[str, Any], name: str, path: str, line: int) -> str:
    """A text of a JSON object.

    Raises:
        InputError: there is none of that name, or it is no string.
    """
    text = values.get(name)
    if text is None:
        found = f"keys found: {_some(list(values))}" if name not in values else "it is null"
        raise row_error(path, line, f"no text under `{name}`; {found}. Fill it, drop the row, or see {TEXT_OPTION}")
    if not isinstance(text, str):
        raise row_error(path, line, f"the text under `{name}` is {_show(repr(text))}; expected a string")
    if "\0" in text:
        raise row_error(path, line, f"a NUL character in the text under `{name}`; expected text, so remove it")
    return text


def _json_label(values: dict[str, Any], name: str, path: str, line: int) -> Any:
    """The label of a JSON object as it stands there; `None` for null.

    Raises:
        InputError: there is none of that name.
    """
    if name not in values:
        raise row_error(
            path, line, f"no label under `{name}`; keys found: {_some(list(values))}. Fill it, or see {LABEL_OPTION}"
        )
    return values[name]


def check_labels(train: Table, task: str = "classification") -> list[str] | None:
    """The classes of a training table, in the order of their indices.

    Args:
        train: the table.
        task: what its labels are.

    Returns:
        Names of classes or labels, or of several numbers; `None` for a regression of one number.

    Raises:
        InputError: there are too few, or more than two for a binary task.
    """
    if task == "regression":
        return list(train.columns) or None
    if task == "multilabel":
        if train.columns:
            return list(train.columns)
        names = {name for given in train.labels for name in given}
        if not names:
            raise InputError(f"{train.path}: none of the {len(train)} rows has a label; expected some")
        return sort_labels(names)
    labels = {str(label) for label in train.labels}
    if len(labels) < 2:
        raise InputError(
            f"{train.path}: all {len(train)} rows have the label {_show(labels.pop())}; expected two classes or more"
        )
    if task == "binary" and len(labels) > 2:
        raise InputError(
            f"{train.path}: {len(labels)} classes ({_some(sort_labels(labels))}); --task binary takes two: "
            "leave the option out"
        )
    return sort_labels(labels)


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Names in their order: numbers by value, then the others."""
    return sorted(labels, key=lambda label: (0, _value(label), label) if _NUMBER.fullmatch(label) else (1, 0, label))


def check_seen(table: Table, labels: Iterable[str]) -> None:
    """Checks that each label of a development or test table is among those of training.

    Raises:
        InputError: one is not; the message names its row.
    """
    known = set(labels)
    for line, label in zip(table.lines, table.labels, strict=True):
        for name in label if isinstance(label, tuple) else (label,):
            if name not in known:
                raise InputError(
                    f"{table.path}, row {line}: the label {_show(str(name))} does not occur in training; "
                    f"expected one of: {_some(sorted(known))}"
                )


def _wanted(header: list[str], text_columns: Sequence[str] | None) -> Sequence[str]:
    """The names of the columns that hold the texts; none where the header has none."""
    if text_columns is not None:
        return (text_columns,) if isinstance(text_columns, str) else tuple(text_columns)
    if "text" in header:
        return ("text",)
    return ("text_a", "text_b") if "text_a" in header or "text_b" in header else ()


def _text_names(
    header: list[str], text_columns: Sequence[str] | None, path: str | os.PathLike[str], line: int
) -> Sequence[str]:
    """The names of the columns that hold the texts: one, or two for pairs.

    Raises:
        InputError: there are none, too many, or more than one choice.
    """
    names = _wanted(header, text_columns)
    if text_columns is not None and len(names) not in (1, 2):
        raise InputError(f"{TEXT_OPTION} takes one name, or two for pairs. Received: {_some(names)}")
    if not names:
        missing, found, fix = (
            ("no key", "keys", "Name")
            if is_json(path)
            else ("no header with a column", "columns", "Add a header line, or name")
        )
        raise row_error(
            path,
            line,
            f"{missing} `text`, or `text_a` and `text_b`; {found} found: {_some(header)}. "
            f"{fix} the {found} with {TEXT_OPTION} and {LABEL_OPTION}",
        )
    others = [name for name in header if _SECOND_TEXT.fullmatch(name)]
    if text_columns is None and names == ("text",) and others:
        columns = ", ".join(f"`{name}`" for name in ["text", *others])
        pair = " ".join(map(shlex.quote, (["text"] if len(others) == 1 else []) + others[:2]))
        raise row_error(
            path,
            line,
            f"the columns {columns} may all hold texts; say which to read: "
            f"{TEXT_OPTION} text for one, or {TEXT_OPTION} {pair} for pairs",
        )
    return names


def _find(header: list[str], name: str, option: str, path: str | os.PathLike[str], line: int) -> int:
    """The index of a column.

    Raises:
        InputError: there is none of that name, or more than one.
    """
    if name not in header:
        raise row_error(
            path, line, f"no column `{name}` in the header; columns found: {_some(header)}. Name another with {option}"
        )
    if header.count(name) > 1:
        raise row_error(path, line, f"{header.count(name)} columns are called `{name}`; rename or drop all but one")
    return header.index(name)


def _width_message(width: int, header: list[str]) -> str:
    return (
        f"{width} column{'s' * (width != 1)}; expected {len(header)} as in the header ({_some(header)}). "
        "In CSV put texts that hold commas between double quotes; in TSV texts hold no tabs"
    )


def _value(number: str) -> float:
    """The value of a number, exact where it is whole."""
    return int(number) if number.lstrip("+-").isdigit() and len(number) < 19 else float(number)


def _show(text: str) -> str:
    """A value in quotes on one line, shortened."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _some(names: Sequence[str], count: int = 10) -> str:
    return ", ".join(_show(name) for name in names[:count]) + (", ..." if len(names) > count else "")
