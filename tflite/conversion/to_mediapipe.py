"""The target "mediapipe": a file that MediaPipe's TextClassifier and TextEmbedder load and feed by themselves.

MediaPipe turns a text into numbers by a tokenizer that the file's metadata describes. Its regex tokenizer, given a
delimiter of no width after every byte and a vocabulary of 255 bytes, turns it into the bytes that the model reads.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.flatbuffer.file import pack
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import METADATA_NAME, Metadata
from eelbert_tf.tflite.runtimes.interpreter import LiteRT
from eelbert_tf.tflite.runtimes.litert import Runtime

TASKS = ("classification", "binary", "multilabel", EMBEDDING)

# MediaPipe takes the first group for the delimiter and puts one around the pattern. This makes that group a plain
# bracket, and an empty group the first one: each match eats one byte (\C) and ends a token behind it.
DELIMITER = r"?:\C()"
VOCABULARY, LABELS = "vocab.txt", "labels.txt"
# The vocabulary's format has no space and no line feed: both are unknown, and read as spaces.
_UNWRITABLE = b" \n"

_LARGEST_DIFFERENCE = 1e-5

_NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_MARK = "eelbert-mediapipe.json"
# Of MediaPipe's metadata_schema.fbs.
_AXIS_LABELS, _VOCABULARY_FILE, _REGEX_TOKENIZER = 2, 5, 6


def check_mediapipe(metadata: Metadata) -> None:
    """Checks that MediaPipe has a task for a model.

    Raises:
        InputError: it has none.
    """
    if metadata.task not in TASKS or metadata.pair:
        kind = "pairs of texts" if metadata.pair else metadata.task
        raise InputError(f"--target mediapipe: MediaPipe has no task for {kind}; it classifies and embeds single texts")


def to_mediapipe(data: bytes, metadata: Metadata) -> bytes:
    """A TFLite file with the metadata and the files that MediaPipe asks for.

    Args:
        data: the file for the target "mobile"; its logits become probabilities.
        metadata: of the model.

    Returns:
        The file: int32 `[1, L]` to probabilities, float32 `[1, classes]`, or to an embedding.
    """
    graph = Graph(data)
    if metadata.task != EMBEDDING:
        add_probabilities(graph, metadata.task)
    model = graph.model
    (own,) = (entry for entry in model.metadata if entry.name.decode() == METADATA_NAME)
    own.name = _MARK
    model.buffers[own.buffer].data = np.frombuffer(b'{"format": "eelbert-mediapipe"}', np.uint8)
    names = _labels(metadata)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(describe(bool(names)), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = _NAME, len(model.buffers) - 1
    model.metadata.append(entry)
    files = {VOCABULARY: vocabulary()} | ({LABELS: "\n".join(names).encode()} if names else {})
    return pack(model) + _packed(files)


def check_probabilities(data: bytes, runtime: Runtime, texts: Sequence[TextOrPair]) -> float:
    """Compares a file for MediaPipe with the one that it was made of, on what the tokenizer makes of texts.

    Args:
        data: the file.
        runtime: the file that it was made of.
        texts: what both are run on.

    Returns:
        The largest difference of a probability, or of an embedding's number.

    Raises:
        InputError: it is more than rounding explains.
    """
    run = LiteRT(data)
    rows = encode_texts(texts, runtime.metadata.max_bytes)
    logits, found = runtime.predict_bytes(rows), np.concatenate([run(row[None]) for row in rows])
    expected = logits
    if runtime.metadata.task != EMBEDDING:
        expected = runtime.metadata.outputs.probabilities(logits)[:, -found.shape[1] :]
    difference = float(np.abs(found - expected).max())
    if difference > _LARGEST_DIFFERENCE:
        raise InputError(f"The file for MediaPipe differs from the model by {difference:.2g}; convert the model again")
    return difference


def add_probabilities(graph: Graph, task: str) -> None:
    """Makes probabilities of a graph's logits."""
    (logits,) = graph.outputs
    found = graph.add_tensor(graph.shape(logits), np.float32)
    if task == "classification":
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        graph.operators.append(graph.operator("SOFTMAX", [logits], [found], options))
    else:
        graph.operators.append(graph.operator("LOGISTIC", [logits], [found]))
    graph.set_outputs([found])


def vocabulary() -> bytes:
    """Each byte with its own number."""
    rows = [bytes([byte]) + b" %d\n" % byte for byte in range(1, 256) if byte not in _UNWRITABLE]
    return b"".join([*rows, b"<PAD> 0\n", b"<UNKNOWN> %d\n" % ord(" ")])


def describe(has_labels: bool) -> bytes:
    """MediaPipe's metadata: the tokenizer of the input, and the file with the names of the output's classes."""
    builder = flatbuffers.Builder(1024)

    def table(fields: dict[int, int]) -> int:
        builder.StartObject(max(fields, default=-1) + 1)
        for slot, offset in fields.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return int(builder.EndObject())

    def vector(offsets: Sequence[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    def file(name: str, kind: int) -> int:
        written = builder.CreateString(name)
        builder.StartObject(3)
        builder.PrependUOffsetTRelativeSlot(0, written, 0)
        builder.PrependInt8Slot(2, kind, 0)
        return int(builder.EndObject())

    tokenizer = table({0: builder.CreateString(DELIMITER), 1: vector([file(VOCABULARY, _VOCABULARY_FILE)])})
    builder.StartObject(2)
    builder.PrependUint8Slot(0, _REGEX_TOKENIZER, 0)
    builder.PrependUOffsetTRelativeSlot(1, tokenizer, 0)
    unit = int(builder.EndObject())
    given = table({0: builder.CreateString("bytes"), 4: vector([unit])})
    files = {6: vector([file(LABELS, _AXIS_LABELS)])} if has_labels else {}
    result = table({0: builder.CreateString("probabilities" if has_labels else EMBEDDING), **files})
    whole = table({2: vector([given]), 3: vector([result])})
    version = builder.CreateString("1.2.1")  # the first one with tokenizers
    builder.Finish(table({0: builder.CreateString("EELBERT"), 3: vector([whole]), 7: version}), _IDENTIFIER)
    return bytes(builder.Output())


def _labels(metadata: Metadata) -> list[str]:
    """Names of the outputs, one a line; of one logit the second class, which it is the probability of."""
    if metadata.task == EMBEDDING:
        return []
    names = ["none" if name is None else " ".join(name.split()) or "?" for name in metadata.outputs.names]
    return names[1:] if metadata.task == "binary" else names


def _packed(files: dict[str, bytes]) -> bytes:
    """The archive that stands behind a file with such metadata. Its times are fixed, so that files are reproducible."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data)
    return archive.getvalue()
