"""Compares the results of the same texts in Keras, LiteRT, TFLite Micro and the C front end.

    python experiments/parity.py --model DIR --texts F... --output parity.json

Half of the texts are lines of the given files, the others are random bytes. It needs a C compiler. Token counts must be
equal, logits within 1e-5, and embeddings within 1e-6 (with the pooling "sqrtn", times the root of the token's bytes, by
which this pooling scales them).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.inputs import chunks, read_lines
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.errors import InputError
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import TextOrPair, as_data, encode_texts, to_bytes
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.export import drop_selects, translate
from eelbert_tf.tflite.conversion.micro import COLUMNS
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.kits.firmware import SOURCES
from eelbert_tf.tflite.runtimes import tflm
from eelbert_tf.tflite.runtimes.interpreter import LiteRT
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime

EMBEDDINGS_WITHIN, LOGITS_WITHIN = 1e-6, 1e-5
TEXTS_AT_ONCE = 200

# From texts to embeddings, float32 [n, T, d], and padding mask, int32 [n, T].
FrontEnd = Callable[[Sequence[TextOrPair]], tuple[np.ndarray, np.ndarray]]


class _CConfig(ctypes.Structure):
    """`eelbert_config` of tflite/kits/c/eelbert_front_end.h."""

    _fields_ = (
        ("seed", ctypes.c_uint64),
        ("widths", ctypes.c_uint16 * 8),
        ("word_width", ctypes.c_uint16),
        ("boundaries", ctypes.c_uint8),
        ("pooling", ctypes.c_uint8),
        ("pair", ctypes.c_uint8),
        ("max_tokens", ctypes.c_uint32),
        ("max_bytes", ctypes.c_uint32),
        ("lexicon_size", ctypes.c_uint32),
        ("normalization", ctypes.c_uint8),
    )


def c_front_end(config: Any, pair: bool, folder: Path) -> FrontEnd:
    """The C front end, compiled by this machine's compiler.

    Raises:
        InputError: there is no compiler.
    """
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise InputError("parity compiles the C front end: install a C compiler (gcc, clang)")
    source, library = SOURCES / "eelbert_front_end.c", folder / "front_end.so"
    subprocess.run([compiler, "-std=c99", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    embed_text = ctypes.CDLL(str(library)).eelbert_embed_text
    embed_text.restype = ctypes.c_size_t
    hash_ = config.hash
    fields = _CConfig(
        seed=hash_.seed,
        widths=(ctypes.c_uint16 * 8)(*hash_.widths),
        word_width=hash_.word_width,
        boundaries=hash_.boundaries,
        pooling=hash_.pooling == "sqrtn",
        pair=pair,
        max_tokens=config.max_tokens,
        max_bytes=config.max_bytes,
        lexicon_size=config.lexicon_size,
        normalization=hash_.normalization,
    )

    def run(texts: Sequence[TextOrPair]) -> tuple[np.ndarray, np.ndarray]:
        embeddings = np.empty((len(texts), config.max_tokens, hash_.size), np.float32)
        mask = np.empty((len(texts), config.max_tokens), np.int32)
        for text, vectors, filled in zip(texts, embeddings, mask, strict=True):
            data = as_data(text, config.max_bytes)
            pointers = (vectors.ctypes.data_as(ctypes.c_void_p), filled.ctypes.data_as(ctypes.c_void_p))
            embed_text(ctypes.byref(fields), data, ctypes.c_size_t(len(data)), *pointers, None)
        return embeddings, mask

    return run


def keras_strings(layer: Any, pair: bool) -> FrontEnd:
    """The hash layer on tf.string."""

    def run(texts: Sequence[TextOrPair]) -> tuple[np.ndarray, np.ndarray]:
        result = layer(string_tensors(texts, pair))
        return np.asarray(result["embeddings"]), np.asarray(result["padding_mask"])

    return run


def keras_bytes(layer: Any) -> FrontEnd:
    """The hash layer on int32 bytes."""

    def run(texts: Sequence[TextOrPair]) -> tuple[np.ndarray, np.ndarray]:
        result = layer(encode_texts(texts, layer.max_bytes))
        return np.asarray(result["embeddings"]), np.asarray(result["padding_mask"])

    return run


def string_tensors(texts: Sequence[TextOrPair], pair: bool) -> Any:
    """Texts as Keras takes them: tf.string `[B]`, or two of them."""
    import tensorflow as tf

    def raw(items: Sequence[Any]) -> Any:
        return tf.constant([to_bytes(item) for item in items])

    return tuple(raw(side) for side in zip(*texts, strict=True)) if pair else raw(texts)


def front_end_file(model: Any) -> bytes:
    """The hash layer of a model as a TFLite file with two outputs, embeddings and padding mask."""
    import tensorflow as tf

    layer = model.backbone.hash_embedding

    def serve(bytes: Any) -> dict[str, Any]:
        result = layer(bytes)
        return {"embeddings": result["embeddings"], "padding_mask": result["padding_mask"]}

    signature = [tf.TensorSpec((1, layer.max_bytes), tf.int32, name="bytes")]
    function = tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()
    graph = Graph(translate(model, function))
    drop_selects(graph)
    return graph.to_bytes()


def litert_front_end(data: bytes, max_bytes: int) -> FrontEnd:
    """A file of `front_end_file` in LiteRT."""
    run = LiteRT(data)

    def invoke(row: np.ndarray) -> list[np.ndarray]:
        run(row)
        return [run.tensor(number) for number in run.outputs]

    return _row_by_row(invoke, max_bytes)


def tflm_front_end(data: bytes, max_bytes: int) -> FrontEnd:
    """A file of `front_end_file` in TFLite Micro."""
    interpreter = tflm.load(data, "the front end")

    def invoke(row: np.ndarray) -> list[np.ndarray]:
        interpreter.set_input(row, 0)
        interpreter.invoke()
        return [interpreter.get_output(0), interpreter.get_output(1)]

    return _row_by_row(invoke, max_bytes)


def _row_by_row(invoke: Callable[[np.ndarray], list[np.ndarray]], max_bytes: int) -> FrontEnd:
    def run(texts: Sequence[TextOrPair]) -> tuple[np.ndarray, np.ndarray]:
        outputs: dict[int, list[np.ndarray]] = {2: [], 3: []}  # by rank: the order of a file's outputs is not fixed
        for row in encode_texts(texts, max_bytes):
            for result in invoke(np.ascontiguousarray(row[None])):
                outputs[result.ndim].append(np.array(result))
        return np.concatenate(outputs[3]), np.concatenate(outputs[2])

    return run


class Comparison:
    """The largest differences between each implementation and the first one, over all texts so far."""

    def __init__(self) -> None:
        self.token_counts: dict[str, int] = {}  # texts whose number of tokens differs
        self.embeddings: dict[str, float] = {}
        self.beyond: dict[str, int] = {}  # texts with an embedding that is not within EMBEDDINGS_WITHIN
        self.logits: dict[str, float] = {}

    def add_counts(self, name: str, counts: np.ndarray, expected: np.ndarray) -> None:
        """Token counts, int `[n]` both."""
        self.token_counts[name] = self.token_counts.get(name, 0) + int((counts != expected).sum())

    def add_embeddings(
        self, name: str, values: np.ndarray, expected: np.ndarray, lengths: np.ndarray, sqrtn: bool = False
    ) -> None:
        """Embeddings, float32 `[n, T, d]` both; lengths int `[n, T]`, bytes of the tokens."""
        far = distance(values, expected).max(axis=2)
        beyond = far > EMBEDDINGS_WITHIN * (np.sqrt(np.maximum(lengths, 1)) if sqrtn else 1)
        self.embeddings[name] = max(self.embeddings.get(name, 0.0), float(far.max()))
        self.beyond[name] = self.beyond.get(name, 0) + int(beyond.any(axis=1).sum())

    def add_logits(self, name: str, values: np.ndarray, expected: np.ndarray) -> None:
        """Logits, float32 `[n, C]` both."""
        self.logits[name] = max(self.logits.get(name, 0.0), float(distance(values, expected).max()))

    def holds(self) -> bool:
        """Whether token counts are equal, and embeddings and logits within their bounds."""
        differ = any(self.token_counts.values()) or any(self.beyond.values())
        return not differ and max(self.logits.values()) <= LOGITS_WITHIN


def distance(values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The absolute difference; infinite for NaN."""
    far = np.abs(values.astype(np.float64) - expected)
    return np.where(np.isfinite(far), far, np.inf)


