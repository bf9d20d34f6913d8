"""JSON objects that carry a checksum of themselves, so that a flipped bit in a number or a name is seen.

The checksum is of the values, not of the text: white space and the order of fields are free. An object without one is
taken as it is, since earlier versions wrote none, and people may edit theirs.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SEAL = "fields_sha256"


def seal(fields: dict[str, Any]) -> dict[str, Any]:
    """The object with its checksum as the last field."""
    return {**{name: value for name, value in fields.items() if name != SEAL}, SEAL: _digest(fields)}


def is_intact(fields: dict[str, Any]) -> bool:
    """Whether an object read from a file is the one that was sealed, or was never sealed."""
    return SEAL not in fields or fields[SEAL] == _digest(fields)


def _digest(fields: dict[str, Any]) -> str:
    values = json.loads(json.dumps(fields))  # as they come back from a file
    values.pop(SEAL, None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
