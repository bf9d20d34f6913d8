"""Made-up mail to a shop's support, from a grammar, in four queues.

python examples/support_mail/mails.py --output support      # support/train.csv, test.csv and mails.json
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
from pathlib import Path

_THINGS = ["kettle", "phone", "jacket", "lamp", "bicycle", "printer", "tent", "coffee machine"]
_GREETINGS = ["Hello,", "Hi there,", "Good morning,", "Dear team,", ""]
_ENDS = ["Thank you.", "Please help.", "Best regards", "Waiting for your answer.", ""]
_MATTERS = {
    "billing": [
        "I was charged twice for my {x}.",
        "the invoice for the {x} shows a wrong amount.",
        "when do I get my money back for the {x}?",
        "my card was refused when I paid for the {x}.",
        "please send me a receipt for the {x}.",
    ],
    "delivery": [
        "my {x} has not arrived yet.",
        "the parcel with the {x} went to a wrong address.",
        "can you tell me where my {x} is?",
        "I need the {x} by Friday, can it come earlier?",
        "the courier left the {x} in the rain.",
    ],
    "defect": [
        "the {x} does not work any more.",
        "the {x} arrived broken.",
        "a part of the {x} is missing.",
        "the {x} makes a strange noise and stops.",
        "there is a scratch on the {x}.",
    ],
    "account": [
        "I forgot my password and cannot see the {x} I ordered.",
        "please delete my account, I only wanted the {x}.",
        "I cannot log in since I bought the {x}.",
        "how do I change my e-mail address? The {x} is on the old one.",
        "someone ordered a {x} from my account!",
    ],
}


def mails(seed: int) -> list[tuple[str, str]]:
    """Every matter and thing once, with their queue, in a random order and dress."""
    rng = random.Random(seed)
    found = []
    for queue, matters in _MATTERS.items():
        for matter, thing in itertools.product(matters, _THINGS):
            parts = [rng.choice(_GREETINGS), matter.format(x=thing), rng.choice(_ENDS)]
            found.append((" ".join(part for part in parts if part), queue))
    rng.shuffle(found)
    return found


def main() -> None:
    """Writes the tables, and some of the test mails without their queues for the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("support"), metavar="DIR", help="folder for the tables")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = mails(seed=0)
    parts = {"train": rows[: len(rows) * 3 // 4], "test": rows[len(rows) * 3 // 4 :]}
    for part, chosen in parts.items():
        with (args.output / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *chosen])
    mail = json.dumps([text for text, _ in parts["test"][:20]], indent=1)
    (args.output / "mails.json").write_text(mail + "\n", "utf-8")


if __name__ == "__main__":
    main()
