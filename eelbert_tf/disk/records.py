"""Tables as records: the separator of a CSV or TSV file, how its fields are quoted, and the objects of JSON lines."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from eelbert_tf.errors import InputError

from .texts import suffix

# Bounds the memory that a file without line ends, or a record without end, can take. A field is bounded by
# `csv.field_size_limit()`.
MAX_LINE_BYTES = 2**24

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "pipes"}
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_TSV_SUFFIXES = (".tsv", ".tab")

_CLOSE_QUOTE = "a double quote is never closed; close it, or double it where it is part of the text"

# Excel writes it, to say what separates the fields.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;|\t]*\r?\n?', re.IGNORECASE)

# How much of a TSV file, from its first quote on, tells whether quotes are quoting there.
_LOOK_AHEAD = 2**16


class Record(NamedTuple):
    """One record of a table."""

    line: int  # where it begins in the file, from 1
    fields: list[str]


class JsonRecord(NamedTuple):
    """One line of a JSON lines file."""

    line: int
    values: dict[str, Any]


def row_error(path: str | os.PathLike[str], line: int, message: str) -> InputError:
    """What is wrong with a row, on one line."""
    return InputError(f"{os.fspath(path)}, row {line}: {message}")


def is_json(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds JSON lines, by its name."""
    return suffix(path) in JSON_SUFFIXES


def read_records(file: BinaryIO, path: str, fits: Callable[[list[str]], bool] | None = None) -> Iterator[Record]:
    """The records of an open CSV or TSV file, the first line included; there always is one.

    Args:
        file: checked text.
        path: its name, for errors; the extension says what is tried first.
        fits: tells whether a header has the columns that are wanted. The separator is the usual one of such a file
            where its header fits, or another one under which it does; None where there is no header.

    Raises:
        InputError: there is nothing, or a record is no CSV.
    """
    lines = _lines(file, path)
    first, number = next(lines, ""), 1
    separator = None
    if found := _SEPARATOR_LINE.fullmatch(first):
        separator = found[1]
        if separator.isalnum() or separator in "\"'_ ":
            raise row_error(path, 1, f"sep={separator} names no separator; expected one of: , ; | or a tab")
        first, number = next(lines, ""), 2
    if not first.strip():
        what = f"row {number} is blank" if first else "the file is empty" if number == 1 else "the file ends after sep="
        raise InputError(f"{path}: {what}; expected a header line, then labelled rows")
    separator = separator or _find_separator(first, suffix(path), fits)
    lines = itertools.chain([first], lines)
    if separator == "\t":
        return _tab_records(lines, path, number)
    return _csv_records(lines, path, number, separator)


def read_json(file: BinaryIO, path: str) -> Iterator[JsonRecord]:
    """The objects of an open JSON lines file; blank lines are skipped.

    Args:
        file: checked text.
        path: its name, for errors.

    Raises:
        InputError: a line is no JSON object, or names a key twice.
    """
    for number, line in enumerate(_lines(file, path), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
            raise row_error(path, number, f"not one JSON object on one line: {reason}{_hint(line)}") from None
        if not isinstance(found, dict):
            raise row_error(
                path, number, f'expected an object such as {{"text": "fine", "label": "good"}}{_hint(line)}'
            )
        yield JsonRecord(number, found)


def _hint(line: str) -> str:
    return "; write the objects of an array one a line: jq -c '.[]'" if line.lstrip().startswith("[") else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it has a key twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has the key {key[:40]!r} twice")
        found[key] = value
    return found


def _lines(file: BinaryIO, path: str) -> Iterator[str]:
    """The lines of checked text with their ends.

    Raises:
        InputError: a line is too long.
    """
    for number in itertools.count(1):
        raw = file.readline(MAX_LINE_BYTES + 1)
        if not raw:
            return
        if len(raw) > MAX_LINE_BYTES:
            raise row_error(path, number, f"longer than {MAX_LINE_BYTES:,} bytes; expected a line for each text")
        yield raw.decode("utf-8")


def _find_separator(first: str, extension: str, fits: Callable[[list[str]], bool] | None) -> str:
    """What separates the fields of a table, by its first line."""
    usual = "\t" if extension in _TSV_SUFFIXES or (extension != ".csv" and "\t" in first) else ","
    if fits is None:
        return usual
    headers = {separator: _split(first, separator) for separator in (usual, *SEPARATORS)}
    fitting = [separator for separator, header in headers.items() if fits(header)]
    # Where none fits, the error should show the columns as their writer sees them.
    return next(iter(fitting), usual if len(headers[usual]) > 1 else max(headers, key=lambda s: len(headers[s])))


def _split(header: str, separator: str) -> list[str]:
    """The names of a header under a separator; a single empty one where it cannot be split so."""
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=separator, strict=True))]
    except csv.Error:
        return [""]


