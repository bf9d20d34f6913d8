"""Made-up messages for the spam filter, from a grammar.

    python examples/spam_filter/messages.py --output spam      # spam/train.csv, spam/test.csv

The test messages are built from other sentences than the training messages.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
from pathlib import Path

_OFFERS = ["a free phone", "a gift card", "cash", "a luxury watch", "a holiday for two", "a loan", "pills", "followers"]
_NEWS = [
    "the invoice",
    "the draft",
    "your parcel",
    "the minutes",
    "the new plan",
    "your ticket",
    "the photos",
    "the key",
]
_PEOPLE = ["Anna", "Tom", "Mia", "Mr Lee", "Dr Novak", "the team", "Sam", "Aunt Rosa"]
_TIMES = ["today", "on Monday", "tonight", "by Friday", "after lunch", "at nine", "next week", "before noon"]

# Sentences of each class: the first half for training, the second for testing.
_SENTENCES = {
    "spam": [
        "You have won {offer}! Claim it {time}.",
        "Get {offer} now, click the link below",
        "{offer} is waiting for you, no fees, act {time}!!!",
        "Last chance: reply YES for {offer}",
        "Limited deal, {offer} at 90 % off, order {time}",
        "We picked your number: {offer} is yours, call us {time}",
        "Congratulations winner, collect {offer} here",
        "Want {offer}? Click and confirm your account {time}",
    ],
    "ham": [
        "{person} asked about {news}, can you send it {time}?",
        "Shall we meet {time}? {person} comes along.",
        "I put {news} on your desk, see you {time}",
        "Thanks for {news}, {person} was glad.",
        "Can you call {person} {time} about {news}?",
        "Running late, tell {person} we start {time}",
        "{person} will bring {news} {time}",
        "Did you see {news}? {person} needs it {time}.",
    ],
}


def messages(part: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Messages with their labels, as many of each class.

    Args:
        part: "train" or "test".
        count: how many, at most.
        seed: fixes which.
    """
    found = []
    for label, sentences in _SENTENCES.items():
        half = len(sentences) // 2
        chosen = sentences[:half] if part == "train" else sentences[half:]
        filled = {
            sentence.format(offer=offer, news=news, person=person, time=time)
            for sentence, (offer, news), person, time in itertools.product(
                chosen, zip(_OFFERS, _NEWS, strict=True), _PEOPLE, _TIMES
            )
        }
        found += [
            (text[0].upper() + text[1:], label) for text in random.Random(seed).sample(sorted(filled), count // 2)
        ]
    random.Random(seed).shuffle(found)
    return found


def main() -> None:
    """Writes both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("spam"), metavar="DIR", help="folder for the tables")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 200), ("test", 200)):
        with (args.output / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *messages(part, count, seed=0)])


if __name__ == "__main__":
    main()
