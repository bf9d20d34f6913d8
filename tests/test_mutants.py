"""Files changed on purpose, their checksums right: the short form of `python -m tests.faults readers tflite_files`."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import add_checksum, read_metadata
from eelbert_tf.tflite.flatbuffer.tables import DamagedFileError, root
from eelbert_tf.tflite.flatbuffer.verify import verify
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests.faults import readers
from tests.faults.bench import Bench
from tests.faults.mutants import mutant
from tests.forms import ROOT
from tests.small_models import converted


def test_readers(tmp_path: Path) -> None:
    """Tables, corpora, weights and settings are read, or refused in one line."""
    tallies = readers.readers(Bench(tmp_path, {"mutants": 1200}, random.Random(0)))
    assert [failure for tally in tallies for failure in tally.failures] == []
    assert all(tally.outcomes["refused"] for tally in tallies)
    assert sum(tally.outcomes["read"] > 0 for tally in tallies) >= 3  # of safetensors only few are


@pytest.mark.parametrize("target", ["mobile", "micro"])
def test_no_interpreter_crashes(target: str) -> None:
    """Most mutants are refused before one sees them; the rest runs, in processes of their own."""
    converted("small", target=target)
    program = [sys.executable, "-m", "tests.faults", "tflite_files", "--tflites", "40"]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]


def _rewritten(change: Callable[[Graph], None]) -> bytes:
    """The small file with its graph changed, and the checksum that fits."""
    graph = Graph(converted("small", target="micro")[0].read_bytes())
    change(graph)
    from eelbert_tf.tflite.flatbuffer.file import pack

    data = pack(graph.model)
    place = data.index(b'"crc32": "') + 10
    return add_checksum(data[:place] + b"--------" + data[place + 8 :])


def _operator(graph: Graph, name: str) -> Any:
    return next(operator for operator in graph.operators if graph.name(operator) == name)


def _shape(graph: Graph) -> None:
    graph.tensors[graph.outputs[0]].shape = np.array([1, 2**20], np.int32)


def _missing_buffer(graph: Graph) -> None:
    graph.tensors[graph.inputs[0]].buffer = 10_000


def _short_buffer(graph: Graph) -> None:
    weights = _operator(graph, "FULLY_CONNECTED").inputs[1]
    buffer = graph.model.buffers[graph.tensors[weights].buffer]
    buffer.data = buffer.data[:-4]


def _order(graph: Graph) -> None:
    graph.operators.reverse()


def _unknown_tensor(graph: Graph) -> None:
    _operator(graph, "ADD").inputs = np.array([0, 100_000], np.int32)


def _weights(graph: Graph) -> None:
    tensors = [graph.tensors[op.inputs[1]] for op in graph.operators if graph.name(op) == "FULLY_CONNECTED"]
    weights = next(tensor for tensor in tensors if tensor.shape[0] != tensor.shape[1])
    weights.shape = np.array(weights.shape[::-1])


def _permutation(graph: Graph) -> None:
    order = graph.tensors[_operator(graph, "TRANSPOSE").inputs[1]]
    graph.model.buffers[order.buffer].data = np.full(order.shape, 7, np.int32).view(np.uint8)


def _custom(graph: Graph) -> None:
    graph.model.operatorCodes[0].customCode = "Flex"


def _input_name(graph: Graph) -> None:
    graph.model.signatureDefs[0].inputs[0].name = "byte"


def _no_output(graph: Graph) -> None:
    graph.model.signatureDefs[0].outputs = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_shape, "outputs "),
        (_missing_buffer, "buffer 10000 of"),
        (_short_buffer, "bytes in a buffer; expected"),
        (_order, "reads what is not computed before it"),
        (_unknown_tensor, "reads what is not computed before it"),
        (_weights, "weights of shape"),
        (_permutation, "an order"),
        (_custom, "a custom operator"),
        (_input_name, "inputs .* of a signature"),
        (_no_output, "outputs .* of a signature"),
    ],
)
def test_graphs_that_do_not_fit(tmp_path: Path, change: Callable[[Graph], None], message: str) -> None:
    """Each is refused by name of the file, in one line."""
    path = tmp_path / "bad.tflite"
    path.write_bytes(_rewritten(change))
    with pytest.raises(InputError, match=message) as caught:
        EelbertRuntime(path)
    assert str(caught.value).startswith(f"{path}: damaged: ")
    assert "\n" not in str(caught.value)


def test_what_is_packed_anew_is_taken(tmp_path: Path) -> None:
    """The test above refuses for the change alone."""
    path = tmp_path / "good.tflite"
    path.write_bytes(_rewritten(lambda graph: None))
    EelbertRuntime(path)


def test_offsets() -> None:
    """Every one that leads outside of the file, or back to front, is an error of ours and of no other kind."""
    data = converted("small", target="micro")[0].read_bytes()
    metadata = read_metadata(data, "small.tflite")
    for number in range(300):
        changed = mutant(data, random.Random(number))
        try:
            verify(changed, metadata)
        except DamagedFileError:
            continue
    for start in (0, 4, len(data) - 3, 2**32 - 1):
        with pytest.raises(DamagedFileError):
            root(struct.pack("<I", start)[:4] + b"TFL3" + b"\xff" * 64)
