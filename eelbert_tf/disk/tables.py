"""Labelled texts from CSV and TSV files: streamed, checked row by row, with errors that name the row and the mend.

A file has a header with `text` (or `text_a` and `text_b`) and `label`; arguments name other columns. CSV is RFC 4180:
commas, and double quotes round fields that hold commas, quotes or line ends. TSV is GLUE's kind: tabs, and quotes are
ordinary characters. Which of the two a file is, its extension says, or else whether its first line holds a tab.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from eelbert_tf.errors import InputError

Text = str | tuple[str, str]

# What the command line calls the arguments, for error messages.
TEXT_OPTION = "--text-columns"
LABEL_OPTION = "--label-column"

# Bounds the memory that a file without line ends can take. A field is bounded by `csv.field_size_limit()`.
MAX_LINE_BYTES = 2**24


class Row(NamedTuple):
    """One labelled text."""

    line: int  # where it begins in the file: 1 is the header
    text: Text
    label: str | None  # None where labels were not asked for


@dataclass(frozen=True)
class Table:
    """A labelled file in memory.

    Args:
        path: the file it came from.
        texts: strings, or pairs of strings.
        labels: class names, or numbers in a table for regression.
        lines: the line of the file at which each row begins; 1 is the header.
    """

    path: Path
    texts: list[Text]
    labels: list[str] | list[float]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.texts)


def read_table(
    path: str | os.PathLike[str],
    text_columns: Sequence[str] | None = None,
    label_column: str = "label",
    regression: bool = False,
    columns: Sequence[str] | None = None,
) -> Table:
    """Reads a whole labelled file.

    Args:
        path: a CSV or TSV file in UTF-8.
        text_columns: the names of one column, or of two for pairs; None for `text`, else `text_a` and `text_b`.
        label_column: the name of the column that holds the label.
        regression: whether labels are numbers.
        columns: the columns of a file that has no header line.

    Returns:
        The texts, with labels as `str`, or as `float` for regression.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.
    """
    rows = list(iter_rows(path, text_columns, label_column, columns))
    labels = [row.label or "" for row in rows]
    return Table(
        path=Path(path),
        texts=[row.text for row in rows],
        labels=[parse_number(row.label, path, row.line) for row in rows] if regression else labels,
        lines=[row.line for row in rows],
    )


def iter_rows(
    path: str | os.PathLike[str],
    text_columns: Sequence[str] | None = None,
    label_column: str | None = "label",
    columns: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Reads a file row by row, in memory that does not grow with the file.

    White space round column names and labels is dropped. Blank lines are skipped, save in a file of a single column,
    where they are empty texts.

    Args:
        path: a CSV or TSV file in UTF-8.
        text_columns: the names of one column, or of two for pairs; None for `text`, else `text_a` and `text_b`.
        label_column: the name of the column that holds the label; None reads texts only.
        columns: the columns of a file that has no header line.

    Yields:
        The rows in the order of the file.

    Raises:
        InputError: the file cannot be read as such; the message names the row and what was expected.
    """
    try:
        with open(path, "rb") as file:
            records = _records(file, os.fspath(path))
            header = [name.strip() for name in columns or next(records).fields]
            names = _text_names(header, text_columns, path)
            texts = [_find(header, name, TEXT_OPTION, path) for name in names]
            label_index = None if label_column is None else _find(header, label_column, LABEL_OPTION, path)
            rows = 0
            for line, fields in records:
                if len(header) > 1 and len(fields) <= 1 and not "".join(fields).strip():
                    continue
                fields = fields or [""]
                if len(fields) != len(header):
                    raise _row_error(path, line, _width_message(len(fields), header))
                label = None if label_index is None else fields[label_index].strip()
                if label == "":
                    raise _row_error(
                        path, line, f"the label in column `{label_column}` is empty; fill it, or drop the row"
                    )
                chosen = [fields[index] for index in texts]
                rows += 1
                yield Row(line, chosen[0] if len(chosen) == 1 else (chosen[0], chosen[1]), label)
            if not rows:
                raise InputError(f"{os.fspath(path)}: there are no rows below the header; expected at least one")
    except FileNotFoundError:
        raise InputError(f"{os.fspath(path)}: no such file; expected a CSV or TSV file") from None
    except IsADirectoryError:
        raise InputError(f"{os.fspath(path)}: is a folder; expected a CSV or TSV file") from None
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error


def check_labels(train: Table) -> list[str]:
    """The classes of a training table, in the order of their indices.

    Raises:
        InputError: there is only one.
    """
    labels = {str(label) for label in train.labels}
    if len(labels) < 2:
        raise InputError(
            f"{train.path}: all {len(train)} rows have the label {_show(labels.pop())}; expected two classes or more"
        )
    return sorted(labels, key=lambda label: (0, int(label), label) if _is_integer(label) else (1, 0, label))


def check_seen(table: Table, labels: Iterable[str]) -> None:
    """Checks that each label of a development or test table is among those of training.

    Raises:
        InputError: one is not; the message names its row.
    """
    known = set(labels)
    for line, label in zip(table.lines, table.labels, strict=True):
        if label not in known:
            raise InputError(
                f"{table.path}, row {line}: the label {_show(str(label))} does not occur in training; "
                f"expected one of: {_some(sorted(known))}"
            )


class _Record(NamedTuple):
    """The fields between two separators of records, as they stand in the file."""

    line: int
    fields: list[str]


