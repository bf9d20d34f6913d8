"""`eelbert quantize`: the lexicon of a model in a few bytes for each row."""

from __future__ import annotations

import argparse
from typing import Any

from eelbert_tf.config import BOOK_ENTRIES
from eelbert_tf.disk.files import check_directory
from eelbert_tf.errors import InputError
from eelbert_tf.models.quantized_lexicon import quantize_stored, quantized_config
from eelbert_tf.saving.folders import MODEL_FOLDER, write_model
from eelbert_tf.saving.stored import read_stored, read_stored_info

DESCRIPTION = """\
Stores each row of a model's lexicon in a few bytes (product quantization): the lexicon of 65,536 rows of 128 numbers
takes 295 kB in a file with int8 weights instead of 8.4 MB. The folder it writes is a model like any other; fine-tuning
it teaches the 256 entries that each byte chooses from, not the choice.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="model folder or preset with a lexicon of numbers")
    add("--codes", type=int, default=4, metavar="N", help="bytes of a row; must divide the lexicon's width")
    add("--corpus", metavar="DIR", help="what `eelbert corpus` wrote: its frequent words are rounded less")
    add("--seed", type=int, default=0, metavar="N", help="fixes the rotation and where k-means begins")
    add("--output", required=True, metavar="DIR", help="folder to write")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Quantizes.

    Returns:
        Sizes of the lexicon, its bytes with int8 books, and the error of its rows, as a share of them.

    Raises:
        InputError: bad input, or an impossible output.
    """
    info = read_stored_info(args.model)
    try:
        config = quantized_config(info.config, args.codes)
    except ValueError as error:
        raise InputError(f"--model {args.model}, --codes {args.codes}: {error}") from None
    check_directory(args.output, MODEL_FOLDER)
    counts = None
    if args.corpus is not None:
        from eelbert_tf.training.corpus.reader import Corpus
        from eelbert_tf.training.tokens.tables import lexicon_counts

        counts = lexicon_counts(Corpus(args.corpus), config)
    stored, lost = quantize_stored(read_stored(args.model), args.codes, counts, args.seed)
    write_model(args.output, stored.info, stored.arrays, stored.vocabulary)
    return {
        "output": args.output,
        "lexicon_size": config.lexicon_size,
        "lexicon_width": config.lexicon_width,
        "lexicon_codes": config.lexicon_codes,
        "lexicon_bytes": config.lexicon_size * config.lexicon_codes + BOOK_ENTRIES * config.lexicon_width,
        "error": round(lost, 4),
    }
