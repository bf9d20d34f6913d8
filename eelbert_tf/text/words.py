"""From text to words by one compiled expression: BERT's basic tokenizer, 3 million words/s per core.

The words are those of `reference.tokenize` without its cuts; tests/test_corpus_words.py proves it. What a "word" is: a
run of letters and digits, or one punctuation mark, ideograph or emoji. Models read bytes by `splitting`; this is for
corpora, and for the models that have a vocabulary.
"""

from __future__ import annotations

import re

from .folding import FIRST, SPACE, SYMBOL, read_character

# Lower-cases ASCII; other bytes up to 0x20 than the line feed become spaces, so that a form feed is free to mark.
_CLEAN = bytes(c + 32 if 0x41 <= c <= 0x5A else 0x20 if c <= 0x20 and c != 0x0A else c for c in range(256))
WIDE_SPACE = re.compile(rb"\xc2\xa0|\xe2\x80[\x80-\x8f]|\xe3\x80\x80")
_PLAIN = rb"[a-z0-9\x80-\xc1\xc3-\xe1\xea-\xee\xf1-\xff]"
# Bytes that can lead a symbol and here do not: they are part of a word.
_LEAD = (
    rb"(?:\xc2|\xe2(?!\x80[\x80-\xbf]|\x81[\x80-\xaf])|\xe3(?![\x80\x90-\xbf][\x80-\xbf])|[\xe4-\xe9](?![\x80-\xbf]{2})"
    rb"|\xef(?![\xa4-\xab][\x80-\xbf])|\xf0(?![\x9f-\xbf][\x80-\xbf]{2}))"
)
_SYMBOL = rb"[!-/:-@\[-`{-\x7f\x0c]|[\xe2-\xef][\x80-\xbf]{2}|\xf0[\x80-\xbf]{3}"
WORD = re.compile(
    rb"%(plain)s+(?:%(lead)s%(plain)s*)*|(?:%(lead)s%(plain)s*)+|%(symbol)s"
    % {b"plain": _PLAIN, b"lead": _LEAD, b"symbol": _SYMBOL}
)


def clean(data: bytes) -> bytes:
    """ASCII lower-cased, control characters other than the line feed as spaces; as long as it was."""
    return data.translate(_CLEAN)


class _Characters(dict[bytes, bytes]):
    """What `normalization=1` makes of a character: a token by itself, or what begins one, stands behind a space."""

    def __missing__(self, character: bytes) -> bytes:
        (kind, data), length = read_character(character, 0)
        if length < len(character):  # no character of the table
            found = character
        elif kind == SPACE:
            found = b" "
        elif kind == SYMBOL:
            found = b" " + data + b" "
        else:
            found = b" " + data if kind == FIRST else data
        self[character] = found
        return found


CHANGED = _Characters()
LONG = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# Behind `prepare` with `normalization=1` words lie between spaces and ASCII punctuation.
_PREPARED_WORD = re.compile(rb"[a-z0-9\x80-\xff]+|[!-/:-@\[-`{-\x7f\x0c]")
WORDS = (WORD, _PREPARED_WORD)  # by normalization: what is a word in prepared text


def prepare(data: bytes, normalization: int) -> bytes:
    """Cleaned text, whole characters of it, as `WORDS[normalization]` reads it."""
    if normalization:
        return data if data.isascii() else LONG.sub(lambda match: CHANGED[match[0]], data)
    return WIDE_SPACE.sub(b" ", data)


def split_words(data: bytes, normalization: int = 0) -> list[bytes]:
    """The words of a text: those of `reference.tokenize` without limits on bytes and tokens."""
    return WORDS[normalization].findall(prepare(clean(data), normalization))
