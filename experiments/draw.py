"""Draws rows of a table at random, always the same: parts that docs/results.md measures on.

    python experiments/draw.py --table labelled/xed_emotion.csv.xz --test 0.2 --output xed_train.csv xed_test.csv
    python experiments/draw.py --table snips/train.csv --rows 4000 --output snips_4000.csv

The second file gets a share of all rows, the first the others, or as many of them as --rows says.
"""

from __future__ import annotations

import argparse
import csv
import lzma
from pathlib import Path

import numpy as np


def main() -> None:
    """Reads, draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, type=Path, help="CSV file with a header, plain or packed with xz")
    parser.add_argument("--test", type=float, default=0.0, metavar="SHARE", help="of the rows, for the second file")
    parser.add_argument("--rows", type=int, metavar="N", help="of the first file")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--output", required=True, nargs="+", metavar="F.csv")
    args = parser.parse_args()
    opened = lzma.open if args.table.suffix == ".xz" else open
    with opened(args.table, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(args.seed).permutation(len(rows)).tolist()
    test = round(args.test * len(rows))
    parts = (order[test:][: args.rows], order[:test])
    for path, places in zip(args.output, parts, strict=False):
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *(rows[place] for place in sorted(places))])


if __name__ == "__main__":
    main()
