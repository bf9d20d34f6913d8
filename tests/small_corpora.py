"""Corpora of generated text; the larger ones are built once for all tests of a run."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.corpus.sources import Source
from eelbert_tf.training.corpus.writer import build_corpus
from tests.shared import once

TOPICS = 8
PART_BYTES = 20_000


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


def numbered_text(documents: int, seed: int = 0) -> bytes:
    """Documents of 1 to 300 words, each word with the number of its document."""
    rng = random.Random(seed)
    return b"\n\n".join(
        b" ".join(b"d%dw%d%s" % (d, w, rng.choice([b"", b".", b"\n"])) for w in range(rng.randint(1, 300))).strip()
        for d in range(documents)
    )


def build(folder: Path, text: bytes | dict[str, bytes], kind: str = "documents", **options: Any) -> Corpus:
    """A corpus of one text, or of those of several files, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = text if isinstance(text, dict) else {"text.txt": text}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    build_corpus([Source(str(folder / name), kind) for name in files], folder / "corpus", 1, **options)
    return Corpus(folder / "corpus")


def documents_of(corpus: Corpus) -> list[bytes]:
    """The documents' words, joined by spaces."""
    return [b" ".join(corpus.words[i] for i in corpus.document(n)) for n in range(corpus.num_documents)]


def shared(name: str, text: Callable[[], bytes], **options: Any) -> Corpus:
    """A corpus that is built once for all tests of a run."""
    return Corpus(once(name, lambda folder: build(folder, text(), **options)) / "corpus")


@functools.cache
def topical() -> Corpus:
    """The corpus of `topical_text`."""
    return shared("topical", topical_text)


@functools.cache
def numbered() -> Corpus:
    """300 documents of `numbered_text` in many shards."""
    return shared("numbered", lambda: numbered_text(300), part_bytes=PART_BYTES)
