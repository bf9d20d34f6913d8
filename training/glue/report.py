"""GLUE scores as a Markdown table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.reports import markdown_table, save_plot

from .tasks import TASKS


def markdown(rows: Sequence[dict[str, Any]], tasks: Sequence[str]) -> str:
    """A table of the medians over seeds, with the lowest and the highest in brackets.

    Args:
        rows: results of `run.summary`, one for each model.
        tasks: the columns.
    """
    return markdown_table(
        ["model", *(f"{task} ({', '.join(TASKS[task].metrics)})" for task in tasks), "average"],
        ([row["model"], *(_cell(row["tasks"].get(task)) for task in tasks), _average(row, tasks)] for row in rows),
    )


def _cell(scored: dict[str, Any] | None) -> str:
    if scored is None:
        return "-"
    values = " / ".join(f"{value:.1f}" for metrics in scored["sets"].values() for value in metrics.values())
    return values if scored["seeds"] == 1 else f"{values} ({scored['least']:.1f} to {scored['greatest']:.1f})"


def _average(row: dict[str, Any], tasks: Sequence[str]) -> str:
    return f"{row['average']:.1f}" if len(row["tasks"]) == len(tasks) else "-"


def plot(rows: Sequence[dict[str, Any]], tasks: Sequence[str], path: Path) -> None:
    """Plots the scores of each task as points, in one colour for each model; bars show the spread over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 * len(tasks) + 3, 4.5), layout="constrained")
    axes = figure.subplots()
    for i, row in enumerate(rows):
        scored = [(x, row["tasks"][task]) for x, task in enumerate(tasks) if task in row["tasks"]]
        shift = (i - (len(rows) - 1) / 2) * 0.7 / max(1, len(rows))
        middle = [cell["score"] for _, cell in scored]
        below = [cell["score"] - cell["least"] for _, cell in scored]
        above = [cell["greatest"] - cell["score"] for _, cell in scored]
        axes.errorbar([x + shift for x, _ in scored], middle, [below, above], fmt="o", capsize=2, label=row["model"])
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_ylabel("score: the mean of the task's metrics, times 100")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save_plot(figure, path)
