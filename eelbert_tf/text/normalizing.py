"""`normalization=1` in `keras.ops`: characters are looked up, replaced and dropped, all at once (docs/hash.md).

A character's first byte is a state, and each further byte leads to the next one or to what is to be done: a table for
all steps. What is to be done, an effect, says for each byte of the character what is added to it and how it is read.
Dropped bytes are then closed up by moving the bytes before them to the right, so that what follows sees a text without
them. All is small whole numbers: tables of int8, int32 arithmetic, and sums in float32 that are exact.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from eelbert_tf.config import SEPARATOR_BYTE

from .folding import DROPPED, FIRST, SPACE, SYMBOL, SYMBOLS, WORD, Character, ascii_character, characters
from .hashing import cut, shift_right

Tensor = Any

# How a byte is read: 2 for one that may follow another of its token, and 1 for one that another may, less 3. So PLAIN
# is part of a word; HEAD begins a token of several bytes, or a new word; TAIL ends a token; ALONE is one, or white
# space; GONE is dropped.
PLAIN, HEAD, TAIL, ALONE, GONE = 0, -2, -1, -3, -4

_MIDDLE = 128  # taken off numbers that would not fit int8
_WAYS = 66  # on from a state: 1 to 64 by a byte that continues a character; 0 and 65, other bytes, lead nowhere
_BEFORE_TAILS = 0x7F
_MOST_BYTES = 4
_MOST_CHANGED = 3  # bytes of a character to which something is added are among its first three

# A byte and its reading are one number, and with the way that it has to go another.
_READING, _WAY = 2**8, 2**10

Effect = tuple[tuple[int, int], ...]  # for each byte of a character, what is added to it, and its reading


class Tables(NamedTuple):
    """The tables; all int8."""

    # First bytes: 0 for none; numbers of states; then those of effects, for characters of one byte. Less 128.
    firsts: np.ndarray  # [256]
    first_states: int  # 0 and states of first bytes
    first_steps: np.ndarray  # [first_states * 66 + 1]: 0 for none; numbers of states; then those of effects. Less 128.
    states: int  # 0 and states of later bytes
    steps: np.ndarray  # [states * 66 + 1]: likewise
    effects: np.ndarray  # [effects, 3 + 4]: what is added to three bytes, and readings of four; the first has no effect


def _effect(code: int, character: Character) -> Effect:
    """What makes a character what it becomes."""
    old, new, kind = chr(code).encode(), character.data, character.kind
    if len(old) == 1:
        return ((new[0] - old[0], PLAIN if kind == WORD else ALONE),)
    gone = ((0, GONE),) * (len(old) - len(new))
    if kind == SPACE:  # the second byte becomes one of white space; none of them becomes the separator
        return ((0, GONE), (-_MIDDLE, ALONE), *((0, GONE),) * (len(old) - 2))
    if kind == SYMBOL and gone:
        return (*gone, (new[0] - old[-1], ALONE))
    if kind == SYMBOL:
        return ((0, HEAD), *((0, PLAIN),) * (len(old) - 2), (0, TAIL))
    if kind == FIRST:
        return ((0, HEAD), *((0, PLAIN),) * (len(old) - 1))
    if new and len(old) - len(new) == 2 and new[0] - old[0] < -_MIDDLE:  # full width
        return (*gone, (new[0] - old[-1], PLAIN))
    return (*((a - b, PLAIN) for a, b in zip(new, old, strict=False)), *gone)


@functools.cache
def tables() -> Tables:
    """The tables of the characters in `folding`."""
    numbers: dict[Effect, int] = {((0, PLAIN),): 0}  # of effects

    def number(code: int, character: Character) -> int:
        return numbers.setdefault(_effect(code, character), len(numbers))

    single = [number(code, ascii_character(code)) for code in range(0x80)]
    by_code = np.zeros(0x10000, np.int32)
    for code, character in characters().items():
        by_code[code] = number(code, character)

    def long_effect(code: int) -> int:
        """Of 64 characters from U+10000 on, of four bytes."""
        if SYMBOLS[-1][0] <= code <= SYMBOLS[-1][1]:
            return number(code, Character(SYMBOL, chr(code).encode()))
        return number(code, Character(WORD, b"")) if DROPPED[-1][0] <= code <= DROPPED[-1][1] else 0

    later: dict[tuple[int, ...], int] = {}  # states of later bytes: a number for each way on, below 0 of an effect

    def state(row: Any, states: dict[tuple[int, ...], int]) -> int:
        row = tuple(int(x) for x in row)
        return states.setdefault(row, len(states) + 1) if any(row) else 0

    first: dict[tuple[int, ...], int] = {}
    leads = np.zeros(256, np.int32)
    for lead in range(0xC2, 0xE0):
        leads[lead] = state(-by_code[(lead & 0x1F) << 6 :][:64], first)
    for lead in range(0xE0, 0xF0):
        start = (lead & 0x0F) << 12
        codes = range(start, start + 0x1000, 64)  # those below U+0800 have a shorter form
        leads[lead] = state([state(-by_code[c:][:64], later) if c >= 0x800 else 0 for c in codes], first)
    for lead in range(0xF0, 0xF5):
        start = (lead & 0x07) << 18
        row = []
        for second in range(start, start + 0x40000, 0x1000):
            thirds = [state([-long_effect(c)] * 64, later) for c in range(second, second + 0x1000, 64)]
            row.append(state(thirds, later))
        leads[lead] = state(row, first)

    def packed(states: dict[tuple[int, ...], int]) -> np.ndarray:
        steps = np.zeros((len(states) + 1, _WAYS), np.int32)
        for row, place in states.items():
            steps[place, 1:65] = [x if x >= 0 else len(later) - x for x in row]
        return _less(np.append(steps, 0))

    firsts = leads.copy()
    firsts[:0x80] = [x and len(first) + x for x in single]
    effects = np.zeros((len(numbers), _MOST_CHANGED + _MOST_BYTES), np.int8)
    for way, place in numbers.items():
        added = [x for x, _ in way]
        effects[place, : min(len(way), _MOST_CHANGED)] = added[:_MOST_CHANGED]
        effects[place, _MOST_CHANGED : _MOST_CHANGED + len(way)] = [reading for _, reading in way]
    return Tables(_less(firsts), len(first) + 1, packed(first), len(later) + 1, packed(later), effects)


def _less(numbers: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 255 as int8, less 128.

    Raises:
        ValueError: there are others.
    """
    if numbers.min() < 0 or numbers.max() > 255:
        raise ValueError("Too many characters of different kinds for tables of one byte.")
    return (numbers - _MIDDLE).astype(np.int8)


