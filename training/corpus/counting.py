"""Splits one part of a corpus into words (`eelbert_tf.text.words`) and numbers them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from eelbert_tf.text.words import WORDS, prepare

# No word contains a byte up to 0x20. So `BREAK` can mark the end of a document, and `NEWLINE` separate words.
BREAK = b"\x0c"
NEWLINE = b"\n"

# Longer words are cut here. A model reads 512 bytes of a text (`EelbertConfig.max_bytes`) and would see no more.
MAX_WORD_LENGTH = 512

# Paragraphs are joined to passages of at least this many words. With 126 words per sequence 1.5 % of the slots are then
# padding, and a book still gives about a hundred documents, so that some can be held out.
PASSAGE_WORDS = 4096

_BLANK_LINES = re.compile(rb"\n *\n[\n ]*")

# Text is split in slices of this size, cut at white space, so that the list of matches stays in the processor's cache.
_SLICE_BYTES = 1 << 20


class Segment(NamedTuple):
    """Consecutive cleaned text from one source, and what ends a document in it."""

    kind: str  # "documents": a blank line; "paragraphs": joined to passages; "lines": a line; "marked": `BREAK`
    text: bytes
    normalization: int = 0  # as in `HashConfig`


class CountedText(NamedTuple):
    """The words of some segments, numbered in the order in which they first appear."""

    ids: np.ndarray  # uint32 [tokens]
    words: list[bytes]  # [distinct words]
    counts: np.ndarray  # int64 [distinct words]
    lengths: np.ndarray  # int64 [documents], words of each


def count_words(segments: Iterable[Segment]) -> CountedText:
    """Splits cleaned text into words and numbers them."""
    numbers = _Numbers({BREAK: 0})
    texts, lengths = [], []
    for segment in segments:
        ids = _word_ids(_mark_documents(segment), numbers, segment.normalization)
        is_break = ids == 0
        document_lengths = _document_lengths(is_break)
        if segment.kind == "paragraphs":
            document_lengths = _join(document_lengths, PASSAGE_WORDS)
        lengths.append(document_lengths)
        texts.append(ids[~is_break] - 1)
    ids = np.concatenate([*texts, np.zeros(0, np.uint32)])
    # A word's number is its index in this list, also for words that were cut.
    words = list(numbers)[1:]
    counts = np.bincount(ids, minlength=len(words)).astype(np.int64)
    return CountedText(ids, words, counts, np.concatenate([*lengths, np.zeros(0, np.int64)]))


class _Numbers(dict[bytes, int]):
    """Gives each new word the next number."""

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
    return prepare(text, segment.normalization)


def _word_ids(text: bytes, numbers: _Numbers, normalization: int) -> np.ndarray:
    """The numbers of a text's words: uint32 `[words and breaks]`."""
    slices, start = [np.zeros(0, np.uint32)], 0
    while start < len(text):
        end = start + _SLICE_BYTES
        if end < len(text):
            space = max(text.rfind(b" ", start, end), text.rfind(NEWLINE, start, end), text.rfind(BREAK, start, end))
            if space < 0:  # no space in the slice: it ends with the word
                spaces = (text.find(mark, end) for mark in (b" ", NEWLINE, BREAK))
                space = min((s for s in spaces if s >= 0), default=len(text))
            end = space + 1
        words = WORDS[normalization].findall(text, start, end)
        slices.append(np.fromiter(map(numbers.__getitem__, words), np.uint32, len(words)))
        start = end
    return np.concatenate(slices)


def _document_lengths(is_break: np.ndarray) -> np.ndarray:
    """How many words stand between breaks; empty documents are left out."""
    ends = np.append(np.flatnonzero(is_break), len(is_break))
    lengths = np.diff(ends, prepend=-1) - 1
    return lengths[lengths > 0]


def _join(lengths: np.ndarray, least: int) -> np.ndarray:
    """Joins paragraphs to passages of at least `least` words; a shorter rest is added to the last passage."""
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
