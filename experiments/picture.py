"""Keeps experiments/picture.json: sizes and scores of models that are no presets, which the plots show beside these.

    python experiments/picture.py --sizes sizes.json                    # takes rows of `eelbert benchmark --suite size`
    python experiments/picture.py --glue glue.json --bytes tfidf=224231 # takes scores of `eelbert glue`
    python experiments/results.py                                       # draws the plots anew

New points replace points of the same model and format. The accuracy of a size suite is that of the task named with
--sizes-task. `eelbert glue` reports no sizes: the bytes of its models are those of the preset's weights, or the ones
that --bytes gives.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE

FOLDER = Path(__file__).parent
KINDS = ("ours", "baseline", "published")
Point = dict[str, Any]


def from_sizes(result: dict[str, Any], task: str) -> list[Point]:
    """Points of `eelbert benchmark --suite size`; rows without an accuracy are left out.

    Args:
        result: the JSON that it wrote.
        task: what its test set is.
    """
    rows = [row for row in result["rows"] if row["accuracy"] is not None]
    ours = {row["model"] for row in rows if row["format"] == "int8 weights"}  # a format that baselines do not have
    return [
        {
            "model": row["model"],
            "format": row["format"],
            "kind": "ours" if row["model"] in ours else "baseline",
            "bytes": row["bytes"],
            "scores": {task: round(100 * row["accuracy"], 2)},
            "source": f"eelbert benchmark --suite size, {result['test']}",
        }
        for row in rows
    ]


def from_glue(results: dict[str, Any], sizes: dict[str, int]) -> list[Point]:
    """Points of `eelbert glue`: medians over seeds.

    Args:
        results: those of the JSON that it wrote, by the names of its trainings.
        sizes: bytes of the models that are no presets.

    Raises:
        SystemExit: the bytes of a model are not known, or it was trained with several recipes on a task.
    """
    runs: dict[str, dict[str, dict[str, list[float]]]] = {}  # model, task, recipe: scores
    for key, result in results.items():
        model, _, training = key.rpartition(": ")
        task, kind, _, recipe = training.split(maxsplit=3)
        if kind == "seed":
            score = fmean(value for metrics in result["sets"].values() for value in metrics.values())
            runs.setdefault(model, {}).setdefault(task, {}).setdefault(recipe, []).append(score)
    points = []
    for model, tasks in runs.items():
        weights = PRESETS / model / WEIGHTS_FILE
        if model not in sizes and not weights.is_file():
            raise SystemExit(f"{model} is no preset: say its size with --bytes {model}=N")
        if any(len(recipes) > 1 for recipes in tasks.values()):
            raise SystemExit(f"{model}: trained with several recipes on one task: keep one in a file")
        points.append(
            {
                "model": model,
                "format": "float32",
                "kind": "ours" if weights.is_file() else "baseline",
                "bytes": sizes[model] if model in sizes else weights.stat().st_size,
                "scores": {task: round(median(next(iter(recipes.values()))), 2) for task, recipes in tasks.items()},
                "source": "eelbert glue",
            }
        )
    return points


def merged(points: Sequence[Point], new: Sequence[Point]) -> list[Point]:
    """Old points, brought up to date by new ones of the same model and format; scores on other tasks stay."""
    table = {(point["model"], point["format"]): point for point in points}
    for point in new:
        key = point["model"], point["format"]
        table[key] = {**point, "scores": {**table.get(key, point)["scores"], **point["scores"]}}
    return list(table.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes what is new, and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--points", type=Path, default=FOLDER / "picture.json", metavar="F.json", help="what is kept")
    add("--sizes", nargs="+", type=Path, default=[], metavar="F.json", help="of `eelbert benchmark --suite size`")
    add("--sizes-task", default="SST-2", metavar="TASK", help="what these were tested on")
    add("--glue", nargs="+", type=Path, default=[], metavar="F.json", help="of `eelbert glue`")
    add("--bytes", nargs="+", default=[], metavar="NAME=N", help="sizes of models in these that are no presets")
    args = parser.parse_args(arguments)
    kept = json.loads(args.points.read_text("utf-8"))
    points = kept["points"]
    for path in args.sizes:
        points = merged(points, from_sizes(json.loads(path.read_text("utf-8")), args.sizes_task))
    sizes = {name: int(number) for name, _, number in (entry.partition("=") for entry in args.bytes)}
    for path in args.glue:
        points = merged(points, from_glue(json.loads(path.read_text("utf-8"))["results"], sizes))
    if points != kept["points"]:
        lines = ",\n".join("  " + json.dumps(point, ensure_ascii=False) for point in points)
        text = f'{{\n "about": {json.dumps(kept["about"], ensure_ascii=False)},\n "points": [\n{lines}\n ]\n}}\n'
        with replace_file(args.points) as temporary:
            temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
