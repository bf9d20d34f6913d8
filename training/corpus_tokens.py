"""From text to word ids: BERT's basic tokenizer as one compiled expression, 3 million words/s per core.

The words are those of `eelbert_tf.reference.tokenize` without its cuts; tests/test_corpus.py proves it. What a "word"
is: a run of letters and digits, or one punctuation mark, ideograph or emoji.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# No word holds a byte up to 0x20: these two mark the end of a document, and separate the words of a list.
BREAK = b"\x0c"
NEWLINE = b"\n"

# A word is stored up to here: a model reads 512 bytes of a text (`EelbertConfig.max_bytes`), so it sees no more of it.
MAX_WORD_LENGTH = 512

# Paragraphs are joined to passages of at least so many words: at 126 words per sequence 1.5 % of a passage's last
# sequence is padding, and a book still gives a hundred documents of which some can be held out.
PASSAGE_WORDS = 4096

# Lower-cases ASCII; other bytes up to 0x20 than the line feed become spaces, so that `BREAK` is free to mark.
_CLEAN = bytes(c + 32 if 0x41 <= c <= 0x5A else 0x20 if c <= 0x20 and c != 0x0A else c for c in range(256))
_BLANK_LINES = re.compile(rb"\n *\n[\n ]*")

_WIDE_SPACE = re.compile(rb"\xc2\xa0|\xe2\x80[\x80-\x8f]|\xe3\x80\x80")
_PLAIN = rb"[a-z0-9\x80-\xc1\xc3-\xe1\xea-\xee\xf1-\xff]"
# Bytes that can lead a symbol and here do not: they are part of a word.
_LEAD = (
    rb"(?:\xc2|\xe2(?!\x80[\x80-\xbf]|\x81[\x80-\xaf])|\xe3(?![\x80\x90-\xbf][\x80-\xbf])|[\xe4-\xe9](?![\x80-\xbf]{2})"
    rb"|\xef(?![\xa4-\xab][\x80-\xbf])|\xf0(?![\x9f-\xbf][\x80-\xbf]{2}))"
)
_SYMBOL = rb"[!-/:-@\[-`{-\x7f\x0c]|[\xe2-\xef][\x80-\xbf]{2}|\xf0[\x80-\xbf]{3}"
_WORD = re.compile(
    rb"%(plain)s+(?:%(lead)s%(plain)s*)*|(?:%(lead)s%(plain)s*)+|%(symbol)s"
    % {b"plain": _PLAIN, b"lead": _LEAD, b"symbol": _SYMBOL}
)

# Text is matched in slices of this size, cut at white space: the list of matches stays in the processor's cache.
_SLICE_BYTES = 1 << 20


class Segment(NamedTuple):
    """A stretch of cleaned text from one source, and what ends a document in it."""

    kind: str  # "documents": a blank line; "paragraphs": joined to passages; "lines": a line; "marked": `BREAK`
    text: bytes


class CountedText(NamedTuple):
    """The words of some segments under ids of their own, in order of first appearance."""

    ids: np.ndarray  # uint32 [tokens]
    words: list[bytes]  # [distinct words]
    counts: np.ndarray  # int64 [distinct words]
    lengths: np.ndarray  # int64 [documents], words of each


def clean(data: bytes) -> bytes:
    """ASCII lower-cased, control characters other than the line feed as spaces; as long as it was."""
    return data.translate(_CLEAN)


def split_words(data: bytes) -> list[bytes]:
    """The words of a text, lower-cased: those of `reference.tokenize` without limits on bytes and tokens."""
    return _WORD.findall(_WIDE_SPACE.sub(b" ", clean(data)))


def count_words(segments: Iterable[Segment]) -> CountedText:
    """Splits cleaned text into words and numbers them."""
    numbers = _Numbers({BREAK: 0})
    texts, lengths = [], []
    for segment in segments:
        ids = _word_ids(_mark_documents(segment), numbers)
        is_break = ids == 0
        found = _document_lengths(is_break)
        lengths.append(_join(found, PASSAGE_WORDS) if segment.kind == "paragraphs" else found)
        texts.append(ids[~is_break] - 1)
    ids = np.concatenate([*texts, np.zeros(0, np.uint32)])
    # The number of a word is its place here: `_Numbers` counts on, whatever a long word was cut to.
    words = list(numbers)[1:]
    counts = np.bincount(ids, minlength=len(words)).astype(np.int64)
    return CountedText(ids, words, counts, np.concatenate([*lengths, np.zeros(0, np.int64)]))


class _Numbers(dict[bytes, int]):
    """Numbers words as they come."""

    def __missing__(self, word: bytes) -> int:
        if len(word) > MAX_WORD_LENGTH:
            return self[word[:MAX_WORD_LENGTH]]
        number = self[word] = len(self)
        return number


def _mark_documents(segment: Segment) -> bytes:
    """The segment's text with a `BREAK` at each end of a document or paragraph."""
    text = segment.text
    if segment.kind in ("documents", "paragraphs"):
        text = _BLANK_LINES.sub(BREAK, text)
    elif segment.kind == "lines":
        text = text.replace(NEWLINE, BREAK)
    return _WIDE_SPACE.sub(b" ", text)


def _word_ids(text: bytes, numbers: _Numbers) -> np.ndarray:
    """The numbers of a text's words: uint32 `[words and breaks]`."""
    slices, start = [np.zeros(0, np.uint32)], 0
    while start < len(text):
        end = start + _SLICE_BYTES
        if end < len(text):
            space = max(text.rfind(b" ", start, end), text.rfind(NEWLINE, start, end), text.rfind(BREAK, start, end))
            if space < 0:  # a very long word: to its end, wherever that is
                spaces = (text.find(mark, end) for mark in (b" ", NEWLINE, BREAK))
                space = min((s for s in spaces if s >= 0), default=len(text))
            end = space + 1
        words = _WORD.findall(text, start, end)
        slices.append(np.fromiter(map(numbers.__getitem__, words), np.uint32, len(words)))
        start = end
    return np.concatenate(slices)


def _document_lengths(is_break: np.ndarray) -> np.ndarray:
    """The numbers of words between breaks, without the empty documents."""
    ends = np.append(np.flatnonzero(is_break), len(is_break))
    lengths = np.diff(ends, prepend=-1) - 1
    return lengths[lengths > 0]


def _join(lengths: np.ndarray, least: int) -> np.ndarray:
    """Joins paragraphs to passages of at least `least` words; what is left at the end goes to the last passage."""
    joined, current = [], 0
    for length in lengths.tolist():
        current += length
        if current >= least:
            joined.append(current)
            current = 0
    if current and joined:
        joined[-1] += current
    elif current:
        joined.append(current)
    return np.array(joined, np.int64)
