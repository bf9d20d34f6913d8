"""What reports share: tables in Markdown, and plots as PNG files."""

from __future__ import annotations

import io
import json
import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError

from .files import replace_file
from .refusals import read_if_any


def markdown_table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, each line ended."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, *rows)]
    lines.insert(1, "|---" * len(columns) + "|")
    return "\n".join(lines) + "\n"


def check_results(path: Path, key: str, beside: Iterable[Path]) -> None:
    """Refuses to replace what a command that writes results has not written.

    Args:
        path: the JSON file to write.
        key: a field of every such file.
        beside: tables and plots that are written with it. They are ours where it is.

    Raises:
        InputError: one of them exists and is something else.
    """
    if path.exists():
        written = read_if_any(path) or b""
        try:
            content = json.loads(written.decode("utf-8"))
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{path}: exists and holds something else than results; choose another --output")
        return
    for other in beside:
        if other.exists():
            raise InputError(f"{other}: exists, and belongs to no {path.name}; choose another --output")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """A cell for the same figure of several seeds: "83.0 (82.7 to 83.6)", the median, the least and the greatest."""
    middle, least, greatest = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {greatest})"


def byte_axis(axes: Any, label: str) -> None:
    """Makes the x axis of matplotlib's `axes` a logarithmic one of sizes in B, kB and MB."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter("B"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def save_plot(figure: Any, path: str | os.PathLike[str], dpi: int = 150) -> None:
    """Writes a figure of matplotlib as PNG, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    drawn = io.BytesIO()  # errors of the system would come out as others of the library's
    figure.savefig(drawn, format="png", dpi=dpi)
    with replace_file(path) as temporary:
        temporary.write_bytes(drawn.getvalue())
