"""Texts of several windows in a classifier: each goes through the backbone by itself, and their logits are averaged.

The dense layer is linear, so that the mean of logits is what it makes of the mean of pooled outputs.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from eelbert_tf.preprocessing.windowed_texts import SPECIALS

Tensor = Any


def split_windows(inputs: Any) -> tuple[Any, Tensor | None]:
    """Inputs of windows as a backbone takes them.

    Args:
        inputs: what a backbone takes, or a dictionary of the same with one more axis, `[B, W, ...]`.

    Returns:
        The inputs, `[B * W, ...]` where there were windows; and their `padding_mask` `[B, W, T]`, or `None`.
    """
    mask = inputs.get("padding_mask") if isinstance(inputs, dict) else None
    if mask is None or len(mask.shape) == 2:
        return inputs, None
    windows = {name: x for name, x in inputs.items() if len(x.shape) > 2}
    return {name: ops.reshape(x, (-1, *ops.shape(x)[2:])) for name, x in windows.items()}, mask


def mean_of_windows(values: Tensor, padding_mask: Tensor) -> Tensor:
    """The mean over the windows of each text, by the number of their tokens.

    Args:
        values: float `[B * W, n]`.
        padding_mask: int32 `[B, W, T]`; of a window that only fills up, that of an empty text.

    Returns:
        float `[B, n]`.
    """
    _, width, _ = ops.shape(padding_mask)
    tokens = ops.sum(padding_mask, axis=-1) - SPECIALS  # [B, W]
    first = ops.cast(ops.equal(ops.arange(width), 0), tokens.dtype)
    weights = ops.cast(ops.maximum(tokens, first), values.dtype)  # a text without tokens is its first window
    shares = weights / ops.sum(weights, axis=1, keepdims=True)
    values = ops.reshape(values, (-1, width, values.shape[-1]))
    return ops.matmul(ops.expand_dims(shares, 1), values)[:, 0]
