"""What is printed cannot drive a terminal: labels and names are other people's, and may hold control characters."""

from __future__ import annotations

import json
import re
import sys

# Control characters, C1 among them (U+009B begins a command as ESC [ does), line separators, and what turns the
# direction of text.
_DRIVING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """A text on one line, with such characters as JSON escapes them: in a JSON string it stays equal."""
    return _DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(result: object) -> None:
    """Prints a value as one line of JSON on stdout."""
    line = escape(json.dumps(result, ensure_ascii=False)) + "\n"
    try:
        sys.stdout.write(line)
    except UnicodeEncodeError:  # a file name that is not UTF-8, or a terminal of another encoding
        sys.stdout.write(json.dumps(result) + "\n")
