"""Errors and warnings about what the user gave: commands show them as one line; after an error the status is 2."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or an impossible output. The message is one line: the file, the row, what was expected, the fix."""


class InputWarning(UserWarning):
    """Input that can be used and is probably a mistake. The message is one line: the file, the rows, the fix."""
