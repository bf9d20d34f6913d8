"""Columns of a table that hold texts and are not read: what a user may have forgotten to name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from statistics import median

from .records import is_json, read_json, read_records
from .texts import open_text

_LOOKED_AT = 200  # rows
_WORDS = 3  # in the middle of its rows, of a column that holds texts
_DISTINCT = 0.5  # share of its rows: a column of dates or categories repeats itself


def unused_text_columns(path: str | os.PathLike[str], used: Sequence[str]) -> list[str]:
    """The names of columns that seem to hold texts, among those that are not used.

    Args:
        path: a CSV or TSV file, or JSON lines, that was read before.
        used: the names of the columns that are read.
    """
    source = os.fspath(path)
    with open_text(source, "a CSV or TSV file", unit="row") as file:
        if is_json(source):
            rows = [record.values for record in itertools.islice(read_json(file, source), _LOOKED_AT)]
        else:
            records = read_records(file, source, lambda header: all(name in map(str.strip, header) for name in used))
            names = [name.strip() for name in next(records).fields]
            rows = [dict(zip(names, fields, strict=False)) for _, fields in itertools.islice(records, _LOOKED_AT)]
    columns = list(rows[0]) if rows else []
    return [name for name in columns if name not in used and _holds_texts([row.get(name) for row in rows])]


def _holds_texts(values: Sequence[object]) -> bool:
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        return False
    return median(len(text.split()) for text in texts) >= _WORDS and len(set(texts)) >= _DISTINCT * len(texts)
