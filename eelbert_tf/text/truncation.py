"""Whether a model reads a text as a whole."""

from __future__ import annotations

from .reference import tokenize
from .strings import TextOrPair, as_data, to_bytes
from .words import WIDE_SPACE, clean, split_words


def is_truncated(text: TextOrPair, max_tokens: int, max_bytes: int, pair: bool, normalization: int = 0) -> bool:
    """Whether tokens of a text, or of a pair, do not fit the model, by the reference tokenizer.

    Args:
        text: a string or bytes, or a tuple of two.
        max_tokens: the model's limit.
        max_bytes: likewise.
        pair: whether the model takes pairs.
        normalization: as in `HashConfig`.
    """
    kept = tokenize(as_data(text, max_bytes), max_tokens, max_bytes, pair, normalization)
    words = [*kept.first, *(kept.second or [])]
    parts = [to_bytes(part) for part in (text if isinstance(text, tuple | list) else [text])]
    if not normalization:  # no character is dropped: a long text that has more to read than was kept need not be split
        spaced = [WIDE_SPACE.sub(b" ", clean(part)) for part in parts]
        if sum(len(part.translate(None, b" \n")) for part in spaced) != sum(map(len, words)):
            return True
        parts = [b" ".join(part.split()) for part in spaced]
    whole = [split_words(part, normalization) for part in parts]
    if kept.second is None:
        return words != [word for part in whole for word in part]
    return [kept.first, kept.second] != whole
