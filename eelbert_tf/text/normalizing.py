"""`normalization=1` in `keras.ops`: characters are looked up, replaced and dropped, all at once (docs/hash.md).

A character's first byte is a state, and each further byte leads to the next one or to what is to be done: a table for
all steps. What is to be done, an effect, says for each byte of the character what is added to it and how it is read.
Dropped bytes are then closed by moving the bytes before them to the right, so that what follows sees a text without
them. The tables are small whole numbers in int8, and the products of what is read from them exact.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from eelbert_tf.config import SEPARATOR_BYTE

from .folding import DROPPED, FIRST, SPACE, SYMBOL, SYMBOLS, WORD, Character, ascii_character, characters
from .hashing import ahead, shift_right

Tensor = Any

# How a byte is read. PLAIN, part of a word; GONE, dropped; HEAD, the first of a token of several bytes, or of a new
# word; TAIL, the last of a token; ALONE, a token of one byte; the others are replaced: BLANK, white space.
PLAIN, GONE, HEAD, TAIL, ALONE, BLANK, REPLACED = range(7)
# Of each: whether it belongs to what comes before, to what comes behind, whether it is dropped, and whether replaced.
_READINGS = np.array(
    [[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 1]], np.int8
)
_MIDDLE = 128  # taken off what may not fit int8
_FOLLOWING = 65  # ways on from a state: a byte that continues no character, or one of 64 that do
_MOST_BYTES = 4

Effect = tuple[tuple[int, int], ...]  # for each byte of a character, what is added to it, and its reading


class Tables(NamedTuple):
    """The tables; all int8."""

    bytes: np.ndarray  # [256, 4]: state less 128; 1 to 64 where it continues a character; what is added; reading
    steps: np.ndarray  # [states * 65 + 1]: the next state, or an effect's number plus that of states; less 128
    effects: np.ndarray  # [effects, 8]: for four bytes what is added, then their readings; the first has none
    states: int


def _effects(code: int, character: Character) -> list[Effect]:
    """Ways to make a character of several bytes what it becomes: one, or two that do the same."""
    old, new, kind = chr(code).encode(), character.data, character.kind
    if kind == SPACE:
        return [((-_MIDDLE, BLANK),) * len(old)]
    gone = ((0, GONE),) * (len(old) - len(new))
    if kind == SYMBOL and len(new) == 1:
        return [(*gone, (new[0] - old[-1], ALONE))]
    if kind == SYMBOL:
        return [((0, HEAD), *((0, PLAIN),) * (len(old) - 2), (0, TAIL))]
    if kind == FIRST:
        return [((0, HEAD), *((0, PLAIN),) * (len(old) - 1))]
    added = tuple((a - b, PLAIN) for a, b in zip(new, old, strict=False))
    put = tuple((a - _MIDDLE, REPLACED) for a in new)
    return [(*way, *gone) for way in (added, put) if all(-128 <= x <= 127 for x, _ in way)]


@functools.cache
def tables() -> Tables:
    """The tables of the characters in `folding`."""
    ways = {code: _effects(code, character) for code, character in characters().items()}
    symbol = _effects(SYMBOLS[-1][0], Character(SYMBOL, chr(SYMBOLS[-1][0]).encode()))
    gone = _effects(DROPPED[-1][0], Character(WORD, b""))
    common = Counter(way for options in ways.values() for way in options)
    numbers: dict[Effect, int] = {}
    effect_of = np.zeros(0x10000, np.int32)  # 0 for none
    for code, options in ways.items():
        best = max(options, key=lambda way: (way in numbers, common[way]))
        effect_of[code] = numbers.setdefault(best, len(numbers) + 1)
    four_bytes = [numbers.setdefault(way[0], len(numbers) + 1) for way in (symbol, gone)]

    rows: list[tuple[int, ...]] = []  # of states: for each byte that may follow a state, or an effect's number below 0

    def state(row: Any) -> int:
        """The number of a state, from 1; 0 where nothing follows."""
        row = tuple(int(x) for x in row)
        if not any(row):
            return 0
        if row not in rows:
            rows.append(row)
        return rows.index(row) + 1

    leads = np.zeros(256, np.int32)
    for lead in range(0xC2, 0xE0):
        leads[lead] = state(-effect_of[(lead & 0x1F) << 6 :][:64])
    for lead in range(0xE0, 0xF0):
        first = (lead & 0x0F) << 12
        leads[lead] = state([state(-effect_of[code:][:64]) for code in range(first, first + 0x1000, 64)])
    for lead in range(0xF0, 0xF5):
        row = []
        for first in range((lead & 7) << 18, ((lead & 7) << 18) + 0x40000, 0x1000):
            found = [SYMBOLS[-1][0] <= c <= SYMBOLS[-1][1] and four_bytes[0] for c in range(first, first + 0x1000, 64)]
            gone_too = [DROPPED[-1][0] <= c <= DROPPED[-1][1] for c in range(first, first + 0x1000, 64)]
            found = [four_bytes[1] if g else f for f, g in zip(found, gone_too, strict=True)]
            row.append(state([state([-effect] * 64) for effect in found]))
        leads[lead] = state(row)

    states = len(rows) + 1
    steps = np.zeros((states, _FOLLOWING), np.int32)
    for number, row in enumerate(rows, 1):
        steps[number, 1:] = [x if x >= 0 else states - 1 - x for x in row]
    effects = np.zeros((len(numbers) + 1, 2 * _MOST_BYTES), np.int8)
    for way, number in numbers.items():
        effects[number, : len(way)] = [added for added, _ in way]
        effects[number, _MOST_BYTES : _MOST_BYTES + len(way)] = [reading for _, reading in way]
    singles = np.zeros((256, 4), np.int32)
    singles[:, 0] = leads
    singles[0x80:0xC0, 1] = range(1, 65)
    for code in range(0x80):
        kind, (new,) = ascii_character(code)
        singles[code, 2:] = new - code, PLAIN if kind == WORD else ALONE
    assert states - 1 + len(numbers) < 256
    middle = np.array([_MIDDLE, 0, 0, 0])
    flat = np.append(steps, 0) - _MIDDLE
    return Tables((singles - middle).astype(np.int8), flat.astype(np.int8), effects, states)


def _look_up(table: np.ndarray, index: Tensor) -> Tensor:
    return ops.cast(ops.take(ops.convert_to_tensor(table), index, axis=0), "int32")


def normalize(data: Tensor, scatter: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Replaces and drops bytes and marks where tokens begin and go on.

    Args:
        data: int32 `[B, L]`, bytes of UTF-8 (or of anything), zero where the text has ended.
        scatter: whether kept bytes are put to their places one by one, or moved there in steps.

    Returns:
        Four int32 `[B, L]`, zeros first where bytes were dropped: bytes; 1 on the first byte of a token; 1 on its
        other bytes; 1 on separators.
    """
    table = tables()
    state, follows, added, reading = ops.unstack(_look_up(table.bytes, data), axis=-1)  # [B, L] each
    follows = [x + _FOLLOWING * _MIDDLE for x in ahead(follows, _MOST_BYTES)[1:]]
    step = _look_up(table.steps, state * _FOLLOWING + follows[0])
    effect = step
    for x in follows[1:]:
        index = ops.minimum(step * _FOLLOWING + x, table.states * _FOLLOWING)  # where it is an effect, nothing follows
        step = _look_up(table.steps, index)
        effect = ops.maximum(effect, step)
    effect = ops.maximum(effect, table.states - 1 - _MIDDLE) + (_MIDDLE + 1 - table.states)
    effects = ops.cast(_look_up(table.effects, effect), "float32")  # [B, L, 8]
    effects = ops.expand_dims(ops.pad(effects, ((0, 0), (_MOST_BYTES - 1, 0), (0, 0))), 1)
    kernel = np.zeros((1, _MOST_BYTES, 2 * _MOST_BYTES, 2), np.float32)
    for k in range(_MOST_BYTES):  # the effect of the byte k before
        kernel[0, -1 - k, k, 0] = kernel[0, -1 - k, _MOST_BYTES + k, 1] = 1
    spread = ops.conv(effects, kernel, padding="valid", data_format="channels_last")  # [B, 1, L, 2]
    more, other = ops.unstack(ops.squeeze(ops.cast(spread, "int32"), 1), axis=-1)
    before, behind, gone, replaced = ops.unstack(_look_up(_READINGS, reading + other), axis=-1)
    chars = data + added + more + replaced * (_MIDDLE - data)
    chars, before, behind = close_gaps([chars, before, behind], gone, scatter)
    inside = ops.cast(ops.greater(chars, 0x20), "int32")
    continues = before * shift_right(behind, 1)
    separators = ops.cast(ops.equal(chars, SEPARATOR_BYTE), "int32")
    return chars, inside - continues, continues, separators


