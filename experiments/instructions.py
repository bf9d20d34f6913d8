"""Fits what operators cost on Cortex-M cores to runs in QEMU, for the predictions of `eelbert convert`.

    python experiments/microcontroller.py --kit KIT --targets m3-cmsis m4f-cmsis m55-cmsis ... > RUN.json
    python experiments/instructions.py --fit MODEL.tflite RUN.json --output tflite/conversion/instructions.json

`--fit` may be given several times. A run's `steps` are the operators of the file in their order. Costs are not
negative, and errors count by the root of the size, so that small operators count too. Needs SciPy.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.tflite.conversion.instructions import kind, work
from eelbert_tf.tflite.flatbuffer.graph import Graph

CORES = {"m3-cmsis": "cortex-m3", "m4f-cmsis": "cortex-m4f", "m55-cmsis": "cortex-m55"}
LEAST = 1000.0  # instructions: smaller operators count as if they took so many


def fit(steps: Sequence[tuple[str, tuple[int, int, int], int]]) -> dict[str, list[float]]:
    """The costs of each kind of operator.

    Args:
        steps: kind, work and instructions of operators.
    """
    by_kind = defaultdict(list)
    for name, amounts, instructions in steps:
        by_kind[name].append((amounts, instructions))
    found = {}
    for name, rows in sorted(by_kind.items()):
        amounts = np.array([row[0] for row in rows], np.float64)
        instructions = np.array([row[1] for row in rows], np.float64)
        weight = 1.0 / np.sqrt(np.maximum(instructions, LEAST))
        costs, _ = nnls(amounts * weight[:, None], instructions * weight)
        costs *= instructions.sum() / max((amounts @ costs).sum(), 1.0)  # what depends on data is right on average
        found[name] = [round(float(cost), 3) for cost in costs]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the costs, and prints the errors as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", nargs=2, action="append", required=True, metavar=("F.tflite", "RUN.json"))
    parser.add_argument("--output", required=True, type=Path, metavar="F.json")
    args = parser.parse_args(arguments)
    steps = defaultdict(list)
    for file, run in args.fit:
        graph = Graph(Path(file).read_bytes())
        for target, found in json.loads(Path(run).read_text("utf-8")).items():
            for operator, (_, instructions) in zip(graph.operators, found["steps"], strict=True):
                steps[CORES[target]].append((kind(graph, operator), work(graph, operator), instructions))
    costs = {core: fit(rows) for core, rows in sorted(steps.items())}
    lines = [
        f' "{core}": {{\n' + ",\n".join(f"  {json.dumps(name)}: {cost}" for name, cost in kinds.items()) + "\n }"
        for core, kinds in costs.items()
    ]
    args.output.write_text("{\n" + ",\n".join(lines) + "\n}\n", "ascii")
    sizes = {core: sum(row[2] for row in rows) for core, rows in steps.items()}
    print(json.dumps({"instructions": sizes, "kinds": {core: len(kinds) for core, kinds in costs.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
