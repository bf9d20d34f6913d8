"""JSON objects with a checksum of themselves in one of their fields, so that a flipped bit is noticed.

The checksum covers the values, not the text: white space and the order of fields may change. An object without a
checksum is accepted, since earlier versions wrote none and people may edit their files.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

CHECKSUM_FIELD = "fields_sha256"


def with_checksum(fields: dict[str, Any]) -> dict[str, Any]:
    """The object with its checksum as the last field."""
    others = {name: value for name, value in fields.items() if name != CHECKSUM_FIELD}
    return {**others, CHECKSUM_FIELD: _digest(fields)}


def has_valid_checksum(fields: dict[str, Any]) -> bool:
    """Whether the object's checksum fits its other fields; an object without a checksum is accepted."""
    return CHECKSUM_FIELD not in fields or fields[CHECKSUM_FIELD] == _digest(fields)


def _digest(fields: dict[str, Any]) -> str:
    values = json.loads(json.dumps(fields))  # the values as a file gives them back: lists in place of tuples
    values.pop(CHECKSUM_FIELD, None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
