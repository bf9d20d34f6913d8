"""A text that is longer than a model's input, read in several: docs/hash.md, "Windows"."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .strings import Text, to_bytes
from .words import CHANGED, LONG, WIDE_SPACE, WORDS, clean


class Window(NamedTuple):
    """A part of a text that a model reads at once: whole tokens."""

    start: int  # the first byte
    end: int  # the one behind the last
    tokens: int


@dataclass(frozen=True)
class Windows:
    """How texts are read that are longer than the input of a model.

    Args:
        max_tokens: token slots of a window, [CLS] and [SEP] included.
        max_bytes: bytes of a window; all but one of them are filled, since a token that touches the last is dropped.
        max_windows: windows of a text; what lies behind the last one is not read.
        overlap: tokens that a window has in common with the one before.
        normalization: as in `HashConfig`.
    """

    max_tokens: int
    max_bytes: int
    max_windows: int = 1
    overlap: int = 0
    normalization: int = 0

    def find(self, data: bytes) -> Iterator[Window]:
        """The windows of a text, as many as it takes to read all of it; none where it has no tokens.

        A token that is longer than a window is one by itself, and cut.

        Args:
            data: the bytes of the text.
        """
        most, room = self.max_tokens - 2, self.max_bytes - 1
        held: list[tuple[int, int]] = []
        for start, end in token_places(data, self.normalization):
            if held and (len(held) == most or end - held[0][0] > room):
                yield Window(held[0][0], held[-1][1], len(held))
                held = held[max(1, len(held) - self.overlap) :]
                while held and end - held[0][0] > room:
                    held.pop(0)
            held.append((start, end))
        if held:
            yield Window(held[0][0], held[-1][1], len(held))

    def cut(self, text: Text) -> list[bytes]:
        """What is read of a text: the bytes of its windows, at least one and at most `max_windows`."""
        return self.cut_and_weigh(text)[0]

    def cut_and_weigh(self, text: Text) -> tuple[list[bytes], np.ndarray]:
        """The bytes of a text's windows, as `cut` gives them, and the share of each in the text by its tokens."""
        data = to_bytes(text)
        if len(data) <= self.max_tokens - 2 and len(data) < self.max_bytes:  # each token has a byte at least
            return [data], np.ones(1)
        found = list(itertools.islice(self.find(data), self.max_windows)) or [Window(0, 0, 1)]
        tokens = np.array([window.tokens for window in found], np.float64)
        return [data[window.start : window.end] for window in found], tokens / tokens.sum()

    def is_truncated(self, text: Text) -> bool:
        """Whether some of a text is not read."""
        windows = list(itertools.islice(self.find(to_bytes(text)), self.max_windows + 1))
        return len(windows) > self.max_windows or any(w.end - w.start > self.max_bytes for w in windows)


def token_places(data: bytes, normalization: int = 0) -> Iterator[tuple[int, int]]:
    """The first byte, and the one behind the last, of each token of a text without limits.

    Bytes that are dropped within a token belong to it, those before and behind it do not.

    Args:
        data: the bytes of the text; a separator byte is white space.
        normalization: as in `HashConfig`.
    """
    data = clean(data)
    if not normalization:
        data = WIDE_SPACE.sub(lambda match: b" " * len(match[0]), data)
    elif not data.isascii():
        yield from _changed_places(data)
        return
    for match in WORDS[normalization].finditer(data):
        yield match.span()


def _changed_places(data: bytes) -> Iterator[tuple[int, int]]:
    """`token_places` where characters are replaced: places in what they become are traced back."""
    parts: list[bytes] = []
    # Runs of the new text: where each begins, and the bytes that it was; a run that did not change has no end.
    begins, sources = [0], [(0, -1)]
    done, length = 0, 0  # bytes of the old text and of the new one
    for match in LONG.finditer(data):
        new = CHANGED[match[0]]
        if new == match[0]:
            continue
        start, end = match.span()
        if start > done:
            begins.append(length)
            sources.append((done, -1))
        parts += [data[done:start], new]
        length += start - done
        begins.append(length)
        sources.append((start, end))
        length, done = length + len(new), end
    begins.append(length)
    sources.append((done, -1))
    parts.append(data[done:])
    for match in WORDS[1].finditer(b"".join(parts)):
        first, last = match.start(), match.end() - 1
        run = bisect.bisect_right(begins, first) - 1
        start = sources[run][0] + (first - begins[run] if sources[run][1] < 0 else 0)
        run = bisect.bisect_right(begins, last) - 1
        end = sources[run][1] if sources[run][1] >= 0 else sources[run][0] + last + 1 - begins[run]
        yield start, end
