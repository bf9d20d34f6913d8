"""The records of a run: log.csv, loss.png, and the time."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.refusals import read_if_any, write_error
from eelbert_tf.disk.reports import save_plot

LOG_FILE = "log.csv"
CURVE_FILE = "loss.png"
HELD_OUT = "held_out_"

Row = dict[str, float]


class RunLog:
    """The rows of log.csv, each of which is written at once.

    Args:
        folder: the run's folder.
        metrics: names of the objective's metrics.
        step: the step that is resumed; later rows are dropped.
        writes: whether to write the file.
    """

    def __init__(self, folder: Path, metrics: Sequence[str], step: int, writes: bool = True) -> None:
        scores = ("loss", *metrics)
        self.columns = ("step", "tokens", "seconds", "tokens_per_second", "learning_rate", *scores)
        self.columns += tuple(HELD_OUT + name for name in scores)
        self.path = folder / LOG_FILE
        self.rows: list[Row] = [row for row in _read_rows(self.path) if row["step"] <= step]
        self.writes = writes
        if not writes:
            return
        with replace_file(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: Row) -> None:
        """Appends a row; missing figures stay empty.

        Raises:
            InputError: the file cannot be written.
        """
        self.rows.append(row)
        if not self.writes:
            return
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        except OSError as error:
            raise write_error(error, self.path) or error from error

    def curve(self, points: int = 100) -> list[list[float]]:
        """Step and loss of at most `points` rows."""
        rows = [row for row in self.rows if "loss" in row]
        return [[row["step"], row["loss"]] for row in rows[:: -(-len(rows) // points) or 1]]

    def held_out(self) -> Row:
        """The latest scores on held-out text."""
        rows = [row for row in self.rows if HELD_OUT + "loss" in row]
        return {n.removeprefix(HELD_OUT): v for n, v in rows[-1].items() if n.startswith(HELD_OUT)} if rows else {}

    def draw(self) -> None:
        """Writes the loss curve, if matplotlib is installed."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="million tokens", ylabel="loss (nats)")
        for name, style in (("loss", "-"), (HELD_OUT + "loss", "o-")):
            rows = [row for row in self.rows if name in row]
            if rows:
                label = name.replace("_", " ")
                axes.plot([r["tokens"] / 1e6 for r in rows], [r[name] for r in rows], style, label=label, markersize=3)
        axes.grid(alpha=0.3)
        if self.rows:
            axes.legend()
        save_plot(figure, self.path.with_name(CURVE_FILE), dpi=120)


def _read_rows(path: Path) -> list[Row]:
    """The rows of a log, without lines that are cut off or damaged."""
    rows = []
    lines = (read_if_any(path) or b"").decode("utf-8", "replace").replace("\0", "?").splitlines()
    for fields in csv.DictReader(lines, quoting=csv.QUOTE_NONE):
        try:
            row = {name: float(value) for name, value in fields.items() if value}
            rows.append({**row, "step": int(row["step"]), "tokens": int(row["tokens"])})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue
    return rows


class Clock:
    """Seconds of training, without evaluation and saving, which happen inside a `with` block of this clock.

    Args:
        seconds: the training time of earlier processes.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._began: float | None = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._before + (time.perf_counter() - self._began if self._began is not None else 0.0)

    def __enter__(self) -> Any:
        """Stops the clock; it goes on after the block."""
        self._before, self._began = self.seconds, None

    def __exit__(self, *_: object) -> None:
        self._began = time.perf_counter()
