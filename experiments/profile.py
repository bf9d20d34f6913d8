"""Measures how the time of a TFLite file is divided: front end, attention, feed-forward, head.

    python experiments/profile.py --model F.tflite --text F

The file is cut off after each part, and the parts' times are the differences. The operations of dense layers and matrix
products are counted (a multiplication and an addition are two) and compared with the speed of a large float32 matrix
product in NumPy on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.inputs import read_texts
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.benchmarks.timing import interleave
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import Metadata, read_file
from eelbert_tf.tflite.runtimes.interpreter import LiteRT

_DENSE_PER_BLOCK, _DENSE_OF_ATTENTION = 6, 4
_DENSE_OF_HEAD = {"cls": 2, "mean": 1}  # by pooling
_PEAK = """
import time, numpy as np
a = np.random.default_rng(0).random((1024, 1024), np.float32)
def seconds():
    begin = time.perf_counter()
    a @ a
    return time.perf_counter() - begin
print(2 * 1024**3 / min(seconds() for _ in range(20)) / 1e9)
"""


def matmul_peak() -> float:
    """Billions of operations per second in a float32 product of 1024 x 1024 matrices, on one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", _PEAK]
    return float(subprocess.run(command, env={**os.environ, **threads}, capture_output=True, check=True).stdout)


def cuts(graph: Graph, layers: int, pooling: str = "cls") -> list[tuple[str, int]]:
    """The parts of a classifier in order, each with the tensor that it ends with.

    Raises:
        InputError: the file has another order of operators than `eelbert convert --target mobile` gives it.
    """
    # Those of a lexicon and of words beside the encoder have no bias.
    dense = [
        o for o in graph.operators if graph.name(o) == "FULLY_CONNECTED" and len(o.inputs) > 2 and o.inputs[2] >= 0
    ]
    count = layers * _DENSE_PER_BLOCK + _DENSE_OF_HEAD[pooling]
    dense = dense[len(dense) - count :]
    consumers = graph.consumers()
    joined = [reader for o in graph.operators if graph.name(o) == "DIV" for reader in consumers[int(o.outputs[0])]]
    joined = [operator for operator in joined if graph.name(operator) == "CONCATENATION"]  # the columns of the hash
    if len(dense) != count or not joined:
        raise InputError("not a file for the target mobile")
    first = consumers[graph.inputs[0]][0]  # cut off after it, only the cost of a call is left
    cut_points = [("call", int(first.outputs[0])), ("front_end", int(joined[0].outputs[0]))]
    cut_points.append(("embeddings", int(dense[0].inputs[0])))
    for block in range(layers):
        start = block * _DENSE_PER_BLOCK
        cut_points.append((f"attention_{block}", int(dense[start + _DENSE_OF_ATTENTION].inputs[0])))
        end = int(dense[start + _DENSE_PER_BLOCK].inputs[0])
        if pooling == "mean" and block == layers - 1:
            end = [int(o.inputs[1]) for o in graph.operators if graph.name(o) == "BATCH_MATMUL"][-1]
        cut_points.append((f"feed_forward_{block}", end))
    return [*cut_points, ("head", graph.outputs[0])]


def prefix(data: bytes, tensor: int) -> bytes:
    """The part of a file that computes one of its tensors."""
    graph = Graph(data)
    graph.set_outputs([tensor])
    return graph.to_bytes()


def operations(graph: Graph) -> int:
    """Multiplications and additions of all dense layers and matrix products."""
    total = 0
    for operator in graph.operators:
        if graph.name(operator) in ("FULLY_CONNECTED", "BATCH_MATMUL"):
            inner = graph.shape(int(operator.inputs[0]))[-1]
            total += 2 * inner * int(np.prod(graph.shape(int(operator.outputs[0]))))
    return total


def measure(data: bytes, metadata: Metadata, texts: Sequence[Any], rounds: int) -> dict[str, Any]:
    """Milliseconds and billions of operations per second of each part."""
    parts = cuts(Graph(data), metadata.config["num_hidden_layers"], metadata.config.get("pooling", "cls"))
    files = {name: prefix(data, tensor) for name, tensor in parts}
    rows = [encode_texts([text], metadata.max_bytes) for text in texts]
    times = interleave({name: LiteRT(file) for name, file in files.items()}, rows, rounds)
    peak = matmul_peak()
    result: dict[str, Any] = {}
    milliseconds, work = 0.0, 0
    for name, _ in parts:
        until, done = float(np.median(times[name])), operations(Graph(files[name]))
        rate = (done - work) / max(until - milliseconds, 1e-4) / 1e6
        result[name] = {
            "ms": round(until - milliseconds, 4),
            "share": round((until - milliseconds) / float(np.median(times["head"])), 3),
            "million_operations": round((done - work) / 1e6, 3),
            "share_of_peak": round(rate / peak, 3),
        }
        milliseconds, work = until, done
    return {"ms": round(milliseconds, 4), "matmul_peak_gflops": round(peak, 1), "parts": result}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(prog="python experiments/profile.py")
    parser.add_argument("--model", required=True, metavar="F.tflite", help="a file for the target mobile")
    parser.add_argument("--text", required=True, metavar="F", help="texts: CSV, TSV, or plain text, one per line")
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="column of the texts (text)")
    parser.add_argument("--limit", type=int, default=300, metavar="N", help="texts taken of the file")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="passes over the texts")
    args = parser.parse_args(arguments)
    try:
        data, metadata = read_file(args.model)
        texts = [text for text, _ in zip(read_texts(args.text, args.text_columns), range(args.limit), strict=False)]
        result = measure(data, metadata, texts, args.rounds)
    except InputError as error:
        sys.stderr.write(f"profile: {error}\n")
        return 2
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
