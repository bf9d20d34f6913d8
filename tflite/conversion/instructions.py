"""Instructions that a file takes on Cortex-M cores with CMSIS-NN's kernels, predicted from its operators.

Each kind of operator takes so many instructions for itself, for each number that it reads or writes, and for each
product; `experiments/instructions.py` has fitted them to runs in QEMU, and says how far predictions are off.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

from eelbert_tf.tflite.flatbuffer.graph import Graph

COSTS = Path(__file__).with_suffix(".json")
C_PER_SLOT = 16_000  # of a front end in C, for each token: about the same on all cores


def kind(graph: Graph, operator: Any) -> str:
    """What decides what an operator costs: its name and the type of its input, or of both ends where types change."""
    name, output = graph.name(operator), graph.dtype(int(operator.outputs[0]))
    source = graph.dtype(int(operator.inputs[1 if name == "SPLIT" else 0]))
    return f"{name} {source}" + (f" {output}" if output != source else "")


def work(graph: Graph, operator: Any) -> tuple[int, int, int]:
    """Products that an operator computes, numbers that it reads or writes, whichever are more, and 1."""
    name = graph.name(operator)
    inputs, outputs = ([int(i) for i in ends if i >= 0] for ends in (operator.inputs, operator.outputs))
    written = sum(math.prod(graph.shape(number)) for number in outputs)
    read = max((math.prod(graph.shape(number)) for number in inputs if not graph.is_constant(number)), default=0)
    depth = 0
    if name in ("FULLY_CONNECTED", "CONV_2D"):
        depth = math.prod(graph.shape(inputs[1])[1:])
    elif name == "BATCH_MATMUL":
        depth = graph.shape(inputs[0])[-1]
    return written * depth, max(written, read), 1


def predict_instructions(graph: Graph, slots_in_c: int = 0) -> dict[str, int]:
    """Instructions of one run on each core, by a core's name.

    Args:
        graph: of the file.
        slots_in_c: token slots that a front end in C fills.
    """
    amounts = [(kind(graph, operator), work(graph, operator)) for operator in graph.operators]
    return {
        core: round(sum(_cost(costs, *amount) for amount in amounts)) + slots_in_c * C_PER_SLOT
        for core, costs in _costs().items()
    }


def _cost(costs: dict[str, list[float]], name: str, amounts: tuple[int, int, int]) -> float:
    """Instructions of one operator; of a kind that has not been measured, those of the dearest like it."""
    alike = [costs[name]] if name in costs else [c for n, c in costs.items() if n.split()[0] == name.split()[0]]
    return max(
        (sum(a * c for a, c in zip(amounts, cost, strict=True)) for cost in alike or costs.values()), default=0.0
    )


@functools.cache
def _costs() -> dict[str, dict[str, list[float]]]:
    """By core and kind: instructions for a product, for a number, and for the operator."""
    found: dict[str, dict[str, list[float]]] = json.loads(COSTS.read_text("ascii"))
    return found
