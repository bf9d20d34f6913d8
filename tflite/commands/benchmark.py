"""`eelbert benchmark`: speed, beside rivals in the same run, with the method written beside the figures."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError
from eelbert_tf.files import replace_file

# Named, not imported: a suite loads only what it needs, and one of them stands in the folder beside this one.
SUITES = {
    "latency": "eelbert_tf.tflite.benchmark_latency",
    "hash": "eelbert_tf.tflite.benchmark_hash",
    "training": "eelbert_tf.training.benchmark_training",
}
FEWEST_TEXTS, MOST_TEXTS = 20, 20000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--suite", default="latency", choices=sorted(SUITES), help="what to measure")
    parser.add_argument(
        "--text",
        metavar="F",
        help="texts to measure on: CSV, TSV, or plain text, one per line; made-up sentences by default",
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="column of the texts (text)")
    parser.add_argument("--limit", type=int, default=500, metavar="N", help="texts taken of the file")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="passes over the texts")
    parser.add_argument("--output", metavar="F.json", help="file that also gets the result")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Runs one suite."""
    if args.rounds < 1 or not FEWEST_TEXTS <= args.limit <= MOST_TEXTS:
        raise InputError(f"--rounds must be positive and --limit between {FEWEST_TEXTS} and {MOST_TEXTS}")
    texts = _texts(args)
    print(f"benchmark {args.suite}: {len(texts)} texts, {args.rounds} rounds ...", file=sys.stderr, flush=True)
    result = {
        "suite": args.suite,
        "text": Path(args.text).name if args.text else "made-up sentences",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **importlib.import_module(SUITES[args.suite]).run_suite(texts, args.rounds),
    }
    if args.output:
        with replace_file(args.output) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return result


def _texts(args: argparse.Namespace) -> list[str]:
    from eelbert_tf.tflite.commands.inputs import read_texts

    if not args.text:
        return made_up_sentences(args.limit)
    found = (text for text in read_texts(args.text, args.text_columns) if text)
    texts = [
        bytes(text).decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        for text in itertools.islice(found, args.limit)
    ]
    if len(texts) < FEWEST_TEXTS:
        raise InputError(f"{args.text}: expected at least {FEWEST_TEXTS} texts, found {len(texts)}")
    return texts


def made_up_sentences(count: int) -> list[str]:
    """Sentences of 3 to 40 made-up words whose lengths follow English: for timing, where no text is given."""
    import random

    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"

    def word() -> str:
        size = min(14, max(1, round(rng.lognormvariate(1.4, 0.5))))
        return "".join(rng.choices(letters, weights=range(26, 0, -1), k=size))

    lexicon = [word() for _ in range(5000)]
    weights = [1 / (rank + 2) for rank in range(len(lexicon))]
    return [" ".join(rng.choices(lexicon, weights, k=rng.randint(3, 40))) + " ." for _ in range(count)]
