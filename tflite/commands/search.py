"""`eelbert search`: the texts that are nearest to others, one JSON line for each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from eelbert_tf.disk.inputs import argument_bytes, chunks, read_texts
from eelbert_tf.disk.terminal import flush_output, print_json
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import to_bytes, to_string
from eelbert_tf.tflite.runtimes.index import Index, Match
from eelbert_tf.tflite.runtimes.models import Model

from .embed import TEXTS_AT_ONCE, add_model_arguments, embed
from .index import add_label_argument, make_index, open_search_model
from .predict import check_kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_model_arguments(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--texts", metavar="F", help="texts to search: a table, JSON lines, or a .txt")
    where.add_argument("--index", metavar="F.index", help="the same from `eelbert index`, made with this model")
    add_label_argument(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--query", action="append", metavar="TEXT", help="what to look for; may be given again")
    what.add_argument("--input", metavar="F", help="the same from a table, JSON lines, a .txt, - for stdin")
    parser.add_argument("--query-column", metavar="NAME", help="column of what to look for in --input (text)")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many texts to find for each")


def run(args: argparse.Namespace) -> None:
    """Prints a line for each query as soon as it is known.

    Raises:
        InputError: an option or a file cannot be used, or does not fit the model.
    """
    if args.top < 1:
        raise InputError(f"--top: expected 1 or more. Received: {args.top}")
    for option in ("width", "label_column"):
        if args.index is not None and getattr(args, option) is not None:
            raise InputError(f"--{option.replace('_', '-')}: is settled in the index; leave the option out")
    model = open_search_model(args)
    index = make_index(model, args) if args.index is None else Index.read(args.index, model.crc32)
    for chunk in chunks(_queries(args, model), TEXTS_AT_ONCE):
        for query, matches in zip(chunk, index.search(embed(model, chunk, None), args.top), strict=True):
            truncated = {"truncated": True} if model.is_truncated(query) else {}
            print_json({"query": to_string(query), "matches": list(map(_as_json, matches)), **truncated})
    flush_output()


def _queries(args: argparse.Namespace, model: Model) -> Iterator[bytes]:
    """What to look for."""
    if args.input is None:
        yield from map(argument_bytes, args.query)
        return
    columns = None if args.query_column is None else [args.query_column]
    for text in check_kind(read_texts(args.input, columns), model.metadata, args.input):
        if not isinstance(text, tuple):  # the model takes no others
            yield to_bytes(text)


def _as_json(match: Match) -> dict[str, Any]:
    """What is said of a text that was found."""
    label = {"label": to_string(match.label)} if match.label else {}
    return {"id": match.id, "score": round(match.score, 4), "text": to_string(match.text), **label}
