"""Copies of Keras models: conversion changes layers, and the user's model must stay as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from eelbert_tf.errors import InputError

FLOAT32 = "float32"


def is_float32(model: Any) -> bool:
    """Whether every layer of a model computes in float32."""
    return all(layer.compute_dtype == FLOAT32 for layer in model._flatten_layers())


def copy_of(model: Any, **changes: int) -> Any:
    """A copy of a model in float32, whatever the precision of the original.

    Args:
        model: a classifier, tagger or sentence encoder.
        **changes: fields of the encoder's configuration that do not touch the weights, `max_tokens` for example.

    Raises:
        InputError: the model has weights that its configuration does not describe.
    """
    try:
        config = _replaced(model.get_config(), {**changes, "dtype": FLOAT32})
    except ValueError as error:  # a layer is quantized, or has LoRA's matrices
        raise InputError(f"The model cannot be converted: {error}") from None
    with _float32():
        copied = type(model).from_config(config)
    weights, shapes = model.weights, [tuple(weight.shape) for weight in copied.weights]
    if [tuple(weight.shape) for weight in weights] != shapes:
        raise InputError(
            "The model has other weights than its configuration asks for, as after `quantize` or `enable_lora`: "
            "convert the model as it was before, and quantize by the conversion"
        )
    copied.set_weights([np.asarray(keras.ops.convert_to_numpy(weight), np.float32) for weight in weights])
    return copied


@contextmanager
def _float32() -> Iterator[None]:
    """Layers created in the block are float32, whatever the process's own policy is."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(FLOAT32)
    keras.config.set_dtype_policy(FLOAT32)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def _replaced(config: Any, values: dict[str, Any]) -> Any:
    """A serialized configuration in which every field of these names, however deep, has another value."""
    if isinstance(config, dict):
        return {key: values.get(key, _replaced(value, values)) for key, value in config.items()}
    return [_replaced(part, values) for part in config] if isinstance(config, list | tuple) else config


def check_finite(model: Any) -> None:
    """Checks that every weight of a model is a number.

    Raises:
        InputError: one is NaN or infinite; it names the weight.
    """
    for weight in model.weights:
        values = np.asarray(keras.ops.convert_to_numpy(weight), np.float32)
        if not np.isfinite(values).all():
            where = ", ".join(str(i) for i in np.argwhere(~np.isfinite(values))[0])
            count = int((~np.isfinite(values)).sum())
            raise InputError(
                f"The weight {weight.path} is damaged: {count} of {values.size} numbers are NaN or infinite, the first "
                f"at [{where}]. Take an earlier copy of the model, or train it again at a lower learning rate"
            )
