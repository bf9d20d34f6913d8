"""The specification of docs/hash.md in plain Python and NumPy: slow, obvious, what all else is tested against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.config import (
    FIRST_BYTE_FLAG,
    FNV_OFFSET,
    FNV_PRIME,
    LAST_BYTE_FLAG,
    MAX_WORD_BYTES,
    SEPARATOR_BYTE,
    HashConfig,
)

from .folding import FIRST, SPACE, SYMBOL, WORD, read_character

_MASK32 = 0xFFFFFFFF
CLS, SEP, MASK = b"[CLS]", b"[SEP]", b"[MASK]"


_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64 adds it to its state at every step


def splitmix64(states: np.ndarray) -> np.ndarray:
    """The next output of SplitMix64 (Steele et al. 2014) for each state: uint64 to uint64, modulo 2 ** 64."""
    z = states + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def multipliers(seed: int, count: int) -> np.ndarray:
    """`count` odd multipliers as int32 `[count]`: the high halves of SplitMix64's outputs."""
    states = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + _GAMMA * np.arange(count, dtype=np.uint64)
    return (splitmix64(states) >> np.uint64(32) | np.uint64(1)).astype(np.uint32).view(np.int32)


def signature(units: list[int]) -> int:
    """The polynomial rolling hash of some units, modulo 2 ** 32."""
    s = FNV_OFFSET
    for unit in units:
        s = (s * FNV_PRIME + unit) & _MASK32
    return s


def token_units(token: bytes, boundaries: bool) -> list[int]:
    """The bytes of a token as numbers, with the flags of its first and last byte where `boundaries` is on."""
    units = list(token)
    if boundaries and units:
        units[0] += FIRST_BYTE_FLAG
        units[-1] += LAST_BYTE_FLAG
    return units


def word_signature(token: bytes, boundaries: bool) -> int:
    """The signature of a whole token; of a token longer than 64 bytes, the bare polynomial of its last 64."""
    units = token_units(token, boundaries)
    if len(units) <= MAX_WORD_BYTES:
        return signature(units)
    s = 0
    for unit in units[-MAX_WORD_BYTES:]:
        s = (s * FNV_PRIME + unit) & _MASK32
    return s


def _pool(signatures: list[int], h: np.ndarray, pooling: str) -> np.ndarray:
    """One block of an embedding, float32 `[len(h)]`: two roundings, to float32 and in the division."""
    if not signatures:
        return np.zeros(len(h), np.float32)
    rows = np.array(signatures, np.uint32)[:, None] * h.view(np.uint32)[None, :]  # [k, width], wraps
    total = rows.view(np.int32).astype(np.int64).sum(axis=0)
    count = np.float32(len(signatures))
    divisor = np.sqrt(count) if pooling == "sqrtn" else count
    return (total.astype(np.float32) / divisor * np.float32(2**-31)).astype(np.float32)


def embed_token(token: bytes, config: HashConfig) -> np.ndarray:
    """The hash embedding of one token.

    Args:
        token: its bytes, as they are: nothing is lower-cased here.
        config: the hash.

    Returns:
        float32 `[config.size]`.
    """
    units = token_units(token, config.boundaries)
    h = multipliers(config.seed, config.size)
    blocks, start = [], 0
    for order, width in enumerate(config.widths, 1):
        grams = [signature(units[p : p + order]) for p in range(len(units) - order + 1)]
        blocks.append(_pool(grams, h[start : start + width], config.pooling))
        start += width
    if config.word_width:
        whole = [word_signature(token, config.boundaries)] if token else []
        blocks.append(_pool(whole, h[start:], "mean"))
    return np.concatenate(blocks)


def lexicon_index(token: bytes, config: HashConfig, lexicon_size: int) -> int:
    """The row of a token in the lexicon: the top bits of its signature times one more multiplier."""
    h = int(multipliers(config.seed, config.size + 1).view(np.uint32)[-1])
    product = word_signature(token, config.boundaries) * h & _MASK32
    return product >> 32 - (lexicon_size.bit_length() - 1)