def close_gaps(columns: list[Tensor], gone: Tensor, scatter: bool) -> list[Tensor]:
    """Moves to the right what is kept, over what is not, and fills up with zeros at the left.

    Args:
        columns: int32 `[B, L]` each. Where nothing is scattered they are three, below 256, 2 and 2.
        gone: int32 `[B, L]`, 1 where nothing is kept.
        scatter: see `normalize`.

    Returns:
        The columns, likewise.
    """
    total = ops.cast(ops.cumsum(ops.cast(gone, "float32"), axis=1), "int32")
    way = total[:, -1:] - total  # what is dropped behind each byte
    kept = 1 - gone
    if not scatter:
        return _move(columns, way, kept)
    batch, length = ops.shape(gone)
    place = way + ops.expand_dims(ops.arange(length, dtype="int32"), 0)
    if batch != 1:
        place = place + ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    rows = ops.stack(columns, axis=-1) * ops.expand_dims(kept, -1)  # what is dropped adds zeros
    count = len(columns)
    rows = ops.scatter(ops.reshape(place, (-1, 1)), ops.reshape(rows, (-1, count)), (batch * length, count))
    return ops.unstack(ops.reshape(rows, (batch, length, count)), axis=-1)


_DIGIT = 16  # values of a digit of the way that is gone at a time


