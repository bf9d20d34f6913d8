"""How long sentences are, in bytes and tokens, language by language: what limits of a file suit them.

python experiments/lengths.py --data shared/data --output experiments/lengths.json

Reads 500 lines of each multilingual/LANGUAGE.txt.xz, and of unlabelled/tatoeba_en.txt.xz for English, drawn at random,
as normalization 1 does. Each row has the median and the 95th percentile of bytes and of tokens ([CLS] and [SEP]
included), and how many of a hundred sentences a file of 32 slots and 128 bytes, and one of 64 and 256, read whole.
"""

from __future__ import annotations

import argparse
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.text.reference import tokenize

MOST_TEXTS, LIMIT = 500, 4096
FILES = ((32, 128), (64, 256))  # max_tokens, max_bytes


def measure(texts: list[str]) -> dict[str, Any]:
    """One language's row."""
    bytes_ = np.array([len(text.encode()) for text in texts])
    tokens = np.array([len(tokenize(text.encode(), LIMIT, LIMIT, False, 1).first) + 2 for text in texts])
    row: dict[str, Any] = {
        name: [int(np.percentile(values, share)) for share in (50, 95)]
        for name, values in (("bytes", bytes_), ("tokens", tokens))
    }
    return row | {
        f"{slots}, {size}": round(100 * float(np.mean((tokens <= slots) & (bytes_ <= size)))) for slots, size in FILES
    }


def main() -> None:
    """Measures every language of the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of docs/data.md")
    parser.add_argument("--output", type=Path, required=True, metavar="F.json")
    args = parser.parse_args()
    paths = {path.name[:2]: path for path in sorted((args.data / "multilingual").glob("??.txt.xz"))}
    paths["en"] = args.data / "unlabelled" / "tatoeba_en.txt.xz"
    rows = []
    for language, path in sorted(paths.items()):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
        drawn = np.random.default_rng(0).permutation(len(lines))[:MOST_TEXTS]
        row = measure([lines[place].strip() for place in drawn])
        rows.append(f' "{language}": {json.dumps(row)}')
        print(rows[-1], flush=True)
    args.output.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
