"""From bytes to token slots, in `keras.ops`: BERT's basic tokenizer on UTF-8 bytes (docs/hash.md).

Splitting is a convolution with weights that are known: a table of byte patterns says what is white space and what is
a token by itself, and two kernels made from it find the patterns and mark the bytes of words. All numbers are small
integers, so that float32, and the lower precision that some accelerators multiply with, is exact.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from eelbert_tf.config import SEPARATOR_BYTE

from .hashing import shift_left
from .normalizing import normalize

Tensor = Any

# Alternating first and last bytes of the ranges that a position of a pattern admits; ranges do not overlap.
Ranges = tuple[int, ...]
_TAIL: Ranges = (0x80, 0xBF)  # bytes of a character after its first

SPACES: tuple[tuple[Ranges, ...], ...] = (
    ((0xC2, 0xC2), (0xA0, 0xA0)),  # U+00A0
    ((0xE2, 0xE2), (0x80, 0x80), (0x80, 0x8F)),  # U+2000 to U+200F
    ((0xE3, 0xE3), (0x80, 0x80), (0x80, 0x80)),  # U+3000
)
# Tokens by themselves.
SYMBOLS: tuple[tuple[Ranges, ...], ...] = (
    ((0x21, 0x2F, 0x3A, 0x40, 0x5B, 0x60, 0x7B, 0x7F),),  # visible ASCII but letters and digits, and DEL
    ((0xE2, 0xE2), (0x80, 0x80), (0x90, 0xBF)),  # general punctuation: U+2010 to U+203F
    ((0xE2, 0xE2), (0x81, 0x81), (0x80, 0xAF)),  # and U+2040 to U+206F
    ((0xE3, 0xE3), (0x80, 0x80), (0x81, 0xBF)),  # CJK punctuation: U+3001 to U+303F
    ((0xE3, 0xE3), (0x90, 0xBF), _TAIL),  # from U+3400
    ((0xE4, 0xE9), _TAIL, _TAIL),  # ideographs to U+9FFF
    ((0xEF, 0xEF), (0xA4, 0xAB), _TAIL),  # compatibility ideographs
    ((0xF0, 0xF0), (0x9F, 0xBF), _TAIL, _TAIL),  # emoji and rare ideographs
)
_VISIBLE: tuple[Ranges, ...] = ((0x21, 0xFF),)
_CAPITAL: tuple[Ranges, ...] = ((0x41, 0x5A),)
_SEPARATOR: tuple[Ranges, ...] = ((SEPARATOR_BYTE, SEPARATOR_BYTE),)

_AHEAD = 3  # bytes after its first that a pattern spans at most
_BACK = 4  # a byte's mark depends on patterns that begin at most so far before it


class Split(NamedTuple):
    """Bytes split into tokens; all int32 `[B, L]`."""

    chars: Tensor  # bytes, letters folded
    starts: Tensor  # 1 on the first byte of a token
    continues: Tensor  # 1 on its other bytes
    separators: Tensor  # 1 on the byte that separates a pair


class Layout(NamedTuple):
    """Where the tokens of each input go."""

    slots: Tensor  # int32 [B, L]: slot of each byte's token
    padding_mask: Tensor  # int32 [B, T]: 1 on filled slots
    segment_ids: Tensor  # int32 [B, T]
    classify: Tensor  # int32 [1, T]: 1 on [CLS]
    separate: Tensor  # int32 [B, T]: 1 on each [SEP]


@functools.cache
def _find_kernels() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finds patterns.

    Returns:
        A kernel, float32 `[1, 4, 1, K]`, and a bias, float32 `[K]`: what they make of bytes is above 0, and at least 1,
        where the byte so many places ahead has reached a bound of a range.
        A kernel, float32 `[1, 1, K, P]`, that from 1 for each such bound counts the positions of each pattern that
        agree, and a bias, float32 `[P]`: their sum is 1 where the whole pattern begins, and nowhere else above 0.
    """
    patterns = (*SPACES, *SYMBOLS, _VISIBLE, _CAPITAL, _SEPARATOR)
    reached = sorted(
        {
            (position, bound)
            for pattern in patterns
            for position, ranges in enumerate(pattern)
            for bound in _edges(ranges)
            if bound < 256
        }
    )
    look = np.zeros((1, _AHEAD + 1, 1, len(reached)), np.float32)
    for k, (position, _) in enumerate(reached):
        look[0, position, 0, k] = 1
    find = np.zeros((1, 1, len(reached), len(patterns)), np.float32)
    for p, pattern in enumerate(patterns):
        for position, ranges in enumerate(pattern):
            for number, bound in enumerate(_edges(ranges)):
                if bound < 256:
                    find[0, 0, reached.index((position, bound)), p] += 1 - 2 * (number % 2)
    below = np.array([1 - bound for _, bound in reached], np.float32)
    surplus = np.array([1 - len(pattern) for pattern in patterns], np.float32)
    return look, below, find, surplus


