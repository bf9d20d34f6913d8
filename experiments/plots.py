"""The plots of README and docs: what is drawn in each, from experiments/results.json and the files beside it.

experiments/results.py writes them with the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from svg import LOOKS, Panel, Point, Series, drawing

Results = dict[str, Any]

BYTES = "size of the file"
CURVE = 3  # numbers of examples that a model must have been measured with to be drawn


def quality(results: Results) -> list[Panel]:
    """Scores against bytes: SST-2, few examples, similarity, translations."""
    published = [
        Series(look, [Point(p["bytes"], p["scores"]["SST-2"], p["model"]) for p in _points(results, kind)])
        for kind, look in (("baseline", "b"), ("published", "c"))
    ]
    panels = [
        Panel("SST-2, 67,349 texts", BYTES, "accuracy, %", [_ours(results, "sst2"), *published]),
        Panel("Ten examples of each class, eight sets", BYTES, "accuracy, %", *_measured(results, "ten")),
        Panel("STS-B, similarity without training", BYTES, "rank correlation", *_measured(results, "stsb")),
    ]
    means = results["languages"]["mean"]
    models = results["models"]
    found = [Point(_bytes(models[name]), mean, name) for name, mean in means.items() if name in models]
    levels = {name: mean for name, mean in means.items() if name not in models}
    title = f"Translations found, {len(results['languages']['languages'])} languages"
    return [*panels, Panel(title, BYTES, "nearest of all, %", [Series("a", found)], levels=levels, from_zero=True)]


def latency(results: Results) -> list[Panel]:
    """Milliseconds for a text against the length that a file reads."""
    series = []
    for look, (name, points) in zip(LOOKS, results["latency"]["series"].items(), strict=False):
        found = []
        for slots, value in points.items():
            low, high = value if isinstance(value, list) else (None, None)
            found.append(Point(int(slots), fmean(value) if isinstance(value, list) else value, "", low, high))
        series.append(Series(look, found, name))
    slots = sorted({int(point.x) for one in series for point in one.points})
    ticks = [(value, str(value)) for value in slots]
    return [Panel("Latency, one text, one thread", "token slots of the file", "ms", series, ticks, from_zero=True)]


def examples(results: Results) -> list[Panel]:
    """Accuracy against examples of each class: the mean of the sets that a model was measured on with every number."""
    rows = [row for row in results["lexical"] if row["shots"] is not None]
    series, sets = [], 0
    for preset in _today(results):
        mine = [row for row in rows if row["preset"] == preset]
        shots = sorted({row["shots"] for row in mine})
        if len(shots) < CURVE:
            continue
        common = set.intersection(*({row["set"] for row in mine if row["shots"] == number} for number in shots))
        sets = len(common)
        names = {"heads": preset} | ({} if series else {"tfidf": "TF-IDF"})
        for column, name in names.items():
            points = [
                Point(number, fmean(row[column] for row in mine if row["shots"] == number and row["set"] in common))
                for number in shots
            ]
            series.append(Series(LOOKS[len(series) % len(LOOKS)], points, name))
    ticks = [(point.x, f"{point.x:g}") for point in series[0].points] if series else []
    title = f"Few examples, mean of {sets} sets"
    return [Panel(title, "examples of each class", "accuracy, %", series, ticks)] if series else []


def drawn(results: Results) -> dict[str, str]:
    """Every plot by the name of its file in docs/."""
    panels = quality(results)
    found = {
        "picture.svg": drawing(panels[:2], "Accuracy against the size of the file, on SST-2 and from few examples"),
        "quality.svg": drawing(panels[2:], "Similarity and translations against the size of the file"),
        "latency.svg": drawing(latency(results), "Latency against length"),
    }
    if curves := examples(results):
        found["examples.svg"] = drawing(curves, "Accuracy against the number of examples of each class")
    return found


def _points(results: Results, kind: str) -> list[dict[str, Any]]:
    return [p for p in results["picture"]["points"] if p["kind"] == kind and "SST-2" in p["scores"]]


def _ours(results: Results, measure: str) -> Series:
    """Today's models that have a score."""
    scored = {name: one for name, one in _today(results).items() if measure in one["scores"]}
    return Series("a", [_scored(name, one, one["scores"][measure]) for name, one in scored.items()])


def _today(results: Results) -> dict[str, Any]:
    """The models but those of the first version, which would only hide their successors."""
    return {name: one for name, one in results["models"].items() if not name.endswith("_v1")}


def _measured(results: Results, measure: str) -> tuple[Sequence[Series], tuple[()], dict[str, float]]:
    """Today's models and the encoders of others; baselines whose size depends on the texts as levels."""
    scored = {name: one for name, one in results["baselines"].items() if measure in one["scores"]}
    sized = [
        Point(1e6 * one["mb"], one["scores"][measure], _short(name)) for name, one in scored.items() if "mb" in one
    ]
    levels = {name: one["scores"][measure] for name, one in scored.items() if "mb" not in one}
    return [_ours(results, measure), Series("b", sized)], (), levels


def _short(name: str) -> str:
    """A baseline's name without what the plot shows."""
    return name.partition(",")[0]


def _scored(name: str, model: dict[str, Any], score: float | list[float]) -> Point:
    middle, low, high = score if isinstance(score, list) else (score, None, None)
    return Point(_bytes(model), middle, name, low, high)


def _bytes(model: dict[str, Any]) -> float:
    return 1e6 * float(model["int8_mb"])
