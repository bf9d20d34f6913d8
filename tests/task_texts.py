"""Small synthetic sets for each task, made by a grammar: something can be learned from each in seconds."""

from __future__ import annotations

import csv
import random
from pathlib import Path

_THINGS = {"light": ("lamp", "bulb"), "sound": ("radio", "speaker"), "heat": ("heater", "oven")}
_VERBS = {"start": ("start", "switch on"), "stop": ("stop", "switch off"), "sell": ("sell", "give away")}
_NUMBERS = ("no", "one", "two", "three", "four", "five")
_ROOMS = ("hall", "kitchen", "attic", "cellar")


def task_rows(task: str, count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """A table for a task: the names of its columns, and its rows.

    Args:
        task: "classification", "binary", "multilabel" or "regression"; the last with two numbers, of very unlike size.
        count: rows.
        seed: fixes them.
    """
    rng = random.Random(seed)
    return _COLUMNS[task], [_row(task, rng) for _ in range(count)]


_COLUMNS = {
    "classification": ["text", "label"],
    "binary": ["text", "label"],
    "multilabel": ["text", "label"],
    "regression": ["text", "price", "size"],
}


def _row(task: str, rng: random.Random) -> list[str]:
    room, verb = rng.choice(_ROOMS), rng.choice(list(_VERBS))
    said = rng.choice(_VERBS[verb])
    if task == "regression":
        doors, windows = rng.randrange(len(_NUMBERS)), rng.randrange(len(_NUMBERS))
        text = f"{_NUMBERS[doors]} doors and {_NUMBERS[windows]} windows in the {room}"
        return [text, str(1e6 + 1e5 * doors), str(0.003 * windows)]
    if task == "multilabel":
        labels = [label for label in _THINGS if rng.random() < 0.45]
        things = " and ".join(f"the {rng.choice(_THINGS[label])}" for label in labels) or "nothing"
        return [f"{said} {things} in the {room}", "|".join(labels)]
    thing = rng.choice(_THINGS[rng.choice(list(_THINGS))])
    text = f"{said} the {thing} in the {room}"
    if task == "classification":
        return [text, verb]
    polite = rng.random() < 0.4
    return [f"please {text}" if polite else text, "polite" if polite else "blunt"]


def write_task(path: Path, task: str, count: int, seed: int = 0) -> Path:
    """`task_rows` as a CSV file."""
    columns, rows = task_rows(task, count, seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path
