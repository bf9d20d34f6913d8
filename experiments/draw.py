"""Draws rows of a table at random, always the same: parts that docs/results.md measures on.

    python experiments/draw.py --table labelled/xed_emotion.csv.xz --test 0.2 --output xed_train.csv xed_test.csv
    python experiments/draw.py --table snips/train.csv --rows 4000 --output snips_4000.csv
    python experiments/draw.py --table labelled/hwu64.csv.xz --rows 5000 --test 0.2 --classes 12 \
        --output hwu_train.csv hwu_test.csv hwu_near.csv

The second file gets a share of all rows, the first the others, or as many of them as --rows says. With --classes the
rows of so many classes, drawn at random, are in neither, but in the third file.
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
    parser.add_argument("--classes", type=int, default=0, metavar="N", help="held back, for the third file")
    parser.add_argument("--label-column", default="label", metavar="NAME")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--output", required=True, nargs="+", metavar="F.csv")
    args = parser.parse_args()
    opened = lzma.open if args.table.suffix == ".xz" else open
    with opened(args.table, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rng = np.random.default_rng(args.seed)
    order = rng.permutation(len(rows)).tolist()
    labels = [row[header.index(args.label_column)] for row in rows] if args.classes else [""] * len(rows)
    held_back = set(rng.permutation(sorted(set(labels)))[: args.classes].tolist())
    near = [place for place in order if labels[place] in held_back]
    order = [place for place in order if labels[place] not in held_back]
    test = round(args.test * len(order))
    parts = (order[test:][: args.rows], order[:test], near)
    for path, places in zip(args.output, parts, strict=False):
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *(rows[place] for place in sorted(places))])


if __name__ == "__main__":
    main()
