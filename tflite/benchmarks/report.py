"""The rows of `benchmark_size` as a Markdown table and as two plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.reports import byte_axis, markdown_table, save_plot

Row = dict[str, Any]

PLOTS = {"accuracy": "accuracy", "latency": "p50_ms"}  # name, and what it shows against bytes
_AXES = {"accuracy": "accuracy, %", "p50_ms": "latency of one text, median, ms"}
_MARKERS = "osD^vP*X"


def markdown(rows: Sequence[Row]) -> str:
    """A table; what does not apply stays empty."""
    columns = ("model", "format", "file, bytes", "arena, bytes", "p50, ms", "p95, ms", "peak memory, MB", "accuracy, %")
    cells = (
        (
            row["model"],
            row["format"],
            _cell(row["bytes"], ","),
            _cell(row["arena_bytes"], ","),
            _cell(row["p50_ms"], ".3f"),
            _cell(row["p95_ms"], ".3f"),
            _cell(row["peak_bytes"], ".1f", 1e-6),
            _cell(row["accuracy"], ".2f", 100),
        )
        for row in rows
    )
    return markdown_table(columns, cells)


def _cell(value: float | None, form: str, factor: float = 1) -> str:
    return "" if value is None else format(value * factor, form)


def plot(rows: Sequence[Row], value: str, path: Path) -> None:
    """Draws a value against the bytes of the file: a colour for each model, a marker for each of its formats.

    Args:
        rows: those without the value are left out.
        value: one of those of `PLOTS`.
        path: the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(row["model"] for row in rows))
    formats = {model: [row["format"] for row in rows if row["model"] == model] for model in models}
    for row in rows:
        if row[value] is None:
            continue
        axes.plot(
            row["bytes"],
            100 * row[value] if value == "accuracy" else row[value],
            linestyle="",
            marker=_MARKERS[formats[row["model"]].index(row["format"]) % len(_MARKERS)],
            color=f"C{models.index(row['model']) % 10}",
            alpha=0.8,
            label=f"{row['model']}, {row['format']}",
        )
    byte_axis(axes, "size of the file")
    axes.set_ylabel(_AXES[value])
    if value != "accuracy":
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save_plot(figure, path)
