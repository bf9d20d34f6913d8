"""A corpus with something to learn in it, built once for all test modules of a run."""

from __future__ import annotations

import functools
import random
from pathlib import Path

from eelbert_tf.training.corpus import Corpus
from eelbert_tf.training.corpus_sources import Source
from eelbert_tf.training.corpus_writer import build_corpus
from tests.small_models import FOLDER

TOPICS = 8


def topical_text(documents: int = 600, seed: int = 0) -> bytes:
    """Documents of 10 to 60 words: every third word is the same everywhere, the others are the document's topic's.

    A topic has three words, so that a masked word is one of three for who reads its neighbours, one of 24 for who does
    not.
    """
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(3 * TOPICS)]

    def document() -> str:
        topic = rng.choice([words[i : i + 3] for i in range(0, len(words), 3)])
        return " ".join("of" if i % 3 == 0 else rng.choice(topic) for i in range(rng.randint(10, 60)))

    return "\n\n".join(document() for _ in range(documents)).encode()


def build(folder: Path, text: bytes) -> Corpus:
    """A corpus of one text, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_bytes(text)
    build_corpus([Source(str(folder / "text.txt"), "documents")], folder / "corpus", 1)
    return Corpus(folder / "corpus")


@functools.cache
def topical() -> Corpus:
    """The corpus of `topical_text`."""
    return build(FOLDER / "topical", topical_text())
