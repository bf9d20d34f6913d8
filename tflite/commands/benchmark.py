"""`eelbert benchmark`: speed and size, beside baselines in the same run, with the method beside the figures."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import check_results
from eelbert_tf.errors import InputError
from eelbert_tf.tflite.benchmarks.report import PLOTS

# Named, not imported: a suite loads only what it needs, and some stand in the folder beside this one.
SPEED_SUITES = {
    "latency": "eelbert_tf.tflite.benchmarks.latency",
    "hash": "eelbert_tf.tflite.benchmarks.hash",
    "training": "eelbert_tf.training.benchmarks.speed",
}
SIZE_SUITE = "size"
BASELINES = "eelbert_tf.training.benchmarks.baselines"
FEWEST_TEXTS, MOST_TEXTS = 20, 20000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--suite", default="latency", choices=sorted([*SPEED_SUITES, SIZE_SUITE]), help="what to measure")
    add(
        "--text",
        metavar="F",
        help="texts to measure on: CSV, TSV, or plain text, one per line; made-up sentences by default",
    )
    add("--text-columns", nargs="+", metavar="NAME", help="column of the texts (text)")
    add("--limit", type=int, default=500, metavar="N", help="texts taken of the file to measure time on")
    add("--rounds", type=int, default=5, metavar="N", help="passes over the texts")
    add(
        "--output",
        metavar="F.json",
        help="file that also gets the result; the size suite puts a table (.md) and two plots (.png) beside it",
    )
    size = parser.add_argument_group("the size suite")
    size.add_argument("--model", nargs="+", metavar="DIR", help="classifiers, converted to every format")
    size.add_argument("--train", metavar="F", help="labelled texts (CSV, TSV) to calibrate on and train baselines on")
    size.add_argument("--test", metavar="F", help="labelled texts to measure on, instead of --text")
    size.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels")
    size.add_argument("--max-tokens", type=int, default=64, metavar="N", help="token slots, with [CLS] and [SEP]")
    size.add_argument("--max-bytes", type=int, default=256, metavar="N", help="bytes read of a text")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Runs one suite.

    Raises:
        InputError: options do not fit the suite, or a file cannot be read or written.
    """
    if args.rounds < 1 or not FEWEST_TEXTS <= args.limit <= MOST_TEXTS:
        raise InputError(f"--rounds must be positive and --limit between {FEWEST_TEXTS} and {MOST_TEXTS}")
    if args.output:
        output, plots = Path(args.output), PLOTS if args.suite == SIZE_SUITE else ()
        beside = [output.with_name(f"{output.stem}-{name}.png") for name in plots]
        check_results(output, "suite", [output.with_suffix(".md"), *beside] if plots else [])
    result = {
        "suite": args.suite,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **(_size if args.suite == SIZE_SUITE else _speed)(args),
    }
    if args.output:
        with replace_file(args.output) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return result


def _speed(args: argparse.Namespace) -> dict[str, Any]:
    for option in ("model", "train", "test"):
        if getattr(args, option) is not None:
            raise InputError(f"--{option} is for --suite {SIZE_SUITE}, not for --suite {args.suite}")
    texts = _texts(args)
    print(f"benchmark {args.suite}: {len(texts)} texts, {args.rounds} rounds ...", file=sys.stderr, flush=True)
    return {
        "text": Path(args.text).name if args.text else "made-up sentences",
        **importlib.import_module(SPEED_SUITES[args.suite]).run_suite(texts, args.rounds),
    }


def _size(args: argparse.Namespace) -> dict[str, Any]:
    """Measures, and writes a table and plots beside the output.

    Raises:
        InputError: an option is missing, or does not fit the suite.
    """
    missing = [f"--{name}" for name in ("model", "train", "test", "output") if getattr(args, name) is None]
    if missing:
        raise InputError(f"--suite {SIZE_SUITE} needs {', '.join(missing)}")
    if args.text is not None:
        raise InputError(f"--suite {SIZE_SUITE} measures on the texts of --test: leave out --text")
    if Path(args.output).suffix != ".json":
        raise InputError(f"--output: expected a name that ends in .json, not {args.output}")
    from eelbert_tf.disk.tables import read_table
    from eelbert_tf.tflite.benchmarks.size import check, our_files, run_suite

    train, test = (read_table(path, args.text_columns, args.label_column) for path in (args.train, args.test))
    limits = (args.max_tokens, args.max_bytes)
    check(args.model, train, test, *limits)
    with tempfile.TemporaryDirectory(prefix="eelbert-benchmark-") as folder:
        ours, left_out = our_files(args.model, train, Path(folder), *limits)
        print("benchmark size: training the baselines ...", file=sys.stderr, flush=True)
        baselines, others = importlib.import_module(BASELINES).train_baselines(train, Path(folder))
        found = run_suite([*ours, *baselines], test, args.limit, args.rounds)
    result = {
        "train": f"{train.path.name}, {len(train)} texts",
        "test": f"{test.path.name}, {len(test)} texts",
        "texts": min(args.limit, len(test)),
        "rounds": args.rounds,
        "max_tokens": args.max_tokens,
        "max_bytes": args.max_bytes,
        "left_out": [*left_out, *others],
        **found,
    }
    _report(result, Path(args.output))
    return result


def _report(result: dict[str, Any], output: Path) -> None:
    from eelbert_tf.tflite.benchmarks.report import markdown, plot

    table = markdown(result["rows"])
    with replace_file(output.with_suffix(".md")) as temporary:
        temporary.write_text(table, "utf-8")
    try:
        for name, value in PLOTS.items():
            plot(result["rows"], value, output.with_name(f"{output.stem}-{name}.png"))
    except ImportError:
        result["left_out"].append("plots: matplotlib is not installed: pip install 'eelbert-tf[plot]'")
    lines = [table, result["method"], *(f"Left out: {line}" for line in result["left_out"])]
    print("\n".join(lines), file=sys.stderr)


def _texts(args: argparse.Namespace) -> list[str]:
    from eelbert_tf.disk.inputs import read_texts

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
