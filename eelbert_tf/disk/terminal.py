"""Standard input, output and error, which may be closed, full or gone.

What is printed cannot drive a terminal: labels and names are other people's, and may hold control characters.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from eelbert_tf.errors import InputError

from .refusals import write_error

# Control characters, C1 among them (U+009B begins a command as ESC [ does), line separators, and what turns the
# direction of text.
_DRIVING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """A text on one line, with such characters as JSON escapes them: in a JSON string it stays equal."""
    return _DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Loads TensorFlow without what it says of the processor and of missing GPUs, whatever its log level is."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                with _held_back():
                    load(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def start_quietly() -> None:
    """Has TensorFlow start without messages, if it starts at all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules and not any(isinstance(f, _QuietTensorFlow) for f in sys.meta_path):
        sys.meta_path.insert(0, _QuietTensorFlow())


@contextmanager
def _held_back() -> Iterator[None]:
    """Keeps what libraries write to stderr, and shows it only where the block fails."""
    try:
        before = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            with os.fdopen(os.dup(before), "wb") as shown:
                shutil.copyfileobj(kept, shown)
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


def print_json(result: object) -> None:
    """Prints a value as one line of JSON on stdout."""
    line = escape(json.dumps(result, ensure_ascii=False)) + "\n"
    with _writing():
        try:
            sys.stdout.write(line)
        except UnicodeEncodeError:  # a file name that is not UTF-8, or a terminal of another encoding
            sys.stdout.write(json.dumps(result) + "\n")


def flush_output() -> None:
    """Hands over what was printed on stdout."""
    with _writing():
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """Says what the system refused; a reader that has gone, `head` for example, is no error of ours.

    Raises:
        InputError: stdout cannot take what is printed.
        BrokenPipeError: its reader has gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise write_error(error, "standard output") or error from None


@contextmanager
def standard_streams() -> Iterator[None]:
    """Prepares the three standard streams for a command.

    Where one is closed, the next file that is opened would get its number, and what libraries print would land in it:
    the number is taken. Of stderr nothing is lost but what cannot be shown: a full disk under it stops no training.

    Raises:
        InputError: stdout is closed, so that nobody could see the result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    for number in (1, 2):
        with contextlib.suppress(OSError, AttributeError):  # a full pipe is waited for
            if not os.isatty(number):
                os.set_blocking(number, True)
    before = sys.stderr
    sys.stderr = cast(TextIO, _Lenient(before))
    try:
        if sys.stdout is None:
            raise InputError("standard output is closed, and the result goes there; lead it to a file or to /dev/null")
        yield
    finally:
        sys.stderr = before
        try:
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError):  # else Python complains when it ends
            silence(sys.stdout)


def complain(text: str) -> None:
    """Prints one line on stderr, if that is possible."""
    stderr = _Lenient(sys.stderr)
    stderr.write(escape(" ".join(text.split())) + "\n")
    stderr.flush()


def silence(stream: Any) -> None:
    """Leads a stream that cannot take what is printed to nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


class _Lenient:
    """A stream on which writing does not fail; what cannot be shown is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(text)
        except OSError:
            silence(self._stream)
        return len(text)

    def flush(self) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError:
            silence(self._stream)

    def isatty(self) -> bool:
        return self._stream is not None and bool(self._stream.isatty())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