def gather_texts(paths: Sequence[str], count: int, pair: bool, seed: int) -> tuple[list[TextOrPair], int]:
    """Texts to compare, up to half of them lines of files, and the number of these lines.

    Raises:
        InputError: a file cannot be read.
    """
    lines: list[bytes] = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                lines += read_lines(file)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    rng = random.Random(seed)
    real: list[TextOrPair] = list(rng.sample(lines, min(len(lines), count // 2)))
    if pair:
        real = [(a, b) for a, b in zip(real, rng.sample(real, len(real)), strict=True)]  # type: ignore[misc]
    return [*real, *hard_inputs(pair, count - len(real), seed)], len(real)


def all_front_ends(model_directory: str, limits: dict[str, Any], folder: Path) -> dict[str, FrontEnd]:
    """All implementations of the front end; the first one is what the others are compared with.

    Args:
        model_directory: a classifier.
        limits: `max_tokens` and `max_bytes`, if they differ from the model's.
        folder: where the C front end is compiled.
    """
    model, other = (EelbertClassifier.from_preset(model_directory, **limits) for _ in range(2))
    config, pair, layer = model.backbone.config, model.backbone.pair, model.backbone.hash_embedding
    exported = other.backbone.hash_embedding
    exported.scatter = True
    scattered = front_end_file(other)
    exported.scatter, exported.scatter_bytes, exported.columns = False, False, COLUMNS
    return {
        "keras_strings": keras_strings(layer, pair),
        "keras_bytes": keras_bytes(layer),
        "litert": litert_front_end(scattered, config.max_bytes),
        "tflm": tflm_front_end(front_end_file(other), config.max_bytes),
        "c": c_front_end(config, pair, folder),
    }


def compare(model_directory: str, texts: Sequence[TextOrPair], limits: dict[str, Any]) -> Comparison:
    """Runs the texts through all implementations.

    Args:
        model_directory: a classifier.
        texts: the texts to compare.
        limits: `max_tokens` and `max_bytes`, if they differ from the model's.
    """
    model = EelbertClassifier.from_preset(model_directory, **limits)
    config, pair = model.backbone.config, model.backbone.pair
    comparison = Comparison()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for target in ("mobile", "micro"):
            convert(model_directory, folder / f"{target}.tflite", target, **limits)
        litert, micro = EelbertRuntime(folder / "mobile.tflite"), tflm.TflmRuntime(folder / "micro.tflite")
        front_ends = all_front_ends(model_directory, limits, folder)
        for chunk in chunks(with_progress(texts, "text"), TEXTS_AT_ONCE):
            results = {name: front_end(chunk) for name, front_end in front_ends.items()}
            expected, mask = results["keras_strings"]
            lengths = np.zeros(mask.shape, np.int64)
            for row, text in zip(lengths, chunk, strict=True):
                data = as_data(text, config.max_bytes)
                normalization = config.hash.normalization
                tokens, _ = tokenize(data, config.max_tokens, config.max_bytes, pair, normalization).with_specials()
                row[: len(tokens)] = [len(token) for token in tokens]
            comparison.add_counts("reference", (lengths > 0).sum(axis=1), mask.sum(axis=1))
            for name, (embeddings, filled) in results.items():
                comparison.add_counts(name, filled.sum(axis=1), mask.sum(axis=1))
                comparison.add_embeddings(name, embeddings, expected, lengths, config.hash.pooling == "sqrtn")
            rows = encode_texts(chunk, config.max_bytes)
            logits = np.asarray(model(string_tensors(chunk, pair), training=False))
            comparison.add_logits("keras_bytes", np.asarray(model(rows, training=False)), logits)
            comparison.add_logits("litert", litert.predict_bytes(rows), logits)
            comparison.add_logits("tflm", micro.predict_bytes(rows), logits)
    return comparison


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares and prints one JSON object; returns 0 if all bounds hold, 1 if not, 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python experiments/parity.py", description=(__doc__ or "")[:120])
    parser.add_argument("--model", required=True, metavar="DIR", help="model directory or preset: a classifier")
    parser.add_argument("--texts", nargs="*", default=[], metavar="F", help="files of which each line is a text")
    parser.add_argument("--count", type=int, default=20000, metavar="N", help="texts in all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes lines and fuzzed bytes")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="token slots (the model's)")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="bytes read of a text (the model's)")
    parser.add_argument("--output", metavar="F.json", help="file that also gets the result")
    args = parser.parse_args(arguments)
    limits: dict[str, Any] = {"max_tokens": args.max_tokens, "max_bytes": args.max_bytes}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    try:
        model = EelbertClassifier.from_preset(args.model, **limits)
        texts, real = gather_texts(args.texts, args.count, model.backbone.pair, args.seed)
        comparison = compare(args.model, texts, limits)
        result = {
            "texts": len(texts),
            "lines_of_files": real,
            "fuzzed": len(texts) - real,
            "files": [os.path.basename(path) for path in args.texts],
            "seed": args.seed,
            "max_tokens": model.backbone.config.max_tokens,
            "max_bytes": model.backbone.config.max_bytes,
            "compared_with": "keras_strings",
            "token_counts_that_differ": comparison.token_counts,
            "embeddings_max_abs_diff": comparison.embeddings,
            f"texts_with_embeddings_beyond_{EMBEDDINGS_WITHIN:g}": comparison.beyond,
            "logits_max_abs_diff": comparison.logits,
            "holds": comparison.holds(),
        }
        if args.output:
            with replace_file(args.output) as temporary:
                temporary.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    except InputError as error:
        sys.stderr.write(f"parity: {error}\n")
        return 2
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if comparison.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
