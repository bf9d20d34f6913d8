"""Product-quantize a lexicon of lexicon_train.py for train.py: codes, books, and the way to the teacher's answers.

python experiments/presets/quantize.py --lexicon lexicon/a_32768x64 --groups 4 --output lexicon/q4.npz
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from lexicon_quantize import centres

ROW = 5.0  # root mean square of a row's length, frequent words first: about that of the encoder's outputs


def main():
    """Turn, scale, quantize, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--lexicon", type=pathlib.Path, required=True)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    table = np.load(arguments.lexicon / "table.npy").astype(np.float32)
    weights = np.sqrt(np.load(arguments.lexicon / "frequency.npy") + 0.1)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(table.shape[1],) * 2))[0].astype(np.float32)
    size = np.sqrt((weights * (table**2).sum(1)).sum() / weights.sum())
    parts = np.split(table @ turn * (ROW / size), arguments.groups, axis=1)
    found = [centres(np.ascontiguousarray(part), weights, seed=group) for group, part in enumerate(parts)]
    codes = np.stack([code for _, code in found], 1).astype(np.uint8)
    books = np.stack([book for book, _ in found]).astype(np.float32)
    np.savez(arguments.output, codes=codes, books=books, to_answers=turn.T.copy())


if __name__ == "__main__":
    main()
