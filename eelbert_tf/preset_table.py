"""`eelbert presets`: the models that come with the package."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from .saving.folders import PRESETS, WEIGHTS_FILE, preset_file, preset_names
from .saving.info import read_info

SCORES = PRESETS / "scores.json"  # experiments/results.py writes it; docs/results.md says how they were measured
_MEASURES = {"stsb": "STS-B", "ten": "ten examples", "sst2": "SST-2"}
COLUMNS = ("preset", "kind", "languages", "numbers", "hidden_size", "max_tokens", *_MEASURES.values(), "labels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""
    parser.description = "The models that come with the package: what --preset and --model take by name."


def run(args: argparse.Namespace) -> dict[str, Any]:  # noqa: ARG001, as every command
    """Prints a table.

    Returns:
        For each preset its `kind`, `languages`, `numbers` (learned numbers), `weights_bytes`, `hidden_size`,
        `max_tokens`, `labels`, `tflite_bytes` of a file that comes with it, and `scores`. `numbers` and `weights_bytes`
        are `None` in a distribution without weights.
    """
    scores = json.loads(SCORES.read_text("utf-8"))
    found = {name: _described(name) | {"scores": scores.get(name, {})} for name in preset_names()}
    rows = [COLUMNS]
    for name, one in found.items():
        reached = (one["scores"].get(measure) for measure in _MEASURES)
        rows.append(
            (
                name,
                one["kind"],
                _shortened(one["languages"]),
                "" if one["numbers"] is None else f"{one['numbers']:,}",
                str(one["hidden_size"]),
                str(one["max_tokens"]),
                *("" if score is None else f"{score:.1f}" for score in reached),
                " ".join(one["labels"] or ()),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return {"presets": found}


def _shortened(languages: list[str]) -> str:
    return " ".join(languages) if len(languages) < 4 else f"{languages[0]} and {len(languages) - 1} more"


def _described(name: str) -> dict[str, Any]:
    info, _ = read_info(PRESETS / name)
    weights, file = PRESETS / name / WEIGHTS_FILE, preset_file(name)
    return {
        "kind": info.kind,
        "languages": info.notes.get("languages", ["en"]),
        "numbers": _numbers(weights) if weights.is_file() else None,
        "weights_bytes": weights.stat().st_size if weights.is_file() else None,
        "hidden_size": info.config.hidden_size,
        "max_tokens": info.config.max_tokens,
        "labels": info.labels,
        "tflite_bytes": None if file is None else file.stat().st_size,
    }


def _numbers(path: Path) -> int:
    """How many numbers a safetensors file holds; they are not read."""
    import safetensors

    with safetensors.safe_open(path, "np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118, no mapping
