"""Where tokens lie in the bytes of a text, and what those bytes say of their spelling, in `keras.ops`.

The front end folds letters before it hashes them. Here the bytes are looked at as they came: capitals and digits are
what a tagger knows names by.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from .hashing import shift_left
from .normalizing import count_kept
from .splitting import Layout, Split

Tensor = Any

# A token of at least so many bytes has the feature.
_LENGTHS = (2, 3, 4, 6, 9)
NUM_SPELLING = 7 + len(_LENGTHS)


def _float(condition: Tensor) -> Tensor:
    return ops.cast(condition, "float32")


def marks(tokens: Split, layout: Layout, num_slots: int | Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last byte of the token in each slot: 1 there, two float32 `[B, T, L]`."""
    numbers = ops.reshape(ops.arange(num_slots, dtype="int32") + 1, (1, -1, 1))
    lasts = (tokens.starts + tokens.continues) * (1 - shift_left(tokens.continues, 1))
    first, last = (ops.expand_dims((layout.slots + 1) * where, 1) for where in (tokens.starts, lasts))
    return _float(ops.equal(first, numbers)), _float(ops.equal(last, numbers))


def pick(where: Tensor, values: Tensor) -> Tensor:
    """The value at the byte of each slot, 0 where it has none: float32 `[B, T, L]` and int32 `[B, L]` to `[B, T]`.

    Not a matrix product, which accelerators round to 8 bits: values up to 2 ** 24 are exact.
    """
    return ops.sum(where * ops.expand_dims(_float(values), 1), axis=-1)


def token_positions(data: Tensor, first: Tensor, last: Tensor, normalization: int) -> Tensor:
    """The bytes of the token in each slot.

    Args:
        data: int32 `[B, L]`, bytes of texts as they came.
        first: float32 `[B, T, L]`, like `last` what `marks` gives.
        last: likewise.
        normalization: as in `HashConfig`. With 1, bytes that were dropped within a token belong to it, and those
            before and behind it do not.

    Returns:
        float32 `[B, T, 2]`, whole numbers: the first byte, and the one behind the last; both 0 in a slot without a
        token.
    """
    numbers = ops.expand_dims(ops.arange(ops.shape(data)[1], dtype="int32"), 0)
    filled = ops.sum(first, axis=-1)  # [B, T]
    start, end = pick(first, numbers), pick(last, numbers)
    if normalization:
        start, end = (_where_it_was(place, data) for place in (start, end))
    return ops.stack([start * filled, (end + 1.0) * filled], axis=-1)


def _where_it_was(places: Tensor, data: Tensor) -> Tensor:
    """Where bytes that `normalize` has moved were before: float32 `[B, T]` to the same."""
    kept = count_kept(data)  # [B, L], up to each byte
    length = ops.cast(ops.shape(kept)[1], "float32")
    number = places - (length - kept[:, -1:])  # of the byte among those that are kept, from 0
    return ops.sum(_float(ops.less_equal(ops.expand_dims(kept, 1), ops.expand_dims(number, 2))), axis=-1)


def _between(x: Tensor, least: int, most: int) -> Tensor:
    return ops.cast(ops.greater_equal(x, least), "int32") * ops.cast(ops.less_equal(x, most), "int32")


def capitals(data: Tensor) -> Tensor:
    """1 on the first byte of a capital letter of ASCII, Latin-1, Greek or Cyrillic: int32 `[B, L]`."""
    following = shift_left(data, 1)
    found = _between(data, 0x41, 0x5A)
    for lead, least, most in ((0xC3, 0x80, 0x9E), (0xCE, 0x86, 0xAB), (0xD0, 0x80, 0xAF)):
        found = found + _between(data, lead, lead) * _between(following, least, most)
    return found


def spelling(data: Tensor, positions: Tensor) -> Tensor:
    """What the bytes of each token say of its spelling.

    Args:
        data: int32 `[B, L]`, bytes of texts as they came.
        positions: float32 `[B, T, 2]`, from `token_positions`.

    Returns:
        float32 `[B, T, NUM_SPELLING]`, all 0 or 1: white space before it; the first letter a capital; all of them; one
        further inside; a digit; digits alone; a byte outside of ASCII; and at least 2, 3, 4, 6, 9 bytes.
    """
    numbers = ops.reshape(ops.arange(ops.shape(data)[1], dtype="float32"), (1, 1, -1))
    start, end = (ops.expand_dims(positions[..., i], 2) for i in (0, 1))  # [B, T, 1]
    behind = _float(ops.greater_equal(numbers, start))
    inside = behind * _float(ops.less(numbers, end))  # [B, T, L]
    capital, tail = capitals(data), _between(data, 0x80, 0xBF)
    letters = pick(inside, 1 - tail)  # characters of the token, [B, T]
    large, digits, foreign = (pick(inside, x) for x in (capital, _between(data, 0x30, 0x39), _between(data, 0x80, 255)))
    # Not `ops.equal`, which a converter may turn into ONE_HOT: TFLite Micro has none.
    first = pick(behind * _float(ops.less(numbers, start + 1.0)), capital) * ops.minimum(letters, 1.0)
    size = end[..., 0] - start[..., 0]
    before = ops.pad(end[:, :-1, 0], ((0, 0), (1, 0)))
    features = [
        _float(ops.greater(start[..., 0], before)),
        first,
        first * _float(ops.equal(large, letters)),
        _float(ops.greater(large, first)),
        ops.minimum(digits, 1.0),
        _float(ops.equal(digits, letters)) * ops.minimum(letters, 1.0),
        ops.minimum(foreign, 1.0),
        *(_float(ops.greater_equal(size, float(least))) for least in _LENGTHS),
    ]
    return ops.stack(features, axis=-1)
