"""What shorter embeddings, and embeddings as bytes, lose: STS-B without training, by the width that is kept.

    python experiments/embeddings.py --data GLUE --model uno_en tiny_en --output experiments/embeddings.json

Spearman's correlation, in percent, between cosines and human scores on STS-B's development set. `float32`: the first
numbers of an embedding, at length 1 again, as `--width` keeps them. `bytes`: the same as an index stores them.
`rotated`: the first numbers along the principal axes of the sentences of the training set, which the library does not
offer. A model is a preset, a model directory or a TFLite file that gives embeddings.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import markdown_table
from eelbert_tf.metrics import spearman
from eelbert_tf.scores import shorten
from eelbert_tf.tflite.runtimes.index import quantize
from eelbert_tf.tflite.runtimes.models import open_encoder
from eelbert_tf.training.glue.tasks import TASKS, read_task

COLUMNS = ("float32", "bytes", "rotated")


def measure(name: str, data: str, widths: list[int]) -> dict[str, dict[str, float]]:
    """The correlations of one model, by width and column."""
    task = read_task(TASKS["STS-B"], data)
    (dev,) = task.dev.values()
    truth = np.array(dev.labels, np.float64)
    model = open_encoder(name)
    first, second = (model.predict([pair[side] for pair in dev.texts]) for side in (0, 1))
    others = model.predict(sorted({text for pair in task.train.texts for text in pair}))
    axes = np.linalg.svd(others, full_matrices=False)[2].T

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return round(100 * spearman(truth, np.sum(a.astype(np.float64) * b, axis=1)), 2)

    found = {}
    for width in widths:
        sides = shorten(first, width), shorten(second, width)
        turned = shorten(first @ axes, width), shorten(second @ axes, width)
        values = correlation(*sides), correlation(*map(quantize, sides)), correlation(*turned)
        found[str(width)] = dict(zip(COLUMNS, values, strict=True))
    return found


def main() -> None:
    """Measures each model, prints a table and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of GLUE's folders")
    parser.add_argument("--model", nargs="+", default=["uno_en"], help="presets, model directories, TFLite files")
    parser.add_argument("--widths", nargs="+", type=int, default=[128, 64, 32])
    parser.add_argument("--output", required=True, help="JSON file to write")
    args = parser.parse_args()
    models: dict[str, Any] = {Path(name).name: measure(name, args.data, args.widths) for name in args.model}
    rows = [
        [name, width, *(f"{values[column]:.1f}" for column in COLUMNS)]
        for name, found in models.items()
        for width, values in found.items()
    ]
    print(markdown_table(["model", "width", *COLUMNS], rows))
    with replace_file(args.output) as temporary:
        temporary.write_text(json.dumps({"about": "STS-B dev, Spearman, percent", "models": models}, indent=2) + "\n")


if __name__ == "__main__":
    main()
