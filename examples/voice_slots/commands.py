"""Made-up voice commands with their slots, from a grammar.

python examples/voice_slots/commands.py --output voice      # voice/train.csv, voice/test.csv
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

_VALUES = {
    "room": ["kitchen", "bath", "living room", "hall", "bed room", "office", "cellar"],
    "level": ["ten percent", "half", "full", "twenty percent", "low", "the maximum"],
    "time": ["six", "half past seven", "noon", "nine in the evening", "ten to five", "midnight"],
    "title": ["blue moon", "the long road", "summer rain", "old friends", "north wind"],
}
_COMMANDS = {
    "light": ["set the light in the {room} to {level}", "{level} light in the {room}", "dim the {room} to {level}"],
    "alarm": ["wake me at {time}", "set an alarm for {time}", "alarm at {time} please"],
    "music": ["play {title}", "play {title} in the {room}", "put on {title} at {time}"],
    "heating": ["heat the {room} from {time} on", "warm up the {room}", "turn the heating in the {room} to {level}"],
}
_BEFORE = ["", "", "", "please", "hey", "could you"]


def commands(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Commands as words, BIO tags and an intent, words and tags each separated by a space.

    Args:
        count: how many.
        seed: fixes which.
    """
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        intent = rng.choice(sorted(_COMMANDS))
        words: list[str] = rng.choice(_BEFORE).split()
        tags = ["O"] * len(words)
        for part in rng.choice(_COMMANDS[intent]).split():
            name = part.strip("{}")
            filled = rng.choice(_VALUES[name]).split() if part.startswith("{") else [part]
            tags += [f"{'I' if i else 'B'}-{name}" if part.startswith("{") else "O" for i in range(len(filled))]
            words += filled
        found.append((" ".join(words), " ".join(tags), intent))
    return found


def main() -> None:
    """Writes both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("voice"), metavar="DIR", help="folder for the tables")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate((("train", 1500), ("test", 300))):
        with (args.output / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("tokens", "tags", "intent"), *commands(count, seed)])


if __name__ == "__main__":
    main()
