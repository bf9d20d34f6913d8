"""Ctrl-C and SIGTERM, which must not get lost: an exception raised by a handler may land where it is swallowed.

Python runs a signal's handler between any two instructions, also inside callbacks of C++ libraries and in finalizers,
which print an exception and go on, or make another error of it. So the handler also notes the signal: long work asks
for it whenever it shows its progress, and a command before it reports that it has ended.
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
_postponed = 0  # depth of `uninterrupted` blocks


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns both signals into exceptions while a command runs, also those that something swallowed.

    Raises:
        KeyboardInterrupt: a signal came; `Terminated` for SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def stop(number: int, _: object) -> None:
        _pending.append(_SIGNALS[signal.Signals(number)])
        if not _postponed:
            raise _pending[-1]

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
        raise_pending()
    except Exception as error:
        if _pending:  # what a library made of the exception that the handler raised in it
            raise _pending[-1] from error
        raise
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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts signals off until the end of the block, which must be short.

    Raises:
        KeyboardInterrupt: one came in the meantime.
    """
    global _postponed
    before = len(_pending)
    _postponed += 1
    try:
        yield
    finally:
        _postponed -= 1
    if len(_pending) > before and threading.current_thread() is threading.main_thread():
        raise_pending()
