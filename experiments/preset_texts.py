r"""Collects the texts that `uno_en` learned from, one per line; see docs/pretraining.md.

    python experiments/preset_texts.py --corpus DIR --sentences 131072 --tables GLUE/*/train.tsv \
        --except GLUE/*/dev.tsv others.csv --output texts.txt

They are sentences of the corpus and the texts of tables, without labels. If a table's folder is named like a GLUE task
(or like a task with "_part" behind it, for a part of the set), its columns are those of the task; else its column is
`text`. Texts that are in a table of --except are left out.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.tables import Text, iter_rows
from eelbert_tf.text.words import split_words
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.corpus.sentences import sample
from eelbert_tf.training.glue.tasks import TASKS

LONGEST, SHORTEST = 30, 3  # words


def texts_of(path: Path) -> Iterator[bytes]:
    """The words of each text of a table, joined by spaces; a pair gives two texts."""
    task = TASKS.get(path.parent.name.removesuffix("_part"))
    for row in iter_rows(path, task and task.texts, None, task and task.header):
        yield from sides(row.text)


def sides(text: Text) -> list[bytes]:
    """The words of a text, or of each of a pair, joined by spaces."""
    return [b" ".join(split_words(side.encode())) for side in ([text] if isinstance(text, str) else text)]


def main() -> None:
    """Writes the texts in random order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--sentences", type=int, default=131_072, help="sentences of the corpus")
    parser.add_argument("--tables", nargs="+", required=True, type=Path)
    parser.add_argument("--except", nargs="+", default=[], type=Path, dest="others")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()

    held_out = {text for path in args.others for text in texts_of(path)}
    collected = {text for path in args.tables for text in texts_of(path)}
    tables = len(collected)
    corpus = Corpus(args.corpus)
    sentences = sample(corpus, args.sentences, LONGEST, SHORTEST)
    rows = sentences.rows(np.arange(len(sentences)))
    collected.update(b" ".join(corpus.words[i] for i in row if i >= 0) for row in rows)
    kept = sorted(collected - held_out)
    random.Random(0).shuffle(kept)
    with replace_file(args.output) as temporary:
        temporary.write_bytes(b"\n".join(kept) + b"\n")
    dropped = len(collected & held_out)
    print(f"{len(kept):,} texts, {tables:,} of tables; {dropped:,} are in held-out sets and were dropped")


if __name__ == "__main__":
    main()
