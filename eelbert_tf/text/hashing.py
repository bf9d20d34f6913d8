"""From byte positions to hash embeddings, in `keras.ops`: one code path for training, TFLite and TFLite Micro.

Everything up to the pooling is int32 arithmetic that wraps, with only operators that TFLite Micro has for int32.
The method is the n-gram pooling hash of EELBERT (Cohn et al., EMNLP 2023 Industry); docs/hash.md is the specification.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.config import (
    FIRST_BYTE_FLAG,
    FNV_OFFSET,
    FNV_PRIME,
    LAST_BYTE_FLAG,
    MAX_WORD_BYTES,
    WORD_DOUBLINGS,
    HashConfig,
)

from .reference import multipliers

Tensor = Any

# Bytes whose rows are added up before the sums of such blocks are: a float32 sum of many rounds at every one of them.
BLOCK_BYTES = 32


def wrap32(number: int) -> int:
    """`number` modulo 2 ** 32 as the signed integer with the same bits."""
    return (number + 2**31) % 2**32 - 2**31


def cut(x: Tensor, start: int, length: int | Tensor) -> Tensor:
    """`x[:, start : start + length]`, as an operator that copies whole rows. `[B, L]`."""
    return ops.slice(x, (0, start), (ops.shape(x)[0], length))


def shift_left(x: Tensor, k: int) -> Tensor:
    """`x[:, p + k]` at every `p`, zero past the end. int32 `[B, L]`."""
    return cut(ops.pad(x, ((0, 0), (0, k))), k, ops.shape(x)[1]) if k else x


def shift_right(x: Tensor, k: int) -> Tensor:
    """`x[:, p - k]` at every `p`, zero before the start. int32 `[B, L]`."""
    return cut(ops.pad(x, ((0, 0), (k, 0))), 0, ops.shape(x)[1])


def ahead(x: Tensor, count: int) -> list[Tensor]:
    """`x[:, p]`, `x[:, p + 1]` and so on at every `p`, `count` of them, zero past the end. int32 `[B, L]` each."""
    length = ops.shape(x)[1]
    padded = ops.pad(x, ((0, 0), (0, count - 1))) if count > 1 else x
    return [x, *(cut(padded, k, length) for k in range(1, count))]


def token_units(chars: Tensor, starts: Tensor, continues: Tensor, config: HashConfig) -> Tensor:
    """The numbers that are hashed: bytes, with boundary flags where the config asks for them. int32 `[B, L]`."""
    if not config.boundaries:
        return chars
    lasts = (starts + continues) * (1 - shift_left(continues, 1))
    return chars + starts * FIRST_BYTE_FLAG + lasts * LAST_BYTE_FLAG


def ngram_signatures(units: Tensor, starts: Tensor, continues: Tensor, orders: int) -> list[tuple[Tensor, Tensor]]:
    """The signature of the i-gram that begins at each byte, and whether it lies within one token.

    Returns:
        For i = 1 to `orders`, a pair of int32 `[B, L]`: signatures, and 1 where they count.
    """
    signature = units + wrap32(FNV_OFFSET * FNV_PRIME)
    valid = starts + continues
    grams = [(signature, valid)]
    for unit, goes_on in zip(ahead(units, orders)[1:], ahead(continues, orders)[1:], strict=True):
        signature = signature * FNV_PRIME + unit
        valid = valid * goes_on
        grams.append((signature, valid))
    return grams


def word_signatures(units: Tensor, starts: Tensor, continues: Tensor) -> tuple[Tensor, Tensor]:
    """The signature of the token that ends at each byte, by doubling: 1, 2, 4, ... bytes up to 64.

    Returns:
        Two int32 `[B, L]`: signatures, and 1 on the last byte of each token.
    """
    signature = units + starts * wrap32(FNV_OFFSET * FNV_PRIME)
    # The prime to the power of `reach` where so many bytes up to here continue the token of the byte before them, or 0.
    factor = continues * FNV_PRIME
    for doubling in range(WORD_DOUBLINGS):
        reach = 2**doubling
        signature = signature + factor * shift_right(signature, reach)
        factor = factor * shift_right(factor, reach)
    lasts = (starts + continues) * (1 - shift_left(continues, 1))
    return signature, lasts


def project(signatures: Tensor, h: np.ndarray, axis: int = -2) -> Tensor:
    """`int32(s * h)`: the paper's "modulo B, centred" for B = 2 ** 32, before the division by B / 2.

    Args:
        signatures: int32 `[..., L]`.
        h: int32 `[width]`, odd.
        axis: where the columns go, -2 or -1.

    Returns:
        int32 `[..., width, L]`, or `[..., L, width]`.
    """
    return ops.expand_dims(signatures, axis) * ops.convert_to_tensor(h.reshape((-1, 1) if axis == -2 else -1))  # wraps


def in_blocks(x: Tensor, block_bytes: int = BLOCK_BYTES) -> Tensor:
    """Cuts `[B, L]` in C equal blocks of at most so many bytes: `[B, C, W]`, zeros behind the end."""
    length = ops.shape(x)[1]
    count = (length + block_bytes - 1) // block_bytes
    width = (length + count - 1) // count
    spare = count * width - length
    if not isinstance(spare, int) or spare:
        x = ops.pad(x, ((0, 0), (0, spare)))
    return ops.reshape(x, (ops.shape(x)[0], count, width))


def add_rows(rows: Tensor, slots: Tensor, num_slots: int) -> Tensor:
    """The sum of the rows of each slot: `[B, L, c]` and int32 `[B, L]` to `[B, T, c]`."""
    batch, length, width = rows.shape
    flat = slots + ops.expand_dims(ops.arange(batch, dtype="int32") * num_slots, 1) if batch > 1 else slots
    index = ops.reshape(flat, (batch * length, 1))
    sums = ops.scatter(index, ops.reshape(rows, (batch * length, width)), (batch * num_slots, width))
    return ops.reshape(sums, (batch, num_slots, width))


def token_parts(starts: Tensor, byte_to_token: Tensor, num_slots: int) -> tuple[Tensor, Tensor]:
    """Cuts tokens where blocks begin.

    Args:
        starts: int32 `[B, L]`, 1 on the first byte of each token.
        byte_to_token: int32 `[B, L]`, slots, which never fall from one token to the next; 0 on bytes of no token.
        num_slots: T.

    Returns:
        int32 `[B, L]`: the part each byte belongs to; int32 `[B, P]`: the slot of each part.
    """
    length = byte_to_token.shape[1]
    count = -(-length // BLOCK_BYTES)
    blocks, position = np.divmod(np.arange(length, dtype="int32"), -(-length // count))
    numbers = byte_to_token + blocks  # another number for each token in each block, for both only grow
    firsts = ops.maximum(starts, (position == 0).astype("int32"))
    return numbers, add_rows(ops.expand_dims(byte_to_token * firsts, 2), numbers, num_slots + count)[..., 0]


def add_blocks(x: Tensor) -> Tensor:
    """The sum over blocks: `[B, C, T, c]` to `[B, T, c]`."""
    return ops.squeeze(x, 1) if x.shape[1] == 1 else ops.sum(x, axis=1)


def membership(
    starts: Tensor, continues: Tensor, slots: Tensor, num_slots: int | Tensor, block_bytes: int = BLOCK_BYTES
) -> Tensor:
    """1 where a byte belongs to the token in a slot: float32 `[B, C, T, W]`, in blocks."""
    from_one = in_blocks((slots + 1) * (starts + continues), block_bytes)  # 0 on bytes of no token
    numbers = ops.reshape(ops.arange(num_slots, dtype="int32") + 1, (-1, 1))
    return ops.cast(ops.equal(ops.expand_dims(from_one, 2), numbers), "float32")


def embed_tokens(
    chars: Tensor,
    starts: Tensor,
    continues: Tensor,
    slots: Tensor,
    num_slots: int | Tensor,
    config: HashConfig,
    columns: int | None = None,
    scatter: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> Tensor:
    """Hash embeddings of the tokens in a batch of byte strings.

    The sum over each token's n-grams is a product with its membership; a token of k bytes has k - i + 1 i-grams, by
    which the columns of order i are then divided.

    Args:
        chars: int32 `[B, L]`, bytes as they are hashed.
        starts: int32 `[B, L]`, 1 on the first byte of each token.
        continues: int32 `[B, L]`, 1 on its other bytes.
        slots: int32 `[B, L]`, the slot of the token each byte belongs to.
        num_slots: T, slots of the output.
        config: the hash.
        columns: how many columns to compute at a time, all of them by default: where memory is small.
        scatter: whether each byte's row is added to its slot one by one: the same sums, and faster than the product
            where the batch is one text and nothing computes in parallel.
        block_bytes: bytes whose rows are added up at once: fewer operators, and for very long tokens less exact sums.

    Returns:
        float32 `[B, T, config.size]`; zero in a slot without a token, and in block i for a token of fewer bytes.
    """
    h = multipliers(config.seed, config.size)
    units = token_units(chars, starts, continues, config)
    grams = ngram_signatures(units, starts, continues, len(config.widths))
    widths = list(config.widths)
    if config.word_width:
        grams.append(word_signatures(units, starts, continues))
        widths.append(config.word_width)
    inside = starts + continues
    if scatter:
        byte_to_token = slots * inside
        length = add_rows(ops.cast(ops.expand_dims(inside, 2), "float32"), byte_to_token, num_slots)
        numbers, owners = token_parts(starts, byte_to_token, num_slots)
    else:
        member = membership(starts, continues, slots, num_slots, block_bytes)
        length = ops.expand_dims(ops.sum(member, axis=(1, 3)), 2)  # [B, T, 1]
    # Of each order at once; a word's signature is one, whatever the token's length.
    divisors = ops.maximum(length - np.arange(len(config.widths), dtype="float32"), 1.0)
    divisors = ops.sqrt(divisors) if config.pooling == "sqrtn" else divisors
    if config.word_width:
        divisors = ops.concatenate([divisors, ops.ones_like(length)], axis=-1)
    # Three exact factors make 2 ** 31, which alone would be infinite in float16.
    divisors = ops.split(divisors * 2.0**11 * 2.0**10 * 2.0**10, len(widths), axis=-1)
    parts, end = [], 0
    for (signature, valid), divisor, width in zip(grams, divisors, widths, strict=True):
        begin, end = end, end + width
        counted = signature * valid
        if scatter:
            rows = ops.cast(project(counted, h[begin:end], axis=-1), "float32")
            total = add_rows(add_rows(rows, numbers, owners.shape[1]), owners, num_slots)
        else:
            step = columns or width
            chunks = [h[first : min(first + step, end)] for first in range(begin, end, step)]
            counted = in_blocks(counted, block_bytes)
            rows = [ops.cast(project(counted, chunk), "float32") for chunk in chunks]  # [B, C, columns, W]
            sums = [ops.matmul(member, ops.transpose(row, (0, 1, 3, 2))) for row in rows]  # [B, C, T, columns]
            if member.shape[1] != 1:
                sums = [ops.sum(x, axis=1) for x in sums]
            total = sums[0] if len(sums) == 1 else ops.concatenate(sums, axis=-1)
            total = ops.squeeze(total, 1) if member.shape[1] == 1 else total  # once for all columns
        parts.append(total / divisor)
    return ops.concatenate(parts, axis=-1)


def lexicon_rows(
    chars: Tensor, starts: Tensor, continues: Tensor, config: HashConfig, lexicon_size: int
) -> tuple[Tensor, Tensor]:
    """The row of the lexicon for the token that ends at each byte.

    Returns:
        Two int32 `[B, L]`: rows in [0, lexicon_size), and 1 on the last byte of each token.
    """
    units = token_units(chars, starts, continues, config)
    signature, lasts = word_signatures(units, starts, continues)
    return top_rows(signature * int(multipliers(config.seed, config.size + 1)[-1]), lexicon_size), lasts


def word_codes(
    chars: Tensor, starts: Tensor, continues: Tensor, slots: Tensor, num_slots: int | Tensor, config: HashConfig
) -> Tensor:
    """The code of the word in each slot, whose top bits are its row in a lexicon.

    Args:
        chars: int32 `[B, L]`, like the next three as `embed_tokens` takes them.
        starts: 1 on the first byte of each token.
        continues: 1 on its other bytes.
        slots: the slot of the token each byte belongs to.
        num_slots: T, slots of the output.
        config: the hash.

    Returns:
        int32 `[B, T]`, 0 in slots without a word.
    """
    units = token_units(chars, starts, continues, config)
    signature, lasts = word_signatures(units, starts, continues)
    codes = signature * lasts * int(multipliers(config.seed, config.size + 1)[-1])
    member = membership(starts, continues, slots, num_slots)  # [B, C, T, W]
    # One number in each sum, and halves of 16 bits, which float32 holds exactly.
    high = ops.cast(ops.cast(codes, "float32") * 2.0**-16, "int32")
    halves = (ops.cast(ops.expand_dims(in_blocks(half), 2), "float32") for half in (high, codes - high * 2**16))
    upper, lower = (ops.cast(ops.sum(member * half, axis=(1, 3)), "int32") for half in halves)
    return upper * 2**16 + lower


def top_rows(product: Tensor, size: int) -> Tensor:
    """The top bits of int32 numbers, read without sign: as many as number `size` rows."""
    # Without a shift operator. The sign bit is turned, so that the least number is row 0.
    product = product + wrap32(2**31)
    # float32 may round up to the next row, which the remainder then shows.
    step = 2**32 // size
    rows = ops.cast(ops.floor(ops.cast(product, "float32") * (1.0 / step)), "int32")
    return rows - ops.cast(ops.less(product - rows * wrap32(step), 0), "int32") + size // 2


def slot_rows(codes: Tensor, size: int, lookups: int) -> Tensor:
    """The rows of the lexicon for words with some codes, for exporters.

    Args:
        codes: int32 `[1, T]`.
        size: rows of the lexicon.
        lookups: rows of each token.

    Returns:
        int32 `[1, T, lookups]`: rows in [0, size).
    """
    scales = np.array([size**k for k in range(lookups)], np.int32)
    return top_rows(ops.expand_dims(codes, -1) * scales, size)


def slot_codes(
    chars: Tensor,
    starts: Tensor,
    continues: Tensor,
    slots: Tensor,
    num_slots: int,
    config: HashConfig,
    scatter: bool,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Tensor, Tensor]:
    """`word_codes` in few operators: for exporters, whose shapes are fixed.

    A word's signature is the sum of its units times the prime to the power of their distance to its end. Here the
    distance is to the first byte of the text; since the prime is odd, a power of it at the token's end makes up for it.

    Args:
        chars: int32 `[1, L]`, like the next three as `embed_tokens` takes them.
        starts: 1 on the first byte of each token.
        continues: 1 on its other bytes.
        slots: the slot of the token each byte belongs to; not 0.
        num_slots: T, slots of the output.
        config: the hash.
        scatter: whether bytes are added to their slot one by one, or by a product with their membership.
        block_bytes: as in `embed_tokens`; sums are exact with any.

    Returns:
        int32 `[1, T]`: codes; int32 `[1, T]`: 1 in slots with a token.
    """
    inside = starts + continues
    byte_to_token = slots * inside if scatter else (slots + 1) * inside
    units = token_units(chars, starts, continues, config) + starts * wrap32(FNV_OFFSET * FNV_PRIME)
    if chars.shape[1] > MAX_WORD_BYTES:
        units = units * ops.cast(ops.not_equal(byte_to_token, shift_left(byte_to_token, MAX_WORD_BYTES)), "int32")
    lasts = inside * (1 - shift_left(continues, 1))
    h = int(multipliers(config.seed, config.size + 1)[-1])
    if scatter:
        powers = np.stack([_powers(-1, 1, chars.shape[1]), _powers(1, h, chars.shape[1])], axis=-1)
        total, power = ops.unstack(
            add_rows(ops.stack([units, lasts], axis=-1) * powers, byte_to_token, num_slots), axis=-1
        )
    else:
        both = ops.stack([in_blocks(x, block_bytes) for x in (units, lasts)], axis=2)  # [1, C, 2, W]
        _, count, _, width = both.shape
        powers = np.stack([_powers(*x, count * width).reshape(count, width) for x in ((-1, 1), (1, h))], axis=1)
        both = both * powers
        # Halves of 16 bits, of which float32 adds up 64 exactly: a word's signature takes no more.
        high = ops.cast(ops.cast(both, "float32") * 2.0**-16, "int32")
        halves = ops.cast(ops.concatenate([high, both - high * 2**16], axis=2), "float32")
        member = membership(starts, continues, slots, num_slots, block_bytes)
        sums = add_blocks(ops.matmul(member, ops.transpose(halves, (0, 1, 3, 2))))  # [1, T, 4]
        sums = ops.unstack(ops.cast(sums, "int32") * np.array([2**16, 2**16, 1, 1], np.int32), axis=-1)
        total, power = sums[0] + sums[2], sums[1] + sums[3]
    return total * power, ops.cast(ops.not_equal(power, 0), "int32")  # no power of an odd number is 0


def _powers(sign: int, factor: int, length: int) -> np.ndarray:
    """`factor` times the prime to the power of `sign` times 0, 1 and so on: int32 `[length]`."""
    values = [factor * pow(FNV_PRIME, sign * p, 2**32) % 2**32 for p in range(length)]
    return np.array(values, np.uint32).view(np.int32)
