"""`eelbert embed`: the embeddings of texts, as an array or as JSON lines."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from eelbert_tf.disk.files import check_file, replace_file
from eelbert_tf.disk.inputs import chunks, read_texts
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.errors import InputError
from eelbert_tf.scores import shorten
from eelbert_tf.text.strings import TextOrPair, to_string
from eelbert_tf.tflite.runtimes.models import RUNTIMES, Model, model_help, open_encoder

from .predict import check_kind

TEXTS_AT_ONCE = 256
_KINDS = (".npy", ".jsonl")
_DIGITS = 7  # behind the point, as many as float32 has


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what embeds."""
    parser.add_argument("--model", required=True, metavar="MODEL", help=model_help())
    parser.add_argument("--width", type=int, metavar="N", help="first numbers to keep: 64 or 32 for example (all)")
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)")
    parser.add_argument("--runtime", choices=RUNTIMES, help="litert for a file, keras for a directory or a preset")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_model_arguments(parser)
    parser.add_argument(
        "--input",
        required=True,
        metavar="F",
        help="CSV or TSV with a header, JSON lines, a .txt with a text per line, - for stdin",
    )
    parser.add_argument(
        "--output", required=True, metavar="F", help=".npy for float32 [n, width], .jsonl for a line for each text"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Embeds, writes and reports.

    Raises:
        InputError: a file cannot be read or written, or does not fit the model.
    """
    kind = Path(args.output).suffix
    if kind not in _KINDS:
        raise InputError(f"--output: expected a name that ends in .npy or .jsonl. Received: {args.output}")
    check_file(args.output)
    model = open_model(args)
    texts: list[TextOrPair] = []
    start = time.perf_counter()

    def kept() -> Iterable[TextOrPair]:
        for text in check_kind(read_texts(args.input, args.text_columns), model.metadata, args.input):
            texts.append(text)
            yield text

    embeddings = embed(model, kept(), args.width)
    if not texts:
        raise InputError(f"{args.input}: the file is empty; expected at least one text")
    seconds = time.perf_counter() - start
    with replace_file(args.output) as temporary:
        if kind == ".npy":
            with temporary.open("wb") as array:
                _save(array, embeddings)
        else:
            with temporary.open("w", encoding="utf-8") as lines:
                lines.writelines(map(_line, texts, embeddings))
    return {
        "output": args.output,
        "n": len(texts),
        "width": embeddings.shape[1],
        "truncated": sum(map(model.is_truncated, texts)),
        "ms_per_text": round(1000 * seconds / len(texts), 4),
    }


def open_model(args: argparse.Namespace) -> Model:
    """The encoder that the options name.

    Raises:
        InputError: there is none, or it is narrower than the options ask for.
    """
    model = open_encoder(args.model, args.runtime)
    most = model.metadata.num_classes
    if args.width is not None and not 1 <= args.width <= most:
        raise InputError(f"--width: expected a number from 1 to {most}, the width of the model. Received: {args.width}")
    return model


def embed(model: Model, texts: Iterable[TextOrPair], width: int | None) -> np.ndarray:
    """Embeddings of some texts: float32 `[n, width]`."""
    parts = [np.zeros((0, model.metadata.num_classes), np.float32)]
    parts += [model.predict(chunk) for chunk in chunks(with_progress(texts, "text"), TEXTS_AT_ONCE)]
    return shorten(np.concatenate(parts), width)


def _save(file: BinaryIO, array: np.ndarray) -> None:
    """What `np.save` does, which hides what the system said where it refuses to write."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def _line(text: TextOrPair, embedding: np.ndarray) -> str:
    if isinstance(text, tuple):
        sides = {"text_a": to_string(text[0]), "text_b": to_string(text[1])}
    else:
        sides = {"text": to_string(text)}
    numbers = [round(float(number), _DIGITS) for number in embedding]
    return json.dumps({**sides, "embedding": numbers}, ensure_ascii=False) + "\n"
