"""From the tags of tokens to spans of a text, and back, in NumPy: the same in Java, JavaScript and C.

Tags are BIO (Ramshaw and Marcus 1995): "B-name" on the first token of a span, "I-name" on its others, "O" elsewhere.
With n names the tags are O, then B of each name, then I of each, so that a tag's number says all: tag k > 0 is of the
name (k - 1) % n. tests/golden/spans.json holds vectors that every language is tested with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eelbert_tf.scores import rank, softmax

OUTSIDE = "O"


class Span(NamedTuple):
    """A part of a text that has a name."""

    label: str
    start: int  # the first byte, or character
    end: int  # the one behind the last
    score: float = 1.0


def tag_names(names: Sequence[str]) -> list[str]:
    """The tags of names of spans, in the order of the model's output."""
    return [OUTSIDE, *(f"B-{name}" for name in names), *(f"I-{name}" for name in names)]


def best_tags(logits: np.ndarray) -> list[int]:
    """The tags with the greatest sum of logits of which none is I without a B or an I of its name before (Viterbi).

    Of equal ones the first is taken. Steps are linear in the number of tags: O and B may follow anything, and I-name
    only two tags.

    Args:
        logits: float `[T, 2 n + 1]`.

    Returns:
        T numbers of tags.
    """
    if not len(logits):
        return []
    count = logits.shape[1] // 2
    scores = logits[0].astype(np.float64)
    scores[1 + count :] = -np.inf  # no text begins within a span
    steps = []
    for row in logits[1:].astype(np.float64):
        best = int(scores.argmax())
        begun, inside = scores[1 : 1 + count], scores[1 + count :]
        continues = inside > begun  # the span was begun before the token before
        steps.append((best, continues))
        scores = np.concatenate([scores[best] + row[: 1 + count], np.maximum(begun, inside) + row[1 + count :]])
    tags = [int(scores.argmax())]
    for best, continues in reversed(steps):
        tag = tags[-1]
        if tag <= count:
            tags.append(best)
        else:
            tags.append(tag if continues[tag - 1 - count] else tag - count)
    return tags[::-1]


def decode(logits: np.ndarray, positions: np.ndarray, names: Sequence[str], data: bytes) -> list[Span]:
    """The spans of a text by what a model gives for its tokens.

    Args:
        logits: float `[T, 2 n + 1]`.
        positions: int `[T, 2]`, first byte and byte behind the last of each token; equal where there is no token.
        names: n names of spans.
        data: the bytes of the text: spans end where characters do.

    Returns:
        Spans by bytes. A span's score is the least probability among its tokens' tags.
    """
    tokens = np.flatnonzero(positions[:, 1] > positions[:, 0])
    tags = best_tags(logits[tokens])
    probabilities = softmax(logits[tokens])
    spans: list[Span] = []
    before = 0
    for row, tag, (start, end) in zip(probabilities, tags, positions[tokens].tolist(), strict=True):
        start, before = max(_to_left(data, start), before), _to_right(data, end)
        score = float(row[tag])
        if tag > len(names):  # it goes on
            last = spans.pop()
            spans.append(last._replace(end=before, score=min(last.score, score)))
        elif tag:
            spans.append(Span(names[tag - 1], start, before, score))
    return spans


def _is_tail(data: bytes, position: int) -> bool:
    return position < len(data) and data[position] & 0xC0 == 0x80


def _to_left(data: bytes, position: int) -> int:
    """The beginning of the character that a byte is in."""
    while position > 0 and _is_tail(data, position):
        position -= 1
    return position


def _to_right(data: bytes, position: int) -> int:
    """The end of the character of the byte before."""
    while _is_tail(data, position):
        position += 1
    return position


def character_offset(data: bytes, position: int) -> int:
    """Characters before a byte of a text in UTF-8; a byte that continues a character counts for none."""
    return int(np.count_nonzero(np.frombuffer(data[:position], np.uint8) & 0xC0 != 0x80))


def describe(spans: Iterable[Span], data: bytes) -> list[dict[str, Any]]:
    """Spans by bytes, as answers show them: with the offsets of characters, those of bytes, and the words themselves.

    Args:
        spans: what `decode` gives.
        data: the bytes of the text.
    """
    return [
        {
            "label": span.label,
            "text": data[span.start : span.end].decode("utf-8", "replace"),
            "start": character_offset(data, span.start),
            "end": character_offset(data, span.end),
            "start_byte": span.start,
            "end_byte": span.end,
            "score": span.score,
        }
        for span in spans
    ]


def tags_of_tokens(spans: Iterable[Span], positions: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The inverse of `decode`: numbers of the tags of tokens, from spans by bytes.

    Args:
        spans: parts of the text that do not overlap; a token that lies in one by a part belongs to it.
        positions: int `[T, 2]`, as `decode` takes them.
        names: names of spans.

    Returns:
        int32 `[T]`, -1 in slots without a token.
    """
    starts, ends = positions[:, 0], positions[:, 1]
    tags = np.where(ends > starts, 0, -1).astype(np.int32)
    for span in spans:
        number = names.index(span.label) + 1
        inside = np.flatnonzero((starts < span.end) & (ends > span.start) & (ends > starts))
        tags[inside] = number + len(names)
        tags[inside[:1]] = number
    return tags


def tags_of_words(text: str, words: Sequence[str], spans: Iterable[Any]) -> list[str]:
    """BIO tags of words, from spans by characters; a word that lies in a span by a part belongs to it.

    Args:
        text: the text.
        words: its words, in their order.
        spans: with `label`, `start` and `end`, in their order.
    """
    tags = [OUTSIDE] * len(words)
    places, place = [], 0
    for word in words:
        place = text.index(word, place)
        places.append((place, place + len(word)))
        place += len(word)
    first = 0
    for span in spans:
        kind = "B"
        while first < len(words) and places[first][1] <= span.start:
            first += 1
        while first < len(words) and places[first][0] < span.end:
            tags[first] = f"{kind}-{span.label}"
            kind, first = "I", first + 1
    return tags


def by_characters(spans: Iterable[Span], data: bytes) -> list[Span]:
    """Spans by bytes as spans by characters."""
    return [
        span._replace(start=character_offset(data, span.start), end=character_offset(data, span.end)) for span in spans
    ]


def answer(
    outputs: Mapping[str, np.ndarray], names: Sequence[str], labels: Sequence[str | None] | None, data: bytes
) -> Any:
    """What a tagger says of a text, ready to be shown.

    Args:
        outputs: of the model, for one text: `tags` float `[T, 2 n + 1]`, `positions` int `[T, 2]`, and where texts as
            wholes have classes, `label` float `[C]`.
        names: names of spans.
        labels: names of the classes.
        data: the bytes of the text.

    Returns:
        A dictionary: `spans` as `describe` gives them, and before them where there are classes, `label`, `score` and
        `scores`.
    """
    found: dict[str, Any] = {}
    if labels:
        ranked = rank(outputs["label"], labels)
        found = {"label": ranked[0][0], "score": ranked[0][1], "scores": dict(ranked)}
    return {**found, "spans": describe(decode(outputs["tags"], outputs["positions"], names, data), data)}
