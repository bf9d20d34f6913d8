"""From bytes to token slots, in `keras.ops` and int32: BERT's basic tokenizer on UTF-8 bytes (docs/hash.md)."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from eelbert_tf.config import SEPARATOR_BYTE
from eelbert_tf.hashing import shift_left, shift_right

Tensor = Any


class Split(NamedTuple):
    """Bytes split into tokens; all int32 `[B, L]`."""

    chars: Tensor  # bytes, ASCII letters lower-cased
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


def _int(condition: Tensor) -> Tensor:
    return ops.cast(condition, "int32")


def _equal(x: Tensor, value: int) -> Tensor:
    return _int(ops.equal(x, value))


def _at_least(x: Tensor, value: int) -> Tensor:
    return _int(ops.greater_equal(x, value))


def _between(x: Tensor, low: int, high: int) -> Tensor:
    """1 where low <= x <= high: one comparison of a product of two distances, which is small for bytes."""
    return _int(ops.greater_equal((x - low) * (high - x), 0))


def running_sum(x: Tensor, max_bytes: int) -> Tensor:
    """The inclusive prefix sum along axis 1 by doubling: TFLite Micro has no int32 CUMSUM. int32 `[B, L]`."""
    reach = 1
    while reach < max_bytes:
        x = x + shift_right(x, reach)
        reach *= 2
    return x


def split(data: Tensor, max_bytes: int) -> Split:
    """Lower-cases ASCII and marks where tokens begin and go on.

    Args:
        data: int32 `[B, L]`, bytes of UTF-8 (or of anything), zero where the text has ended; L <= max_bytes.
        max_bytes: bytes read of a text. A token that touches the last of them is dropped unless it is the only one.
    """
    next1, next2 = shift_left(data, 1), shift_left(data, 2)
    tail = _between(data, 0x80, 0xBF)
    tail2 = shift_left(tail, 1) * shift_left(tail, 2)  # two continuation bytes follow
    tail3 = tail2 * shift_left(tail, 3)

    separators = _equal(data, SEPARATOR_BYTE)
    visible = _at_least(data, 0x21)
    chars = data + _between(data, 0x41, 0x5A) * 32
    alphanumeric = _between(chars, 0x61, 0x7A) + _between(data, 0x30, 0x39)
    symbol1 = visible * (1 - _at_least(data, 0x80)) * (1 - alphanumeric)

    lead_e2, lead_e3 = _equal(data, 0xE2), _equal(data, 0xE3)
    next_is_80 = _equal(next1, 0x80)
    # White space: U+00A0, U+3000, and U+2000 to U+200F.
    space2 = _equal(data, 0xC2) * _equal(next1, 0xA0)
    space3 = next_is_80 * (lead_e3 * _equal(next2, 0x80) + lead_e2 * _between(next2, 0x80, 0x8F))
    # Tokens by themselves: general punctuation, CJK punctuation and ideographs, emoji.
    punctuation = lead_e2 * (next_is_80 + _equal(next1, 0x81) * (1 - _at_least(next2, 0xB0)))
    ideograph = (
        lead_e3 * (next_is_80 + _at_least(next1, 0x90))
        + _between(data, 0xE4, 0xE9)
        + _equal(data, 0xEF) * _between(next1, 0xA4, 0xAB)
    )
    symbol3 = (punctuation + ideograph) * tail2 * (1 - space3)
    symbol4 = _equal(data, 0xF0) * _at_least(next1, 0x9F) * tail3

    symbols = symbol1 + symbol3 + symbol4
    long_symbol = symbol3 + symbol4
    symbol_rest = shift_right(long_symbol, 1) + shift_right(long_symbol, 2) + shift_right(symbol4, 3)
    spaces = space2 + shift_right(space2, 1) + space3 + shift_right(space3, 1) + shift_right(space3, 2)
    words = visible * (1 - spaces) * (1 - symbols) * (1 - symbol_rest)
    starts = symbols + words * (1 - shift_right(words, 1))
    continues = symbol_rest + words * shift_right(words, 1)
    return Split(chars, starts, continues, separators)


def _cut_last(tokens: Split, ranks: Tensor, max_bytes: int) -> Tensor:
    """Tokens that are whole, `[B, 1]`: one that touches the last byte read may not be, and counts only if alone."""
    count = ranks[:, -1:]
    touched = shift_left(tokens.starts + tokens.continues, max_bytes - 1)[:, :1]
    return count - touched * _at_least(count, 2)


def lay_out(tokens: Split, max_bytes: int, num_slots: int | Tensor, pair: bool = False) -> tuple[Split, Layout]:
    """Cuts what does not fit and gives every other token its slot between [CLS] and [SEP].

    Args:
        tokens: from `split`.
        max_bytes: bytes read of a text.
        num_slots: T, token slots.
        pair: whether the first separator byte divides two texts, of which the longer is cut first; otherwise it is
            white space.

    Returns:
        The tokens that are kept, and their layout.
    """
    numbers = ops.expand_dims(ops.arange(num_slots, dtype="int32"), 0)  # [1, T]
    ranks = running_sum(tokens.starts, max_bytes)  # rank of the token at or before each byte, from 1
    count = _cut_last(tokens, ranks, max_bytes)  # [B, 1]
    if pair:
        second = ops.minimum(running_sum(tokens.separators, max_bytes), 1)  # 1 from the separator on
        paired = second[:, -1:]
        first_count = running_sum(tokens.starts * (1 - second), max_bytes)[:, -1:]
        second_count = ops.maximum(count - first_count, 0)
        room = num_slots - 3
        keep_first = ops.minimum(
            ops.minimum(first_count, count), ops.maximum(room + 1 - paired - second_count, room - room // 2)
        )
        keep_second = ops.minimum(second_count, room - keep_first) * paired
        keep_first = ops.where(paired, keep_first, ops.minimum(count, room + 1))
        end = keep_first + keep_second + paired + 1
        middle = (keep_first + 1) * paired  # slot of the inner [SEP]; 0, which is [CLS], where there is none
        separate = _int(ops.equal(numbers, end)) + _int(ops.equal(numbers, middle)) * paired
        segment_ids = _int(ops.greater(numbers, middle)) * _int(ops.less_equal(numbers, end)) * paired
        ranks = ranks - second * first_count
        limit = keep_first + second * (keep_second - keep_first)
        slots = ranks + second * (keep_first + 1)
    else:
        limit = ops.minimum(count, num_slots - 2)
        end = limit + 1
        separate = _int(ops.equal(numbers, end))
        segment_ids = ops.zeros_like(separate)
        slots = ranks
    kept = _int(ops.less_equal(ranks, limit))
    padding_mask = _int(ops.less_equal(numbers, end))
    tokens = tokens._replace(starts=tokens.starts * kept, continues=tokens.continues * kept)
    return tokens, Layout(slots, padding_mask, segment_ids, _int(ops.equal(numbers, 0)), separate)
