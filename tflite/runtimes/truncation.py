"""Whether a model reads a text as a whole."""

from __future__ import annotations

from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import TextOrPair, as_data, join_pair, to_bytes

# How much of a long text is tokenized at first to see that it does not fit.
_LOOK_AHEAD = 1024


def is_truncated(text: TextOrPair, max_tokens: int, max_bytes: int, pair: bool) -> bool:
    """Whether tokens of a text, or of a pair, do not fit the model, by the reference tokenizer."""
    if isinstance(text, tuple | list):
        whole = join_pair(*text, sum(map(len, map(to_bytes, text))) * 2 + 4)
    else:
        whole = to_bytes(text)
    kept = tokenize(as_data(text, max_bytes), max_tokens, max_bytes, pair)
    for end in (max_bytes + _LOOK_AHEAD, len(whole)):
        while end < len(whole) and 0x80 <= whole[end] < 0xC0:  # not within a character
            end += 1
        part = whole[:end]
        if tokenize(part, len(part) + 4, len(part) + 1, pair) != kept:
            return True
    return False
