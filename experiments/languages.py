"""How often a sentence's translation is the nearest of all: each language and English, beside n-grams of characters.

    python experiments/languages.py --pairs multi/held_back --model uno_multi --output experiments/languages.json

--pairs holds a file LANGUAGE.tsv (English, tab, translation) for each language, which no training has seen:
experiments/presets/multi_texts.py writes them. The figure is the mean of both directions, among the file's sentences,
of which at most 1,000 are read. Files of fewer than 50 pairs are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

MOST, LEAST = 1000, 50


def retrieval(cosines: np.ndarray) -> float:
    """Percent of rows, and of columns, whose largest cosine is on the diagonal."""
    right = np.arange(len(cosines))
    return 50 * float((cosines.argmax(axis=1) == right).mean() + (cosines.argmax(axis=0) == right).mean())


def main() -> None:
    """Reads, embeds, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", required=True, nargs="+", metavar="PRESET")
    parser.add_argument("--output", type=Path, metavar="F.json")
    args = parser.parse_args()
    encoders = {name: EelbertSentenceEncoder.from_preset(name) for name in args.model}
    found: dict[str, Any] = {}
    for path in sorted(args.pairs.glob("*.tsv")):
        pairs = [line.split("\t") for line in path.read_text("utf-8").splitlines()][:MOST]
        if len(pairs) < LEAST:
            continue
        sides = [list(side) for side in zip(*pairs, strict=True)]
        row: dict[str, Any] = {"pairs": len(pairs)}
        for name, encoder in encoders.items():
            first, second = (np.asarray(encoder.predict(side, batch_size=250, verbose=0)) for side in sides)
            row[name] = round(retrieval(first @ second.T), 1)
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit(sides[0] + sides[1])
        row["character n-grams"] = round(
            retrieval((grams.transform(sides[0]) @ grams.transform(sides[1]).T).toarray()), 1
        )
        found[path.stem] = row
        print(path.stem, row, flush=True)
    names = [name for name in next(iter(found.values())) if name != "pairs"]
    means = {name: round(float(np.mean([row[name] for row in found.values()])), 1) for name in names}
    print("mean", means)
    if args.output:
        args.output.write_text(json.dumps({"languages": found, "mean": means}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
