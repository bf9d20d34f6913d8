"""Small plots as SVG, for pages that load nothing."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 26, 12, 36


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Args:
        name: in the legend; none without it.
        points: pairs of x and y.
        style: "line", "dashed" or "dots".
        colour: the number of a colour, from 0.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "line"
    colour: int = 0


def plot(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    width: int = 420,
    height: int = 260,
) -> str:
    """A plot of some lines.

    Args:
        lines: what is shown; values that are no finite numbers are left out.
        x_label: what the horizontal axis shows.
        y_label: what the vertical axis shows.
        x_range: its ends; those of the points by default.
        y_range: likewise.
        width: in pixels.
        height: in pixels.

    Returns:
        An `svg` element.
    """
    points = [point for line in lines for point in line.points if all(map(math.isfinite, point))]
    x0, x1 = x_range or _range([x for x, _ in points])
    y0, y1 = y_range or _range([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x0) / (x1 - x0) * (width - _LEFT - _RIGHT)
        return _LEFT + across, height - _BOTTOM - (y - y0) / (y1 - y0) * (height - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">']
    for y in _ticks(y0, y1):
        px, py = place(x0, y)
        parts.append(f'<line class="grid" x1="{px:.1f}" x2="{width - _RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text x="{px - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in _ticks(x0, x1):
        px, py = place(x, y0)
        parts.append(f'<text x="{px:.1f}" y="{py + 16:.1f}" text-anchor="middle">{x:g}</text>')
    parts.append(
        f'<text x="{(_LEFT + width) / 2:.0f}" y="{height - 4}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    parts.append(
        f'<text x="{-height / 2:.0f}" y="12" transform="rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>'
    )
    for line in lines:
        shown = [place(*point) for point in line.points if all(map(math.isfinite, point))]
        if line.style == "dots":
            parts += [f'<circle class="c{line.colour}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in shown]
        else:
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in shown)
            dashes = ' stroke-dasharray="4 4"' if line.style == "dashed" else ""
            parts.append(f'<polyline class="c{line.colour}" fill="none"{dashes} points="{path}"/>')
    named = [line for line in lines if line.name]
    for number, line in enumerate(named):
        x = _LEFT + 120 * number
        parts.append(f'<rect class="c{line.colour}" x="{x}" y="6" width="10" height="10"/>')
        parts.append(f'<text x="{x + 16}" y="15">{html.escape(line.name)}</text>')
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that are not the same."""
    if not values:
        return 0.0, 1.0
    least, greatest = min(values), max(values)
    return (least, greatest) if greatest > least else (least - 0.5, least + 0.5)


def _ticks(start: float, end: float, count: int = 5) -> list[float]:
    """Round numbers within a range."""
    rough = (end - start) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(start / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(end / step + 1e-9) + 1)]
