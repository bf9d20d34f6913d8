"""From strings to arrays of bytes: the one stage for the host only, since TPUs, XLA and TFLite have no strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from eelbert_tf.config import SEPARATOR_BYTE

Tensor = Any
Text = str | bytes
TextOrPair = Text | tuple[Text, Text]

SEPARATOR = bytes([SEPARATOR_BYTE])
_SPACE = 0x20


def to_bytes(text: Text) -> bytes:
    """UTF-8 of a text; bytes stay as they are.

    Two surrogates that make a character are one, as in the strings of Java and JavaScript; lone ones pass through.
    """
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        units = text.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def to_string(text: Text) -> str:
    """A text to be shown; what is no UTF-8 becomes U+FFFD."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def join_pair(first: Text, second: Text, max_bytes: int) -> bytes:
    """One byte string of two texts.

    Where both do not fit, the first is cut, at a space if it has one, to what the second leaves but never below half.
    """
    a = to_bytes(first).replace(SEPARATOR, b" ")
    b = to_bytes(second).replace(SEPARATOR, b" ")
    room = max(max_bytes - 1 - len(b), (max_bytes - 1) // 2)
    if len(a) > room:
        space = a.rfind(b" ", 1, room + 1)
        a = a[: space if space > 0 else room]
    return a + SEPARATOR + b


def as_data(text: TextOrPair, max_bytes: int) -> bytes:
    """At most `max_bytes` bytes of a text, or of a pair joined by the separator byte.

    In a text of its own the separator byte is white space, as it always is for a model of single texts: a model of
    pairs must not take such a text for two.
    """
    if isinstance(text, tuple | list):
        return join_pair(*text, max_bytes)[:max_bytes]
    return to_bytes(text)[:max_bytes].replace(SEPARATOR, b" ")


def pad_bytes(rows: Sequence[bytes], width: int) -> np.ndarray:
    """Byte strings as uint8 `[len(rows), width]`, cut or filled with zeros."""
    return np.frombuffer(b"".join(row[:width].ljust(width, b"\0") for row in rows), np.uint8).reshape(-1, width)


def encode_texts(texts: Iterable[TextOrPair], max_bytes: int) -> np.ndarray:
    """Texts, or pairs of texts, as the model's input.

    Args:
        texts: strings, byte strings, or tuples of two of them.
        max_bytes: bytes kept of each.

    Returns:
        int32 `[n, max_bytes]`.
    """
    return pad_bytes([as_data(text, max_bytes) for text in texts], max_bytes).astype(np.int32)


def longest(strings: Tensor, max_bytes: int) -> Tensor:
    """Bytes of the longest of some tf.strings, at least 1 and at most `max_bytes`: int32 scalar."""
    import tensorflow as tf

    return tf.clip_by_value(tf.reduce_max(tf.strings.length(strings)), 1, max_bytes)


def decode_strings(strings: Tensor, max_bytes: int | Tensor) -> Tensor:
    """`encode_texts` for a tf.string tensor in the graph: int32 `[..., max_bytes]`.

    A tensor `[B]` holds texts, in which the separator byte is white space; any other holds tokens, left as they are.
    """
    import tensorflow as tf

    data = tf.cast(tf.io.decode_raw(strings, tf.uint8, fixed_length=max_bytes), tf.int32)
    return tf.where(data == SEPARATOR_BYTE, _SPACE, data) if strings.shape.rank == 1 else data


def decode_pairs(first: Tensor, second: Tensor, max_bytes: int) -> Tensor:
    """`encode_texts` for two tf.string tensors `[B]`, in the graph: int32 `[B, max_bytes]`."""
    import tensorflow as tf

    def decode(strings: Tensor) -> tuple[Tensor, Tensor]:
        length = tf.minimum(tf.strings.length(strings), max_bytes)
        return decode_strings(strings, max_bytes), length[:, None]

    a, a_length = decode(first)
    b, b_length = decode(second)
    positions = tf.range(max_bytes)[None, :]
    room = tf.maximum(max_bytes - 1 - b_length, (max_bytes - 1) // 2)
    spaces = tf.where((a == _SPACE) & (positions <= room), positions, 0)
    last_space = tf.reduce_max(spaces, axis=1, keepdims=True)
    cut = tf.where(last_space > 0, last_space, room)
    a_length = tf.where(a_length > room, cut, a_length)
    shifted = tf.gather(b, tf.maximum(positions - a_length - 1, 0), batch_dims=1)
    joined = tf.where(positions < a_length, a, tf.where(positions == a_length, SEPARATOR_BYTE, shifted))
    return tf.where(positions > a_length + b_length, 0, joined)


def is_string_tensor(x: Any) -> bool:
    """Whether `x` is a tensor of strings; a column of pandas, whose type may have the same name, is none."""
    dtype = getattr(x, "dtype", "")
    return "string" in (getattr(dtype, "name", None), str(dtype)) and not hasattr(x, "tolist")
