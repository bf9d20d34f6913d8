"""Progress of long work on stderr: a bar on a terminal, and elsewhere a plain line now and then.

Work that ends within `DELAY` seconds shows nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from eelbert_tf.interrupts import raise_pending

Item = TypeVar("Item")

DELAY = 2.0  # seconds before the first sign of progress
LINE_EVERY = 30.0  # seconds between two lines where there is no terminal


class Progress:
    """What is done of a piece of work, how fast, and how long the rest will take.

    Args:
        name: what is done: "training" for example.
        total: units of the whole work; `None` where it is not known.
        unit: what is counted: "step" for example.
        initial: units that were done before.
        scale: whether large counts are shortened: 12.3M.
        quiet: whether to show nothing at all.
        lines: whether plain lines tell of it now and then where there is no terminal.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        unit: str,
        initial: int = 0,
        scale: bool = False,
        quiet: bool = False,
        lines: bool = True,
    ) -> None:
        self.done = initial
        self._name, self._total, self._unit, self._initial, self._scale = name, total, unit, initial, scale
        self._quiet, self._lines = quiet, lines
        self._values = ""
        self._began = time.monotonic()
        self._next_line = self._began + DELAY
        self._printed: int | None = None  # units done when the last line was printed
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=name,
                total=total,
                unit=unit,
                initial=initial,
                unit_scale=scale,
                delay=DELAY,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, count: int = 1) -> None:
        """Counts units that are done.

        Raises:
            KeyboardInterrupt: a signal came, and something swallowed it.
        """
        raise_pending()
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._lines and time.monotonic() >= self._next_line:
            self._print_line()

    def show(self, values: str) -> None:
        """Puts some figures, the loss for example, behind the next bar or line."""
        self._values = values
        if self._bar is not None:
            self._bar.set_postfix_str(values, refresh=False)

    def write(self, text: str) -> None:
        """Prints a line of its own, above the bar."""
        if self._bar is not None and time.monotonic() >= self._began + DELAY:  # before, it would draw the bar
            self._bar.write(text, file=sys.stderr)
        elif not self._quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def line(self, text: str) -> None:
        """Prints a line where there is no terminal whose bar says it all."""
        if self._bar is None:
            self.write(text)

    def left(self) -> str:
        """The time that the rest will take, as "2:03"; empty where that is not known, or nothing is left."""
        rate = (self.done - self._initial) / max(time.monotonic() - self._began, 1e-9)
        if self._total is None or self.done >= self._total or rate <= 0:
            return ""
        return _clock((self._total - self.done) / rate)

    def close(self) -> None:
        """Ends the bar, so that what is printed next has a line of its own."""
        if self._bar is not None:
            self._bar.close()
        elif self._printed is not None and self._printed != self.done:
            self._print_line()

    def _print_line(self) -> None:
        now = time.monotonic()
        self._next_line = now + LINE_EVERY
        self._printed = self.done
        seconds = now - self._began
        amount = self._count(self.done)
        if self._total is not None:
            amount += f" of {self._count(self._total)}"
        parts = [f"{self._name}: {amount} {self._unit}s"]
        if left := self.left():
            parts.append(f"{left} left")
        parts.append(f"{_clock(seconds)} elapsed")
        self.write(", ".join([*parts, self._values] if self._values else parts))

    def _count(self, number: float) -> str:
        if not self._scale or number < 1000:
            return f"{number:,.0f}"
        power = min((len(str(int(number))) - 1) // 3, 4)
        return f"{number / 1000**power:.3g}{'kMGT'[power - 1]}"


def with_progress(items: Iterable[Item], unit: str, name: str = "done", total: int | None = None) -> Iterator[Item]:
    """The items, with their progress.

    Args:
        items: anything; its length is the total where it has one and `total` is not given.
        unit: what an item is.
        name: what is done with the items.
        total: their number.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(name, total, unit, scale=True) as progress:
        for item in items:
            yield item
            progress.update()


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds: "1:02:03" or "2:03"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
