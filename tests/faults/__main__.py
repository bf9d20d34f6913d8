"""Repeats the fault campaign (docs/reliability.md).

    python -m tests.faults                       # all of it, an hour or two on two cores
    python -m tests.faults bits hostile          # parts of it
    python -m tests.faults kill_corpus --kills 3      # smaller

From the root of a checkout, in the environment that `make test` makes. The exit status is 1 if anything happened that
must not. The campaign on full disks mounts small file systems, and is skipped by others than root.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import markdown_table
from tests.faults.bench import Bench, Tally

# Campaign, module and function of this folder.
CAMPAIGNS = {
    "front_end": "fuzz",
    "guided": "fuzz",
    "runtimes": "fuzz",
    "readers": "readers",
    "tflite_files": "mutants",
    "long_run": "long_run",
    "kill_finetune": "kills",
    "kill_convert": "kills",
    "kill_corpus": "kills",
    "kill_pretrain": "kills",
    "disk": "disk",
    "large": "large",
    "linear": "linear",
    "threads": "threads",
    "together": "together",
    "signals": "signals",
    "syscalls": "syscalls",
    "foreign": "foreign",
    "bits": "bits",
    "hostile": "hostile",
    "terminal": "terminal",
}
SIZES = {
    "fuzz": (1_000_000, "texts through the C front end"),
    "guided": (1_000_000_000, "guided inputs through the C front end"),
    "runtimes": (100_000, "texts through both runtimes"),
    "mutants": (10_000_000, "mutated files for the readers, of four kinds"),
    "tflites": (5000, "mutated TFLite files for each runtime"),
    "minutes": (20, "length of the long run"),
    "kills": (30, "kills of each command"),
    "megabytes": (2000, "size of the large CSV file"),
    "linear": (100, "megabytes of one text for the front end"),
    "threads": (20_000, "texts for the threads"),
    "together": (100_000, "replacements and readings of one folder by many processes"),
    "signals": (1000, "signals to each command"),
    "calls": (0, "errors at system calls of each command; 0: each of six errors at every call"),
    "bits": (200, "flipped bits in each file"),
}


def main() -> int:
    """Runs campaigns and prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    for name, (size, what) in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size, metavar="N", help=f"{what} ({size:,})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes all that is random but the moments")
    parser.add_argument("--output", metavar="F.json", help="file that gets the result; those of other campaigns stay")
    args = parser.parse_args()
    wanted = args.campaigns or list(CAMPAIGNS)
    if unknown := [name for name in wanted if name not in CAMPAIGNS]:
        parser.error(f"{unknown[0]}: no such campaign; choose from: {', '.join(CAMPAIGNS)}")
    path = Path(args.output) if args.output else None
    results: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    failures: list[str] = []
    for name in wanted:
        print(f"campaign {name}", file=sys.stderr)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="eelbert-faults-") as folder:
            bench = Bench(Path(folder), {size: getattr(args, size) for size in SIZES}, random.Random(args.seed))
            tallies = getattr(importlib.import_module(f".{CAMPAIGNS[name]}", __package__), name)(bench)
        failures += [failure for tally in tallies for failure in tally.failures]
        results[name] = {"seconds": round(time.monotonic() - began), "cases": [as_json(tally) for tally in tallies]}
        if path is not None:
            with replace_file(path) as temporary:
                temporary.write_text(json.dumps(results, indent=1) + "\n")
    print(markdown({name: results[name] for name in CAMPAIGNS if name in results}), end="")
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def as_json(tally: Tally) -> dict[str, Any]:
    """A tally as JSON values."""
    return {
        "case": tally.name,
        "tries": sum(tally.outcomes.values()),
        "outcomes": dict(tally.outcomes),
        "notes": tally.notes,
        "failures": tally.failures,
    }


def markdown(results: dict[str, Any]) -> str:
    """The table; what must not be stands in bold."""
    rows = []
    for name, result in results.items():
        for case in result["cases"]:
            outcomes = [f"{count:,} {outcome}" for outcome, count in case["outcomes"].items()]
            notes = [
                f"{note} {value:.2g}" if isinstance(value, float) else f"{note} {value}"
                for note, value in case["notes"].items()
            ]
            rows.append([name, case["case"], f"{case['tries']:,}", "; ".join([*outcomes, *notes])])
    return markdown_table(["campaign", "fault", "tries", "what happened"], rows)


if __name__ == "__main__":
    sys.exit(main())