def _records(file: BinaryIO, path: str) -> Iterator[_Record]:
    """The records of an open file, the header first; there always is one.

    Raises:
        InputError: there is no header, or a record is no CSV.
    """
    lines = _lines(file, path)
    first = next(lines, "")
    if not first.strip():
        what = "row 1 is blank" if first else "the file is empty"
        raise InputError(f"{path}: {what}; expected a header line, then labelled rows")
    lines = itertools.chain([first], lines)
    extension = Path(path).suffix.lower()
    if extension in (".tsv", ".tab") or (extension != ".csv" and "\t" in first):
        for number, text in enumerate(lines, 1):
            fields = text.rstrip("\r\n").split("\t")
            if number == 1 and any("\r" in field for field in fields):
                raise _row_error(path, number, _csv_message("new-line"))
            if max(map(len, fields)) > csv.field_size_limit():
                raise _row_error(path, number, _csv_message("field larger"))
            yield _Record(number, fields)
        return
    reader = csv.reader(lines, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield _Record(line, next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            raise _row_error(path, line, _csv_message(str(error))) from None


def _lines(file: BinaryIO, path: str) -> Iterator[str]:
    """The lines of an open file with their ends, decoded and checked; without a byte order mark.

    Raises:
        InputError: a line is too long, or is not UTF-8 text.
    """
    offset = 0
    for number in itertools.count(1):
        raw = file.readline(MAX_LINE_BYTES + 1)
        if not raw:
            return
        if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(f"{path}: the file is UTF-16; save it as UTF-8")
        if len(raw) > MAX_LINE_BYTES:
            raise _row_error(path, number, f"longer than {MAX_LINE_BYTES:,} bytes; expected a line for each text")
        if (position := raw.find(0)) >= 0:
            raise _row_error(
                path, number, f"a NUL byte at byte offset {offset + position}; expected text, so remove it"
            )
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _row_error(
                path,
                number,
                f"not UTF-8: byte 0x{raw[error.start]:02x} at byte offset {offset + error.start}; "
                "convert the file to UTF-8, for example with: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None
        offset += len(raw)
        yield text.removeprefix("\ufeff") if number == 1 else text


def _text_names(header: list[str], wanted: Sequence[str] | None, path: str | os.PathLike[str]) -> Sequence[str]:
    """The names of the columns that hold the texts: one, or two for pairs.

    Raises:
        InputError: there are none, or too many.
    """
    if wanted is None:
        if "text" in header:
            return ("text",)
        if "text_a" in header or "text_b" in header:
            return ("text_a", "text_b")
        raise _row_error(
            path,
            1,
            f"no header with a column `text`, or `text_a` and `text_b`; {_found(header)}. "
            f"Add a header line, or name the columns with {TEXT_OPTION} and {LABEL_OPTION}",
        )
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if len(names) not in (1, 2):
        raise InputError(f"{TEXT_OPTION} takes one name, or two for pairs. Received: {_some(names)}")
    return names


def _find(header: list[str], name: str, option: str, path: str | os.PathLike[str]) -> int:
    """The index of a column.

    Raises:
        InputError: there is none of that name, or more than one.
    """
    if name not in header:
        raise _row_error(path, 1, f"no column `{name}` in the header; {_found(header)}. Name another with {option}")
    if header.count(name) > 1:
        raise _row_error(path, 1, f"{header.count(name)} columns are called `{name}`; rename or drop all but one")
    return header.index(name)


def _found(header: list[str]) -> str:
    """The columns of a header, with a word about separators where it looks wrongly split."""
    text = f"columns found: {_some(header)}"
    others = [name for name, sign in (("semicolons", ";"), ("tabs", "\t"), ("commas", ",")) if sign in header[0]]
    if len(header) == 1 and others:
        text += f" (separated by {others[0]}? Expected commas in .csv, tabs in .tsv)"
    return text


def _width_message(width: int, header: list[str]) -> str:
    return (
        f"{width} column{'s' * (width != 1)}; expected {len(header)} as in the header ({_some(header)}). "
        "In CSV put texts that hold commas between double quotes; in TSV texts hold no tabs"
    )


def _csv_message(reason: str) -> str:
    """What the csv module found, in terms of the mend."""
    if "field larger" in reason:
        return f"a field is longer than {csv.field_size_limit():,} characters, or a double quote is never closed"
    if "unexpected end" in reason:
        return "a double quote is never closed; close it, or double it where it is part of the text"
    if "new-line" in reason:
        return "a carriage return outside of double quotes; end lines with \\n or \\r\\n"
    return f"quoting is broken ({reason}); double the double quotes that are part of a text"


def parse_number(label: str | None, path: str | os.PathLike[str], line: int) -> float:
    """A label of a regression as a number.

    Args:
        label: the cell's text.
        path: the file, for the error.
        line: the row, for the error.

    Raises:
        InputError: it is no finite number.
    """
    try:
        value = float(label or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _row_error(path, line, f"the label {_show(label or '')} is not a number; expected one")
    return value


def _row_error(path: str | os.PathLike[str], line: int, message: str) -> InputError:
    return InputError(f"{os.fspath(path)}, row {line}: {message}")


def _is_integer(label: str) -> bool:
    return label.isascii() and label.isdigit() and len(label) < 19


def _show(text: str) -> str:
    """A value in quotes on one line, shortened."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _some(names: Sequence[str], count: int = 10) -> str:
    return ", ".join(_show(name) for name in names[:count]) + (", ..." if len(names) > count else "")
