"""`eelbert index`: texts and their embeddings in one file, to be searched on a device."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from eelbert_tf.disk.files import check_file
from eelbert_tf.disk.inputs import read_texts
from eelbert_tf.disk.tables import iter_rows
from eelbert_tf.disk.texts import suffix
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import Text, TextOrPair
from eelbert_tf.tflite.runtimes.index import Index
from eelbert_tf.tflite.runtimes.models import Model, is_file

from .embed import add_model_arguments, embed, open_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_model_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="F", help="texts: a table, JSON lines, or a .txt")
    add_label_argument(parser)
    parser.add_argument("--output", required=True, metavar="F.index", help="file to write")


def add_label_argument(parser: argparse.ArgumentParser) -> None:
    """The option that says what belongs to a text."""
    parser.add_argument(
        "--label-column", metavar="NAME", help="column of what belongs to each text: an answer, a class"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Embeds the texts, writes the index and reports.

    Raises:
        InputError: a file cannot be read or written, or does not fit the model.
    """
    if not is_file(args.model):
        raise InputError(
            f"{args.model}: an index is made with the TFLite file that will search it; write one with: "
            f"eelbert convert --task embedding --model {args.model}"
        )
    check_file(args.output)
    model = open_search_model(args)
    index = make_index(model, args)
    index.write(args.output)
    return {"output": args.output, "n": len(index), "width": index.width, "bytes": os.path.getsize(args.output)}


def open_search_model(args: argparse.Namespace) -> Model:
    """The encoder that the options name.

    Raises:
        InputError: there is none, or it takes pairs, or is narrower than the options ask for.
    """
    model = open_model(args)
    if model.metadata.pair:
        raise InputError(f"{args.model}: takes pairs of texts; a search needs a model of single texts")
    return model


def make_index(model: Model, args: argparse.Namespace) -> Index:
    """The index of the texts that the options name.

    Raises:
        InputError: they cannot be read.
    """
    texts: list[Text] = []
    labels: list[Text] = []

    def kept() -> Iterator[TextOrPair]:
        for text, label in _rows(args):
            texts.append(text)
            labels.append(label)
            yield text

    embeddings = embed(model, kept(), None)
    if not texts:
        raise InputError(f"{args.texts}: the file is empty; expected at least one text")
    return Index.build(embeddings, texts, labels, args.width, model.crc32)


def _rows(args: argparse.Namespace) -> Iterator[tuple[Text, str]]:
    """Texts with what belongs to them, which may be nothing.

    Raises:
        InputError: they cannot be read, or are pairs.
    """
    path, column = args.texts, args.label_column
    if column is not None and suffix(path) == ".txt":
        raise InputError(f"{path}: a .txt file has no columns; --label-column needs a table")
    if column is None:
        rows: Iterator[tuple[TextOrPair, str]] = ((text, "") for text in read_texts(path, args.text_columns))
    else:
        rows = ((row.text, row.label) for row in iter_rows(path, args.text_columns, column))
    for text, label in rows:
        if isinstance(text, tuple):
            raise InputError(f"{path}: pairs of texts; expected single ones: name their column with --text-columns")
        yield text, label