def _csv_records(lines: Iterator[str], path: str, number: int, separator: str) -> Iterator[Record]:
    """Records in which double quotes are quoting.

    Args:
        lines: what is left of the file.
        path: its name.
        number: the line of the file that comes first.
        separator: what separates fields.

    Raises:
        InputError: quoting is broken, or a record too long.
    """
    size = 0
    line = number

    def counted() -> Iterator[str]:
        nonlocal size
        for text in lines:
            size += len(text)
            if size > MAX_LINE_BYTES:
                raise row_error(path, line, f"longer than {MAX_LINE_BYTES:,} characters; {_CLOSE_QUOTE}")
            yield text

    reader = csv.reader(counted(), delimiter=separator, strict=True)
    while True:
        line, size = number + reader.line_num, 0
        try:
            yield Record(line, next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            raise row_error(path, line, _csv_message(str(error))) from None


def _tab_records(lines: Iterator[str], path: str, number: int) -> Iterator[Record]:
    """Records of a TSV file, with quotes as its writer meant them: see `_is_quoting`.

    Args:
        lines: what is left of the file.
        path: its name.
        number: the line of the file that comes first.

    Raises:
        InputError: quoting is broken, or a field too long.
    """
    header, width = number, 0
    for text in lines:
        if '"' in text:
            ahead, whole = _take(lines, _LOOK_AHEAD)
            lines = itertools.chain([text], ahead, lines)
            if _is_quoting(text + "".join(ahead), width, whole):
                yield from _csv_records(lines, path, number, "\t")
                return
            break
        record = _raw_record(text, path, number, number == header)
        width = len(record.fields)
        yield record
        number += 1
    for line, text in enumerate(lines, number):
        yield _raw_record(text, path, line, line == header)


def _raw_record(text: str, path: str, line: int, header: bool) -> Record:
    """The record of a line in which quotes are ordinary characters.

    Raises:
        InputError: a field is too long, or the file ends its lines with carriage returns.
    """
    fields = text.rstrip("\r\n").split("\t")
    if header and any("\r" in field for field in fields):
        raise row_error(path, line, _csv_message("new-line"))
    if len(text) > csv.field_size_limit() and max(map(len, fields)) > csv.field_size_limit():
        raise row_error(path, line, _csv_message("field larger"))
    return Record(line, fields)


def _take(lines: Iterator[str], size: int) -> tuple[list[str], bool]:
    """Some lines, of about so many characters together, and whether those are all."""
    taken: list[str] = []
    for line in lines:
        taken.append(line)
        size -= len(line)
        if size < 0:
            return taken, False
    return taken, True


def _is_quoting(text: str, width: int, whole: bool) -> bool:
    """Whether quotes in tab-separated text are quoting, as pandas and Excel write it, or characters, as in GLUE.

    Programs that quote do so wherever they must, and double the quotes inside. So one quote elsewhere, or a quoted
    field that needed no quotes, shows that quotes are characters; a quoted header, that they are quoting.

    Args:
        text: lines, the first of which has a quote.
        width: columns of the table; 0 where the first line is the header.
        whole: whether the text goes to the end of the file.
    """
    parts = text.split('"')  # outside of quotes, inside, outside, ...; nothing is between doubled ones
    outside = parts[::2]
    closed = len(parts) % 2 == 1
    opens = all(part[-1:] in ("", "\t", "\n") for part in (outside[:-1] if closed else outside))
    closes = all(part[:1] in ("", "\t", "\r", "\n") for part in outside[1:])
    if not (opens and closes and (closed or not whole)):
        return False
    if not width:
        names = text.partition("\n")[0].rstrip("\r").split("\t")
        return all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)
    reasons = [set(field) & set(',"\t\r\n') for field in _quoted_fields(parts)]
    if not all(reasons):
        return False
    if any(reason & set("\t\r\n") for reason in reasons):
        lines = text.split("\n") if whole else text.split("\n")[:-1]
        if all(line.count("\t") + 1 == width for line in lines if line.strip("\r")):
            return False  # each line is a record as it stands
    return not ({","} in reasons and any("," in part for part in outside))  # Excel quotes every field with a comma


def _quoted_fields(parts: list[str]) -> Iterator[str]:
    """The contents of the quoted fields that are closed, from text split at its quotes."""
    field = parts[1]
    for i in range(2, len(parts) - 1, 2):
        if parts[i] == "":
            field += '"' + parts[i + 1]
        else:
            yield field
            field = parts[i + 1]
    if len(parts) % 2:
        yield field


def _csv_message(reason: str) -> str:
    """What the csv module found, in terms of the fix."""
    if "field larger" in reason:
        return f"a field is longer than {csv.field_size_limit():,} characters; shorten it, or {_CLOSE_QUOTE}"
    if "unexpected end" in reason:
        return _CLOSE_QUOTE
    if "new-line" in reason:
        return "a carriage return outside of double quotes; end lines with \\n or \\r\\n"
    return f"quoting is broken ({reason}); double the double quotes that are part of a text"
