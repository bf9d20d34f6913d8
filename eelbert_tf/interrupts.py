"""Ctrl-C and SIGTERM, which must not get lost: an exception raised by a handler may land where it is swallowed.

Python runs a signal's handler between any two instructions, also inside callbacks of C++ libraries and in finalizers,
which print an exception and go on. So the handler also notes the signal, and long work asks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated as an interrupt: what is half done is cleaned up."""


_SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_pending: list[type[KeyboardInterrupt]] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns both signals into exceptions while a command runs; `raise_pending` finds those that were swallowed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def stop(number: int, _: object) -> None:
        _pending.append(_SIGNALS[signal.Signals(number)])
        raise _pending[-1]

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        _pending.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_pending() -> None:
    """Raises the exception of a signal that came and was swallowed.

    Raises:
        KeyboardInterrupt: there was one; `Terminated` for SIGTERM.
    """
    if _pending:
        raise _pending[-1]