def _edges(ranges: Ranges) -> list[int]:
    """Where the ranges begin and, alternating, where they have ended."""
    return [bound + i % 2 for i, bound in enumerate(ranges)]


@functools.cache
def _mark_kernel() -> tuple[np.ndarray, np.ndarray]:
    """Marks bytes, from the patterns that begin there and up to four bytes before.

    Returns:
        A kernel, float32 `[1, 5, P, 4]`, and a bias, float32 `[4]`. The results, where they are above 0: 1 within
        tokens; 1 on bytes that continue one; 32 on capital letters; 1 on separators.
    """
    spaces, symbols = len(SPACES), len(SYMBOLS)
    visible, capital, separator = range(spaces + symbols, spaces + symbols + 3)
    inside, word, rest = np.zeros((3, _BACK + 1, separator + 1), np.float32)  # by distance to the byte
    inside[0, visible] = word[0, visible] = 1
    for p, pattern in enumerate((*SPACES, *SYMBOLS)):
        word[: len(pattern), p] = -1
        if p < spaces:
            inside[: len(pattern), p] = -1
        else:
            rest[1 : len(pattern), p] = 1
    before = np.roll(word, 1, axis=0)  # the byte before is in a word
    kernel = np.zeros((_BACK + 1, separator + 1, 4), np.float32)
    kernel[..., 0] = inside
    kernel[..., 1] = 2 * rest + word + before  # 2 on the rest of a symbol and within a word
    kernel[0, capital, 2] = 32
    kernel[0, separator, 3] = 1
    return np.ascontiguousarray(kernel[None, ::-1]), np.array([0, -1, 0, 0], np.float32)


def _int(condition: Tensor) -> Tensor:
    return ops.cast(condition, "int32")


def _equal(numbers: Tensor, slot: Tensor) -> Tensor:
    """1 at one of the numbers. Not `ops.equal`, which a converter may turn into ONE_HOT: TFLite Micro has none."""
    return _int(ops.less_equal(numbers, slot)) - _int(ops.less(numbers, slot))


def _convolve(x: Tensor, kernel: np.ndarray, bias: np.ndarray) -> Tensor:
    """A convolution of `[B, 1, N, C]`, without padding, cut off below 0."""
    return ops.relu(ops.conv(x, kernel, padding="valid", data_format="channels_last") + bias)


def running_sum(x: Tensor) -> Tensor:
    """The inclusive prefix sum along axis 1, in float32: TFLite Micro has no other. int32 `[B, L]`."""
    return ops.cast(ops.cumsum(ops.cast(x, "float32"), axis=1), "int32")


