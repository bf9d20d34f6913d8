"""What the command `finetune` does alike for every task: what it says before and after, and the report."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.terminal import escape
from eelbert_tf.errors import InputWarning
from eelbert_tf.saving.folders import REPORT_FILES, find_model
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.finetune.survey import Survey


def expected_config(preset: str, shape: EelbertConfig, changes: dict[str, Any]) -> EelbertConfig | None:
    """The configuration of the model to be; `None` where it is not known yet, or cannot be."""
    try:
        config = shape if preset == "scratch" else read_info(find_model(preset))[0].config
        return config.replace(**changes)
    except ValueError:  # said with more context when the model is made
        return None


def tell(understood: Survey, quiet: bool) -> None:
    """Says what was understood, and warns of what looks like a mistake."""
    for line in [] if quiet else understood.lines():
        print(escape(line), file=sys.stderr, flush=True)
    for warning in understood.warnings:
        warnings.warn(warning, InputWarning, 2)


def write_report(args: argparse.Namespace, model: Any, found: Any, understood: Survey) -> dict[str, Any]:
    """Writes the report into the model's folder, and gives the command's last line."""
    from eelbert_tf.training.finetune.report import make_report, report_files

    output = Path(args.output)
    title = f"{output.name}: {Path(args.train).name}"
    report = make_report(model, found, understood, title, args.command_line)
    model.save_to_preset(output, read_info(output)[0].notes, files=report_files(report))
    page = str(output / REPORT_FILES[0])
    if not args.quiet:
        print(escape(_summary(report, page)), file=sys.stderr, flush=True)
    facts = {**understood.facts, "warnings": understood.warnings, "report": page}
    result = {"output": str(output), **facts, **found.report()}
    return result | ({"baseline": report["baseline"]} if report.get("baseline") else {})


def _summary(report: dict[str, Any], page: str) -> str:
    """The last line for a reader: the first figure, and the same of the baseline."""
    parts = []
    if "evaluation" in report:
        name, value = next(iter(report["evaluation"]["figures"].items()))
        parts.append(f"held out: {name} {value:.4f}")
        if report["baseline"]:
            parts.append(f"{report['baseline']['name']} {report['baseline']['figures'][name]:.4f}")
    return "; ".join([*parts, f"report: {page}"])


@contextmanager
def told_of_interrupts(output: Path, kept: str) -> Iterator[None]:
    """Says, where an interrupt ends the block, what the output holds.

    Args:
        output: the model directory.
        kept: what it holds if it was written.

    Raises:
        KeyboardInterrupt: passed on.
    """
    before = _written(output)
    try:
        yield
    except KeyboardInterrupt:
        state = "is as it was before" if _written(output) == before else f"holds {kept}"
        print(f"eelbert finetune: {output} {state}", file=sys.stderr)
        raise


def _written(output: Path) -> int | None:
    """When a model was written: nanoseconds, or `None` where there is none."""
    try:
        return (output / "config.json").stat().st_mtime_ns
    except OSError:
        return None
