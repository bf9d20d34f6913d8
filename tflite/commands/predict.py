"""`eelbert predict`: what a model says of texts, one JSON line for each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from eelbert_tf.disk.inputs import argument_bytes, chunks, read_texts
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.terminal import flush_output, print_json
from eelbert_tf.errors import InputError
from eelbert_tf.text.spans import answer
from eelbert_tf.text.strings import TextOrPair, to_bytes
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.runtimes.models import RUNTIMES, Model, model_help, open_model

TEXTS_AT_ONCE = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", required=True, metavar="MODEL", help=model_help())
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--text", action="append", metavar="TEXT", help="one text; give it twice for a pair")
    texts.add_argument(
        "--input", metavar="F", help="CSV or TSV with a header, JSON lines, a .txt with a text per line, - for stdin"
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, help="litert for a file or a preset that has one, keras for a directory"
    )


def run(args: argparse.Namespace) -> None:
    """Prints a line for each text as soon as it is known."""
    model = open_model(args.model, args.runtime)
    if args.text:
        texts = iter([one_input(args.text, model.metadata)])
    else:
        texts = check_kind(read_texts(args.input, args.text_columns), model.metadata, args.input)
    for chunk in chunks(with_progress(texts, "text"), TEXTS_AT_ONCE):
        for text, result in zip(chunk, results(model, chunk), strict=True):
            if model.is_truncated(text):
                result["truncated"] = True
            print_json(result)
    flush_output()


def results(model: Model, texts: list[TextOrPair]) -> Iterator[dict[str, Any]]:
    """The results for texts, in their order."""
    metadata = model.metadata
    if metadata.task == "tagging":
        single = [to_bytes(text) for text in texts if not isinstance(text, tuple)]  # a tagger takes no others
        for data, outputs in zip(single, model.tag_outputs(single), strict=True):
            yield answer(outputs, metadata.names, metadata.labels, data)
    else:
        yield from map(metadata.outputs.answer, model.predict(texts))


def one_input(texts: list[str], metadata: Metadata) -> TextOrPair:
    """The text, or the pair, of the command line.

    Raises:
        InputError: there are too few or too many for the model.
    """
    wanted = 2 if metadata.pair else 1
    if len(texts) != wanted:
        raise InputError(f"--text is given {len(texts)} times; this model takes {wanted} text{'s' * (wanted > 1)}")
    data = [argument_bytes(text) for text in texts]
    return (data[0], data[1]) if metadata.pair else data[0]


def check_kind(texts: Iterator[TextOrPair], metadata: Metadata, path: str) -> Iterator[TextOrPair]:
    """The texts of a file, pairs where the model takes pairs.

    Raises:
        InputError: the file holds the other kind.
    """
    for text in texts:
        if isinstance(text, tuple) and not metadata.pair:
            raise InputError(f"{path}: pairs of texts; this model takes one text: name its column with --text-columns")
        if metadata.pair and not isinstance(text, tuple):
            raise InputError(f"{path}: single texts; this model takes pairs: expected columns text_a and text_b")
        yield text
