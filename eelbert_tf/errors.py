"""The error that is the user's to mend: commands show its one line and exit with status 2."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or an impossible output. The message is one line: the file, the row, what was expected, the mend."""
