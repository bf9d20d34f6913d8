"""Small plots as SVG: panels with a logarithmic x axis, in colours that follow the reader's light or dark mode.

Text stays text, numbers have one decimal, and nothing depends on fonts or versions: the same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 400, 290  # of a panel, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 34, 46  # margins of its axes
_LETTER, _LINE = 6.1, 13  # estimated size of a letter of a label
_MARKER = 5
_WIDE = 500  # the largest by the smallest number of an axis
_STYLE = """\
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-weight:600;font-size:13px}.small{font-size:11px}
.ground{fill:#fff}.grid{stroke:#e3e7eb}.level{stroke:#57606a;stroke-dasharray:5 4}
path,.mark{stroke-width:1.6}
.a{stroke:#c2410c;fill:#c2410c}.b{stroke:#1565a8;fill:#1565a8}.c{stroke:#6e7781;fill:#fff}.d{stroke:#1a7f4b;fill:#1a7f4b}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117}.grid{stroke:#2b323b}.level{stroke:#9aa4ae}
.a{stroke:#ff8f66;fill:#ff8f66}.b{stroke:#6cb6ff;fill:#6cb6ff}.c{stroke:#aab4be;fill:#0d1117}.d{stroke:#5fd08d;fill:#5fd08d}}
"""
LOOKS = "abcd"  # each has a colour and a shape

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Point:
    """One figure: `low` and `high` say between which seeds or runs it lies."""

    x: float
    y: float
    name: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one look; joined by a line, and told in a legend, where they have a common `name`."""

    look: str
    points: Sequence[Point]
    name: str = ""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Args:
        title: what is measured.
        x_label, y_label: of the axes.
        series: what is drawn.
        ticks: values and texts of the x axis; round numbers of bytes by default.
        levels: heights of dashed lines, for what has no x, with their names.
        from_zero: whether the y axis begins at 0.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    ticks: Sequence[tuple[float, str]] = ()
    levels: dict[str, float] = field(default_factory=dict)
    from_zero: bool = False


def drawing(panels: Sequence[Panel], description: str, columns: int = 2) -> str:
    """Panels beside and below one another, as a file."""
    width, height = WIDTH * min(columns, len(panels)), HEIGHT * math.ceil(len(panels) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{escape(description)}">\n<style>\n{_STYLE}</style>\n<rect class="ground" width="{width}" '
        f'height="{height}"/>'
    ]
    for number, panel in enumerate(panels):
        x, y = WIDTH * (number % columns), HEIGHT * (number // columns)
        parts += [f'<g transform="translate({x} {y})">', *_Axes(panel).drawn(), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def byte_ticks(least: float, most: float) -> list[tuple[float, str]]:
    """1, 2 and 5 of each power of ten between two numbers of bytes; of a wide range 1 and 3, which leave room."""
    found, firsts = [], (1, 2, 5) if most / least < _WIDE else (1, 3)
    for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1):
        for first in firsts:
            value = first * 10.0**power
            if least <= value <= most:
                unit = next(pair for pair in ((1e6, "MB"), (1e3, "kB"), (1, "B")) if value >= pair[0])
                found.append((value, f"{value / unit[0]:g} {unit[1]}"))
    return found


def y_ticks(least: float, most: float) -> list[float]:
    """Four to eight round numbers that span a range."""
    rough = (most - least or 1) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * first for first in (1, 2, 5, 10) if power * first >= rough)
    first, last = math.floor(least / step), math.ceil(most / step)
    return [round(step * number, 6) for number in range(first, last + 1)]


class _Axes:
    """Places a panel's data, and its labels where they cover nothing."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        points = [point for series in panel.series for point in series.points]
        heights = [v for p in points for v in (p.y, p.low, p.high) if v is not None] + list(panel.levels.values())
        self.heights = y_ticks(0 if panel.from_zero else min(heights), max(heights))
        least, most = min(p.x for p in points), max(p.x for p in points)
        room = 1.35 if panel.ticks else 1.9  # of names beside the outermost points
        self.least, self.most = least / room, most * room
        self.ticks = panel.ticks or byte_ticks(self.least, self.most)
        self.taken: list[Box] = []

    def x(self, value: float) -> float:
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.heights[0]) / (self.heights[-1] - self.heights[0])
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def drawn(self) -> Iterator[str]:
        """The panel's elements, those below first."""
        panel, right, bottom = self.panel, WIDTH - _RIGHT, HEIGHT - _BOTTOM
        yield _text(_LEFT, 20, panel.title, "title")
        for value in self.heights:
            yield f'<path class="grid" d="M{_LEFT} {self.y(value):.1f}H{right}"/>'
            yield _text(_LEFT - 6, self.y(value) + 4, f"{value:g}", "small", "end")
        for place, words in self.ticks:
            yield f'<path class="grid" d="M{self.x(place):.1f} {_TOP}V{bottom}"/>'
            yield _text(self.x(place), bottom + 16, words, "small", "middle")
        yield _text((_LEFT + right) / 2, HEIGHT - 10, panel.x_label, "small", "middle")
        middle = (_TOP + bottom) / 2
        yield _text(14, middle, panel.y_label, "small", "middle", f' transform="rotate(-90 14 {middle:.1f})"')
        for series in panel.series:
            for point in series.points:
                x, y = self.x(point.x), self.y(point.y)
                self.taken.append((x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER))
        for name, value in panel.levels.items():
            y = self.y(value)
            self.taken.append((_LEFT, y - 1, right, y + 1))
            yield f'<path class="level" d="M{_LEFT} {y:.1f}H{right}"/>'
            yield self.name(name, right - _LETTER * len(name) / 2 - 4, y, rooms=("above", "below"))
        for series in panel.series:
            yield from self.series(series)
        for row, series in enumerate(one for one in panel.series if one.name):
            x, y = _LEFT + 14, _TOP + 14 + 17 * row
            yield _mark(series.look, x, y)
            yield _text(x + 12, y + 4, series.name, "small")

    def series(self, series: Series) -> Iterator[str]:
        """A series with the names of its points."""
        places = [(self.x(point.x), self.y(point.y)) for point in series.points]
        if series.name:
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            yield f'<path class="{series.look}" style="fill:none" d="M{way}"/>'
        for point, (x, y) in zip(series.points, places, strict=True):
            if point.low is not None and point.high is not None:
                yield f'<path class="{series.look}" d="M{x:.1f} {self.y(point.low):.1f}V{self.y(point.high):.1f}"/>'
            yield _mark(series.look, x, y)
        for point, (x, y) in zip(series.points, places, strict=True):
            if point.name:
                yield self.name(point.name, x, y)

    def name(self, words: str, x: float, y: float, rooms: Sequence[str] = ()) -> str:
        """A name near a place: in the first of several rooms that is free, or in the first."""
        width = _LETTER * len(words)
        centres = {
            "right": (x + _MARKER + 4 + width / 2, y),
            "above": (x, y - 13),
            "below": (x, y + 14),
            "left": (x - _MARKER - 4 - width / 2, y),
            "above left": (x - width / 2 + _MARKER, y - 14),
            "below left": (x - width / 2 + _MARKER, y + 15),
            "above right": (x + width / 2 - _MARKER, y - 14),
            "below right": (x + width / 2 - _MARKER, y + 15),
        }
        boxes = [
            (cx - width / 2, cy - _LINE / 2, cx + width / 2, cy + _LINE / 2)
            for cx, cy in (centres[room] for room in rooms or centres)
        ]
        box = next((box for box in boxes if self.is_free(box)), boxes[0])
        self.taken.append(box)
        return _text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 4, words, "small", "middle")

    def is_free(self, box: Box) -> bool:
        """Whether a name may stand there: within the axes, and over nothing that has been drawn."""
        left, top, right, bottom = box
        if left < _LEFT or right > WIDTH - 2 or top < _TOP - 8 or bottom > HEIGHT - _BOTTOM:
            return False
        return all(right < a or left > c or bottom < b or top > d for a, b, c, d in self.taken)


def _mark(look: str, x: float, y: float) -> str:
    """A dot, a square, a diamond or a triangle."""
    if look == "a":
        return f'<circle class="mark a" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    if look == "b":
        return f'<rect class="mark b" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    shape = "l5 5l-5 5l-5 -5z" if look == "c" else "l5 9h-10z"
    return f'<path class="{look}" d="M{x:.1f} {y - 5:.1f}{shape}"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start", more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'