def _move(columns: list[Tensor], way: Tensor, kept: Tensor) -> list[Tensor]:
    """`close_gaps` without scattering: bytes go the way's lowest digit first, and so never meet.

    For two of them the ways differ by no more than the number of bytes between them, and so do the lowest digits.
    """
    length = way.shape[1]
    sizes = np.array([1, 2**8, 2**9, 2**10], np.float32)
    chars, before, behind = columns
    number = (chars + before * int(sizes[1]) + behind * int(sizes[2]) + way * int(sizes[3])) * kept
    x = ops.cast(number, "float32")  # exact up to 2 ** 14 bytes
    unit = 1
    while unit < length:
        digits = min(_DIGIT, (length - 1) // unit + 1)
        digit = ops.floor(x * (1 / (float(sizes[3]) * unit)))
        if unit * _DIGIT < length:
            digit = digit - ops.floor(digit * (1 / _DIGIT)) * _DIGIT
        those = ops.cast(ops.equal(ops.expand_dims(digit, -1), np.arange(digits, dtype="float32")), "float32")
        those = those * ops.expand_dims(x, -1)  # [B, L, digits]
        those = ops.expand_dims(ops.pad(those, ((0, 0), ((digits - 1) * unit, 0), (0, 0))), 1)
        kernel = np.eye(digits, dtype=np.float32)[::-1].reshape(1, digits, digits, 1)
        x = ops.conv(those, kernel, padding="valid", data_format="channels_last", dilation_rate=(1, unit))
        x = ops.reshape(x, (-1, length))
        unit *= _DIGIT
    x = x - ops.floor(x * (1 / float(sizes[3]))) * float(sizes[3])
    found = []
    for size in (float(sizes[2]), float(sizes[1])):
        part = ops.floor(x * (1 / size))
        x = x - part * size
        found.append(ops.cast(part, "int32"))
    return [ops.cast(x, "int32"), found[1], found[0]]