def quantized_rows(codes: np.ndarray, books: np.ndarray) -> np.ndarray:
    """Rows of a lexicon that is stored in codes and books: the entries that codes name, one behind the other.

    Args:
        codes: uint8 `[n, m]`.
        books: `[m, 256, width / m]`.

    Returns:
        `[n, width]`.
    """
    return np.concatenate([book[codes[:, i]] for i, book in enumerate(books)], axis=1)


def word_code(token: bytes, config: HashConfig) -> int:
    """The signature of a token times one more multiplier: its top bits are its row in a lexicon."""
    return word_signature(token, config.boundaries) * int(multipliers(config.seed, config.size + 1)[-1]) & _MASK32


def lexical_multipliers(config: HashConfig) -> np.ndarray:
    """What n-grams are hashed by: of the word before, of the kind, of the two rows, of the tag. int32 `[5]`."""
    return multipliers(config.seed, config.size + 6)[-5:]


def ngram_keys(tokens: Tokens, config: HashConfig) -> list[int]:
    """The keys of the n-grams of a text, or of a pair of texts (docs/hash.md, "Lexical head")."""
    neighbour, kind = (int(h) for h in lexical_multipliers(config)[:2])
    sides = [[word_code(word, config) for word in side] for side in (tokens.first, tokens.second) if side is not None]
    keys = []
    for number, codes in enumerate(sides):
        keys += [code + 2 * number * kind for code in codes]
        edged = [0, *codes, 0]
        keys += [a * neighbour + b + (2 * number + 1) * kind for a, b in itertools.pairwise(edged)]
    if len(sides) == 2:
        keys += [code + 4 * kind for code in sides[0] if code in sides[1]]
    return [key & _MASK32 for key in keys]


def candidate_rows(key: Any, rows: int, config: HashConfig) -> tuple[Any, Any, Any]:
    """The two rows in which an n-gram may lie, and its tag.

    Args:
        key: of one n-gram, or int64 of many.
        rows: of the table, a power of two.
        config: the hash.
    """
    first, second, tag = (key * int(h) & _MASK32 for h in lexical_multipliers(config)[2:])
    shift = 32 - (rows.bit_length() - 1)
    return first >> shift, second >> shift, tag >> 16


@dataclass(frozen=True)
class Tokens:
    """The tokens of one input after all cuts, without [CLS] and the [SEP]s."""

    first: list[bytes]
    second: list[bytes] | None  # None where the input is no pair

    def with_specials(self) -> tuple[list[bytes], list[int]]:
        """The tokens and segment numbers of the encoder's input, [CLS] and [SEP] included."""
        tokens = [CLS, *self.first, SEP]
        segments = [0] * len(tokens)
        if self.second is not None:
            tokens += [*self.second, SEP]
            segments += [1] * (len(self.second) + 1)
        return tokens, segments


def _is_tail(data: bytes, start: int, count: int) -> bool:
    """Whether the `count` bytes from `start` are all there and all UTF-8 continuation bytes."""
    tail = data[start : start + count]
    return len(tail) == count and all(0x80 <= c < 0xC0 for c in tail)


def _space_length(data: bytes, p: int) -> int:
    """Bytes of the white space at `p`; 0 where there is none."""
    c = data[p]
    if c <= 0x20:
        return 1
    if data[p : p + 2] == b"\xc2\xa0":  # U+00A0
        return 2
    if data[p : p + 3] == b"\xe3\x80\x80":  # U+3000
        return 3
    if data[p : p + 2] == b"\xe2\x80" and data[p + 2 : p + 3] and 0x80 <= data[p + 2] < 0x90:  # U+2000 to U+200F
        return 3
    return 0


def _symbol_length(data: bytes, p: int) -> int:
    """Bytes of the character at `p` where it is a token by itself; 0 where it is part of a word."""
    c = data[p]
    n = data[p + 1] if p + 1 < len(data) else 0
    if c in b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f":
        return 1
    if _is_tail(data, p + 1, 2):
        general_punctuation = c == 0xE2 and (n == 0x80 or (n == 0x81 and data[p + 2] < 0xB0))
        cjk = (c == 0xE3 and (n == 0x80 or n >= 0x90)) or 0xE4 <= c <= 0xE9 or (c == 0xEF and 0xA4 <= n <= 0xAB)
        if general_punctuation or cjk:
            return 3
    if c == 0xF0 and n >= 0x9F and _is_tail(data, p + 1, 3):  # emoji and rare ideographs
        return 4
    return 0


