"""`eelbert corpus`: turns text into shards of word ids and the list of distinct words."""

from __future__ import annotations

import argparse
import time
from typing import Any

from eelbert_tf.config import NORMALIZATIONS
from eelbert_tf.disk.progress import Progress
from eelbert_tf.training.corpus.parts import PartDone
from eelbert_tf.training.corpus.sources import find_sources
from eelbert_tf.training.corpus.writer import MAX_WORDS, PART_BYTES, build_corpus, usable_cores

DESCRIPTION = """\
Turns text into a corpus for `eelbert pretrain`: memory-mapped shards of word ids, the list of distinct words by
frequency, and where documents end. Reads .txt, .gz, .xz, folders of these, and tfds:NAME[/CONFIG][:SPLIT].
After an interrupt run it again: finished parts are kept.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--input", nargs="+", default=[], metavar="F", help="text with a blank line between documents, or tfds:NAME"
    )
    parser.add_argument(
        "--paragraphs",
        nargs="+",
        default=[],
        metavar="F",
        help="books: a blank line ends a paragraph, and paragraphs are joined to documents of about 4,100 words",
    )
    parser.add_argument("--lines", nargs="+", default=[], metavar="F", help="text with one document per line")
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder to write")
    parser.add_argument(
        "--workers", type=int, metavar="N", help=f"processes (default: all cores, here {usable_cores()})"
    )
    parser.add_argument(
        "--max-words",
        type=int,
        default=MAX_WORDS,
        metavar="N",
        help="distinct words kept; rarer ones become [UNK] "
        f"(default {MAX_WORDS:,}; needs about 300 bytes of memory for each)",
    )
    parser.add_argument(
        "--shard-bytes", type=int, default=PART_BYTES, metavar="N", help=f"text per shard (default {PART_BYTES:,})"
    )
    parser.add_argument(
        "--normalization",
        type=int,
        choices=NORMALIZATIONS,
        default=0,
        help="that of the hash to be trained on it: 0, lower-case ASCII (default); 1, fold letters of many scripts",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a corpus of other inputs in DIR")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Builds the corpus.

    Returns:
        The figures of `build_corpus`.

    Raises:
        InputError: bad input, or an impossible output.
    """
    sources = find_sources({"documents": args.input, "paragraphs": args.paragraphs, "lines": args.lines})
    sizes = [source.size for source in sources]
    with Progress("reading", sum(sizes) if all(sizes) else None, "byte", scale=True) as progress:
        listener = _Listener(progress)
        return build_corpus(
            sources,
            args.output,
            args.workers,
            args.max_words,
            args.shard_bytes,
            args.overwrite,
            listener,
            args.normalization,
        )


class _Listener:
    """Shows progress in bytes of the files, which may be compressed, and in words per second."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._words = 0
        self._start = time.perf_counter()

    def add(self, part: PartDone) -> None:
        self._words += part.words
        rate = self._words / (time.perf_counter() - self._start)
        self._progress.show(f"{self._words / 1e6:,.1f} M words, {rate / 1e6:.2f} M words/s")
        self._progress.update(part.read)

    def note(self, message: str) -> None:
        self._progress.write(message)