def _look_up(table: np.ndarray, index: Tensor, dtype: str = "int32") -> Tensor:
    return ops.cast(ops.take(ops.convert_to_tensor(table), index, axis=0), dtype)


def normalize(data: Tensor, scatter: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Replaces and drops bytes, and marks where tokens begin and go on.

    Args:
        data: int32 `[B, L]`, bytes of UTF-8 (or of anything), zero where the text has ended.
        scatter: whether kept bytes are put to their places one by one, or moved there in steps.

    Returns:
        Four int32 `[B, L]`, zeros first where bytes were dropped: bytes; 1 on the first byte of a token; 1 on its
        other bytes; 1 on separators.
    """
    marked = _mark(data)
    marked = _scatter(marked) if scatter else _move(marked)
    reading = ops.floor(marked * (1 / _READING))
    chars = ops.cast(marked - reading * _READING, "int32")
    reading = ops.cast(reading, "int32")
    before = ops.cast(ops.greater_equal(reading, 2), "int32")
    behind = reading - before * 2
    inside = ops.cast(ops.greater(chars, 0x20), "int32")
    continues = before * shift_right(behind, 1)
    separators = ops.cast(ops.equal(chars, SEPARATOR_BYTE), "int32")
    return chars, inside - continues, continues, separators


def count_kept(data: Tensor) -> Tensor:
    """Bytes that `normalize` does not drop, up to and with each byte: int32 `[B, L]` to float32 `[B, L]`."""
    marked = _mark(data)
    return ops.cumsum(ops.cast(ops.greater_equal(marked, 0.0), "float32"), axis=2)[:, 0, :, 0]


def _mark(data: Tensor) -> Tensor:
    """Bytes with their reading, below 0 where they are dropped: int32 `[B, L]` to float32 `[B, 1, L, 1]`."""
    effects = _look_up(tables().effects, ops.pad(_find_effects(data), ((0, 0), (_MOST_BYTES - 1, 0))), "float32")
    # Of the character that begins at a byte, of the one that began a byte before, and so on.
    kernel = np.zeros((1, _MOST_BYTES, _MOST_CHANGED + _MOST_BYTES, 1), np.float32)
    for k in range(_MOST_BYTES):
        kernel[0, -1 - k, _MOST_CHANGED + k] = _READING
        if k < _MOST_CHANGED:
            kernel[0, -1 - k, k] = 1
    effects = ops.expand_dims(effects, 1)  # [B, 1, L + 3, 7]
    marked = ops.conv(effects, kernel, padding="valid", data_format="channels_last") + 3 * _READING
    return marked + ops.cast(ops.expand_dims(ops.expand_dims(data, 1), -1), "float32")


def _find_effects(data: Tensor) -> Tensor:
    """The number of the effect of the character that begins at each byte, 0 where there is none: int32 `[B, L]`."""
    table, length = tables(), ops.shape(data)[1]
    ways = ops.pad(ops.minimum(ops.maximum(data - _BEFORE_TAILS, 0), _WAYS - 1), ((0, 0), (0, _MOST_BYTES - 1)))
    ways = ways + _WAYS * _MIDDLE
    first = step = _look_up(table.firsts, data)
    # A number behind those of the states is that of an effect: nothing can follow, as in the last place of a table.
    steps, last = table.first_steps, table.first_states * _WAYS
    effect = first - (table.first_states - table.states)
    for k in range(1, _MOST_BYTES):
        step = _look_up(steps, ops.minimum(step * _WAYS + cut(ways, k, length), last))
        effect = ops.maximum(effect, step)
        steps, last = table.steps, table.states * _WAYS
    return ops.maximum(effect + (_MIDDLE + 1 - table.states), 0)


def _scatter(marked: Tensor) -> Tensor:
    """Moves to the right what is not below 0, over what is, and fills up with zeros at the left.

    Args:
        marked: float32 `[B, 1, L, 1]`, whole numbers below 1024.

    Returns:
        float32 `[B, L]`.
    """
    batch, _, length, _ = ops.shape(marked)
    marked = ops.reshape(marked, (batch, length))
    number = ops.cumsum(ops.cast(ops.greater_equal(marked, 0.0), "float32"), axis=1)  # of what is kept
    place = ops.cast(number - cut(number, length - 1, 1), "int32") + (length - 1)
    if not isinstance(batch, int) or batch > 1:
        place = place + ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    kept = ops.reshape(ops.maximum(marked, 0.0), (-1,))  # what is not adds zeros
    return ops.reshape(ops.scatter(ops.reshape(place, (-1, 1)), kept, (batch * length,)), (batch, length))


_DIGIT = 16  # values of a digit of a way


def _move(marked: Tensor) -> Tensor:
    """`_scatter` in few kinds of operators: numbers go the lowest digit of their way first, and so never meet.

    For two of them the ways differ by no more than the number of places between them, and so do the lowest digits.
    """
    length = marked.shape[2]
    kept = ops.maximum(marked, 0.0)
    gone = ops.cumsum(ops.cast(ops.less(marked, 0.0), "float32"), axis=2)
    way = ops.slice(gone, (0, 0, length - 1, 0), (ops.shape(gone)[0], 1, 1, 1)) - gone  # what is dropped behind
    number = kept + way * (ops.minimum(kept, 1.0) * _WAY)  # exact up to 2 ** 14 bytes
    unit = 1
    while unit < length:
        digits = min(_DIGIT, (length - 1) // unit + 1)
        digit = ops.floor(number * (1 / (_WAY * unit)))
        if unit * _DIGIT < length:
            digit = digit - ops.floor(digit * (1 / _DIGIT)) * _DIGIT
        those = ops.cast(ops.equal(digit, np.arange(digits, dtype="float32")), "float32") * number  # [B, 1, L, digits]
        those = ops.pad(those, ((0, 0), (0, 0), ((digits - 1) * unit, 0), (0, 0)))
        kernel = np.eye(digits, dtype=np.float32)[::-1].reshape(1, digits, digits, 1)
        number = ops.conv(those, kernel, padding="valid", data_format="channels_last", dilation_rate=(1, unit))
        unit *= _DIGIT
    number = ops.reshape(number, (-1, length))
    return number - ops.floor(number * (1 / _WAY)) * _WAY