def _characters(data: bytes, normalization: int) -> Iterator[tuple[int, int, bytes]]:
    """The characters of a text from left to right: kind, number of bytes, and what they become.

    Kinds are those of `folding`. A byte that begins no character of the table is one, of a word.
    """
    p = 0
    while p < len(data):
        if normalization:
            (kind, new), length = read_character(data, p)
        elif length := _space_length(data, p):
            kind, new = SPACE, data[p : p + length]
        elif length := _symbol_length(data, p):
            kind, new = SYMBOL, data[p : p + length]
        else:
            kind, length, c = WORD, 1, data[p]
            new = bytes([c + 32]) if 0x41 <= c <= 0x5A else bytes([c])
        yield kind, length, new
        p += length


def window_places(
    data: bytes, max_tokens: int, max_bytes: int, overlap: int = 0, normalization: int = 0
) -> list[tuple[int, int, int]]:
    """The windows of a text: first byte, byte behind the last, and tokens of each (docs/hash.md, "Windows").

    Args:
        data: the text's bytes.
        max_tokens: token slots of a window, [CLS] and [SEP] included.
        max_bytes: bytes of a window.
        overlap: tokens that a window has in common with the one before, where they fit.
        normalization: as in `HashConfig`.
    """
    places: list[list[int]] = []
    p, inside = 0, False  # a word that may go on
    for kind, length, new in _characters(data.replace(bytes([SEPARATOR_BYTE]), b" "), normalization):
        if kind != SPACE and new:
            if kind == WORD and inside:
                places[-1][1] = p + length
            else:
                places.append([p, p + length])
        inside = kind in (WORD, FIRST) and (inside or bool(new))
        p += length
    windows, begin = [], 0
    while begin < len(places):
        end = begin + 1
        while end < len(places) and end - begin < max_tokens - 2 and places[end][1] - places[begin][0] <= max_bytes - 1:
            end += 1
        windows.append((places[begin][0], places[end - 1][1], end - begin))
        if end == len(places):
            break
        begin = max(begin + 1, end - overlap)
        while begin < end and places[end][1] - places[begin][0] > max_bytes - 1:
            begin += 1
    return windows


def tokenize(data: bytes, max_tokens: int, max_bytes: int, pair: bool = False, normalization: int = 0) -> Tokens:
    """The tokens of one input (docs/hash.md, "Text to tokens").

    Args:
        data: the text's bytes; a pair has a separator byte between its texts.
        max_tokens: token slots, [CLS] and [SEP]s included.
        max_bytes: bytes read.
        pair: whether the first separator byte divides two texts; otherwise it is white space.
        normalization: as in `HashConfig`.
    """
    data = data[:max_bytes]
    tokens: list[bytes] = []
    separator = None  # number of tokens before the separator byte
    word = bytearray()
    touching = False  # whether the last token ends where the bytes that were read end, but for dropped ones
    for kind, _, new in _characters(data, normalization):
        if kind == WORD:
            touching = touching or bool(new)
            word += new
            continue
        if word:
            tokens.append(bytes(word))
            word.clear()
        touching = kind != SPACE
        if kind == FIRST:
            word += new
        elif kind == SYMBOL:
            tokens.append(new)
        elif pair and new == bytes([SEPARATOR_BYTE]) and separator is None:
            separator = len(tokens)
    if word:
        tokens.append(bytes(word))
    # A token that touches the last byte read may be cut: it is dropped, unless nothing else would be left.
    if len(tokens) > 1 and touching and len(data) == max_bytes:
        tokens.pop()
    if separator is None:
        return Tokens(tokens[: max_tokens - 2], None)
    room = max_tokens - 3
    first, second = tokens[:separator], tokens[separator:]
    first = first[: max(room - len(second), room - room // 2)]
    return Tokens(first, second[: room - len(first)])
