"""Copies of Keras classifiers, for what changes a model's layers: the model of the user stays as it is."""

from __future__ import annotations

from typing import Any


def copy_of(model: Any) -> Any:
    """A classifier of the same configuration with the same weights."""
    copied = type(model).from_config(model.get_config())
    copied.set_weights(model.get_weights())
    return copied
