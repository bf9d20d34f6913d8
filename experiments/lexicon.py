"""What a lexicon is worth by its bytes: similarity of sums of its rows, and classes, alone and beside hashed words.

    python experiments/lexicon.py --lexicons lexicon/a_32768x64 lexicon/a_65536x128 --words lexicon/words \
        --glue shared/data/glue --sets shared/data/classify/trec held_out/isear --output experiments/lexicon.json

--lexicons are folders that experiments/teachers/lexicon_train.py wrote, --words what lexicon_words.py wrote. Each table
is product-quantized (`eelbert_tf.models.quantized_lexicon`) with int8 books, and nothing is trained afterwards. Bytes
are those of codes and books. `stsb_dev` is Spearman's correlation, in percent, of cosines of sums of rows with the
scores of STS-B's development set; `pairs` the correlation of cosines of 2,000 other sentences with those that the
numbers themselves give. Classes: ridge regression on the sums, alone (`sums`) and beside tf-idf of hashed words
and bigrams (`beside`), fitted on four fifths of at most 2,000 texts of each set's training part, measured on the rest.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.metrics import spearman
from eelbert_tf.models.quantized_lexicon import product_quantize, turn
from eelbert_tf.text.reference import quantized_rows
from eelbert_tf.training.glue.tasks import TASKS, read_task

sys.path.insert(0, str(Path(__file__).parent / "teachers"))
from lexicon_words import Words

BUCKETS = 2**14
MOST_TEXTS = 2000
PENALTIES = (0.1, 0.3, 1.0)
SENTENCES = 2000

Bags = list[np.ndarray]  # the hashed words of each text, uint32


def sums(table: np.ndarray, bags: Bags) -> np.ndarray:
    """Sums of the rows of each text's words, brought to length 1: float32 `[n, width]`."""
    shift = np.uint32(32 - (len(table).bit_length() - 1))
    rows = np.stack([table[bag >> shift].sum(axis=0) for bag in bags])
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Those of all pairs of rows."""
    return (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]


def hashed_words(bags: Bags) -> np.ndarray:
    """Products of all pairs of texts, as tf-idf of hashed words and bigrams: `[n, n]`."""
    from scipy.sparse import csr_matrix

    counts = np.zeros((len(bags), BUCKETS), np.float32)
    for row, bag in zip(counts, bags, strict=True):
        pairs = bag[:-1] * np.uint32(31) + bag[1:] * np.uint32(2654435761)
        np.add.at(row, np.concatenate([bag, pairs]) >> np.uint32(18), 1)
    features = np.log1p(counts) * np.log((1 + len(bags)) / (1 + (counts > 0).sum(axis=0)))
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    sparse = csr_matrix(features)
    return (sparse @ sparse.T).toarray()


def accuracy(kernel: np.ndarray, labels: np.ndarray) -> float:
    """Of a ridge regression on classes fitted on the first four fifths, on the rest, in percent; the best penalty."""
    fitted = len(labels) * 4 // 5
    names, numbers = np.unique(labels, return_inverse=True)
    targets = 2.0 * (numbers[:fitted, None] == np.arange(len(names))) - 1
    found = []
    for penalty in PENALTIES:
        weights = np.linalg.solve(kernel[:fitted, :fitted] + penalty * np.eye(fitted), targets - targets.mean(axis=0))
        scores = kernel[fitted:, :fitted] @ weights + targets.mean(axis=0)
        found.append(100 * float((scores.argmax(axis=1) == numbers[fitted:]).mean()))
    return round(max(found), 2)


def read_set(folder: Path, words: Words) -> tuple[Bags, np.ndarray]:
    """Words and labels of some texts of a set's training part, in a random order."""
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:MOST_TEXTS]]
    return bags_of([row["text"] for row in rows], words), np.array([row["label"] for row in rows])


def bags_of(texts: Sequence[str], words: Words) -> Bags:
    """The hashed words of each text; texts without any have one."""
    return [np.array(words.text(text) or words.text("."), np.uint32) for text in texts]


def main() -> None:
    """Quantizes and measures; figures that the file has are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lexicons", nargs="+", type=Path, required=True)
    parser.add_argument("--words", type=Path, required=True)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", type=Path, default=[])
    parser.add_argument("--codes", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    known = json.loads(args.output.read_text("utf-8")) if args.output.is_file() else {}

    def keep(name: str, figures: dict[str, Any]) -> None:
        known[name] = known.get(name, {}) | figures
        print(name, json.dumps(figures), flush=True)
        with replace_file(args.output) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", "utf-8")

    words = Words()
    (similar,) = read_task(TASKS["STS-B"], str(args.glue)).dev.values()
    scores = np.array(similar.labels, np.float64)
    sides = [bags_of([pair[i] for pair in similar.texts], words) for i in (0, 1)]
    tokens, offsets = (np.load(args.words / f"{name}.npy", mmap_mode="r") for name in ("tokens", "offsets"))
    chosen = np.linspace(0, len(offsets) - 2, SENTENCES).astype(np.int64)
    others = [bag for i in chosen if len(bag := np.asarray(tokens[offsets[i] : offsets[i + 1]]))]
    sets = {folder.name: read_set(folder, words) for folder in args.sets}
    lexical = {name: hashed_words(bags) for name, (bags, _) in sets.items()}
    if sets and "hashed words" not in known:
        keep("hashed words", {name: accuracy(lexical[name], labels) for name, (_, labels) in sets.items()})

    def measure(table: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
        first, second = (sums(table, side) for side in sides)
        return {
            "stsb_dev": round(100 * spearman((first * second).sum(axis=1), scores), 2),
            "pairs": round(float(np.corrcoef(cosines(sums(table, others)), whole)[0, 1]), 4),
        }

    def classify(table: np.ndarray) -> dict[str, Any]:
        figures: dict[str, Any] = {"sums": {}, "beside": {}}
        for name, (bags, labels) in sets.items():
            vectors = sums(table, bags)
            figures["sums"][name] = accuracy(vectors @ vectors.T, labels)
            figures["beside"][name] = accuracy(vectors @ vectors.T + lexical[name], labels)
        return figures

    for folder in args.lexicons:
        table = np.load(folder / "table.npy").astype(np.float32)
        weights = np.sqrt(np.load(folder / "frequency.npy") + 0.1)
        rows, width = table.shape
        whole = cosines(sums(table, others))
        name = f"{rows} x {width}"
        if name not in known:
            keep(name, {"bytes": rows * width, **measure(table, whole), **classify(table)})
        for codes in (codes for codes in args.codes if width % codes == 0):
            for seed in range(args.seeds):
                key = f"{name}, {codes} codes" + f", seed {seed}" * (args.seeds > 1)
                if key in known:
                    continue
                turned, back = turn(table, np.eye(width, dtype=np.float32), seed)
                found, books = product_quantize(turned, codes, weights, seed)
                step = np.abs(books).max() / 127
                rounded = quantized_rows(found, (np.rint(books / step) * step).astype(np.float32)) @ back
                lost = np.square(rounded - table).sum(axis=1) @ weights / (np.square(table).sum(axis=1) @ weights)
                figures = {"bytes": rows * codes + 256 * width, "error": round(float(np.sqrt(lost)), 4)}
                keep(key, {**figures, **measure(rounded, whole), **classify(rounded)})


if __name__ == "__main__":
    main()
