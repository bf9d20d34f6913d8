"""Reads FlatBuffers tables in place, and believes no offset in them: what leads outside the file is an error."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

ROOT_BYTES = 64  # of each root that `with_roots` writes, which keeps the alignment of what follows
_MAX_TABLES = 2**14  # in a list: entries may overlap, and a small file could make much work
_WIDTHS = {"b": 1, "B": 1, "?": 1, "h": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4}


class DamagedFileError(ValueError):
    """A file cannot be read as what it says it is; the message says where."""


class Table:
    """A table of fields, each found by its number in the schema.

    Args:
        data: the file.
        position: where the table begins.

    Raises:
        DamagedFileError: the table, its list of fields or a field does not lie within the file.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position
        fields = position - self._number("i", position)
        size, self._size = self._number("H", fields), self._number("H", fields + 2)
        if size < 4 or size % 2 or position + self._size > len(data) or self._size < 4:
            raise DamagedFileError(f"the table at byte {position} is not one")
        self._fields = [self._number("H", place) for place in range(fields + 4, fields + size, 2)]
        if any(offset and not 4 <= offset < self._size for offset in self._fields):  # also those that nobody asks for
            raise DamagedFileError(f"a field of the table at byte {position} lies outside of it")

    def _number(self, kind: str, position: int) -> int:
        if position < 0 or position + struct.calcsize(kind) > len(self._data):
            raise DamagedFileError(f"an offset leads to byte {position} of {len(self._data)}")
        return int(struct.unpack_from(f"<{kind}", self._data, position)[0])

    def _place(self, field: int, width: int) -> int | None:
        """Where a field stands; `None` where it has its default.

        Raises:
            DamagedFileError: it does not lie within the table.
        """
        offset = self._fields[field] if field < len(self._fields) else 0
        if not offset:
            return None
        if offset < 4 or offset + width > self._size:
            raise DamagedFileError(f"field {field} of the table at byte {self._position} lies outside of it")
        return self._position + offset

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A whole number or a truth value; `kind` as for `struct`."""
        place = self._place(field, _WIDTHS[kind])
        return default if place is None else self._number(kind, place)

    def _target(self, field: int) -> int | None:
        """Where what a field points to begins."""
        place = self._place(field, 4)
        return None if place is None else place + self._number("I", place)

    def place(self, field: int) -> int:
        """Where what a field points to begins.

        Raises:
            DamagedFileError: the field is missing.
        """
        place = self._target(field)
        if place is None:
            raise DamagedFileError(f"field {field} of the table at byte {self._position} is missing")
        return place

    def vector(self, field: int, dtype: Any) -> np.ndarray:
        """Numbers, read in place; none where the field is missing.

        Raises:
            DamagedFileError: they do not lie within the file.
        """
        start, width = self._target(field), np.dtype(dtype).itemsize
        if start is None:
            return np.zeros(0, dtype)
        count = self._number("I", start)
        if start + 4 + count * width > len(self._data):
            raise DamagedFileError(f"{count} numbers at byte {start} reach beyond the end of the file")
        return np.frombuffer(self._data, dtype, count, start + 4)

    def table(self, field: int) -> Table | None:
        """A table that a field points to."""
        start = self._target(field)
        return None if start is None else Table(self._data, start)

    def tables(self, field: int) -> list[Table]:
        """A list of tables; none where the field is missing.

        Raises:
            DamagedFileError: they do not lie within the file, or are more than any of ours has.
        """
        return [Table(self._data, place) for place in self.places(field)]

    def places(self, field: int) -> list[int]:
        """Where the tables of a list begin; none where the field is missing.

        Raises:
            DamagedFileError: the list does not lie within the file, or is longer than any of ours.
        """
        start, count = self._target(field), self.vector(field, np.uint32).size
        if start is None:
            return []
        if count > _MAX_TABLES:
            raise DamagedFileError(f"a list of {count} tables")
        return [place + self._number("I", place) for place in range(start + 4, start + 4 + 4 * count, 4)]

    def string(self, field: int) -> bytes:
        """A text; runtimes also need the zero behind it.

        Raises:
            DamagedFileError: it does not lie within the file, or has no end.
        """
        text = self.vector(field, np.uint8).tobytes()
        start = self._target(field)
        if start is not None and self._number("B", start + 4 + len(text)):
            raise DamagedFileError(f"the text at byte {start} has no end")
        return text


def root(data: bytes) -> Table:
    """The outermost table of a file.

    Raises:
        DamagedFileError: there is none.
    """
    if len(data) < 8:
        raise DamagedFileError("it has no beginning")
    return Table(data, struct.unpack_from("<I", data)[0])