def split(data: Tensor, normalization: int = 0, scatter: bool = True) -> Split:
    """Folds letters and marks where tokens begin and go on.

    Args:
        data: int32 `[B, L]`, bytes of UTF-8 (or of anything), zero where the text has ended.
        normalization: as in `HashConfig`. With 1, dropped bytes make a text shorter: zeros then come before it.
        scatter: as in `normalizing.normalize`.
    """
    if data.shape[0] == 0:  # Keras has no convolution of nothing
        return Split(data, data, data, data)
    if normalization:
        return Split(*normalize(data, scatter))
    look, below, find, surplus = _find_kernels()
    mark, bias = _mark_kernel()
    x = ops.cast(ops.pad(data, ((0, 0), (_BACK, _AHEAD))), "float32")
    x = ops.expand_dims(ops.expand_dims(x, 1), -1)  # [B, 1, L + 7, 1]
    x = ops.minimum(_convolve(x, look, below), 1.0)  # [B, 1, L + 4, K]
    x = _convolve(x, find, surplus)  # [B, 1, L + 4, P]
    x = _convolve(x, mark, bias)  # [B, 1, L, 4]
    inside, continues, lower, separators = ops.unstack(ops.squeeze(ops.cast(x, "int32"), 1), axis=-1)
    return Split(data + lower, inside - continues, continues, separators)


def _cut_last(tokens: Split, ranks: Tensor, max_bytes: int) -> Tensor:
    """Tokens that are whole, `[B, 1]`: one that touches the last byte read may not be, and counts only if alone."""
    count = ranks[:, -1:]
    inside = tokens.starts + tokens.continues
    touched = inside[:, -1:] if inside.shape[1] == max_bytes else shift_left(inside, max_bytes - 1)[:, :1]
    return count - touched * _int(ops.greater_equal(count, 2))


def lay_out(tokens: Split, max_bytes: int, num_slots: int | Tensor, pair: bool = False) -> tuple[Split, Layout]:
    """Cuts what does not fit and gives every other token its slot between [CLS] and [SEP].

    Args:
        tokens: from `split`.
        max_bytes: bytes read of a text. A token that touches the last of them is dropped unless it is the only one.
        num_slots: T, token slots.
        pair: whether the first separator byte divides two texts, of which the longer is cut first; otherwise it is
            white space.

    Returns:
        The tokens that are kept, and their layout.
    """
    numbers = ops.expand_dims(ops.arange(num_slots, dtype="int32"), 0)  # [1, T]
    ranks = running_sum(tokens.starts)  # rank of the token at or before each byte, from 1
    count = _cut_last(tokens, ranks, max_bytes)  # [B, 1]
    if pair:
        second = ops.minimum(running_sum(tokens.separators), 1)  # 1 from the separator on
        paired = second[:, -1:]
        first_count = running_sum(tokens.starts * (1 - second))[:, -1:]
        second_count = ops.maximum(count - first_count, 0)
        room = num_slots - 3
        keep_first = ops.minimum(
            ops.minimum(first_count, count), ops.maximum(room + 1 - paired - second_count, room - room // 2)
        )
        keep_second = ops.minimum(second_count, room - keep_first) * paired
        end = keep_first + keep_second + paired + 1
        middle = (keep_first + 1) * paired  # slot of the inner [SEP]; 0, which is [CLS], where there is none
        separate = _equal(numbers, end) + _equal(numbers, middle) * paired
        segment_ids = _int(ops.greater(numbers, middle)) * _int(ops.less_equal(numbers, end)) * paired
        ranks = ranks - second * first_count
        limit = keep_first + second * (keep_second - keep_first)
        slots = ranks + second * (keep_first + 1)
    else:
        limit = ops.minimum(count, num_slots - 2)
        end = limit + 1
        separate = _equal(numbers, end)
        segment_ids = ops.zeros_like(separate)
        slots = ranks
    kept = _int(ops.less_equal(ranks, limit))
    padding_mask = _int(ops.less_equal(numbers, end))
    tokens = tokens._replace(starts=tokens.starts * kept, continues=tokens.continues * kept)
    return tokens, Layout(slots, padding_mask, segment_ids, _int(ops.equal(numbers, 0)), separate)
