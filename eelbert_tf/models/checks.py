"""Checks of a task's arguments: its preprocessor, and labels and weights beside texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from eelbert_tf.preprocessing.base import Preprocessor
from eelbert_tf.preprocessing.columns import one_line
from eelbert_tf.preprocessing.hashed_texts import HashedTexts

from .backbone import EelbertBackbone


def check_preprocessor(preprocessor: Preprocessor, backbone: EelbertBackbone, reads_windows: bool = False) -> None:
    """Checks that a preprocessor fits a backbone.

    Args:
        preprocessor: which makes the inputs.
        backbone: which takes them.
        reads_windows: whether the task reads a text in several windows.

    Raises:
        ValueError: it does not.
    """
    config = backbone.config
    makes_bytes = isinstance(preprocessor, HashedTexts)
    if makes_bytes != (config.hash is not None):
        wanted = "HashedTexts" if config.hash is not None else "WordPiece"
        raise ValueError(f"This backbone needs a `{wanted}`. Received: preprocessor={type(preprocessor).__name__}")
    limits = [("max_tokens", config.max_tokens, preprocessor.max_tokens), ("pair", backbone.pair, preprocessor.pair)]
    if isinstance(preprocessor, HashedTexts) and config.hash is not None:
        limits.append(("max_bytes", config.max_bytes, preprocessor.max_bytes))
        limits.append(("normalization", config.hash.normalization, preprocessor.normalization))
        limits.append(("max_windows", config.max_windows if reads_windows else 1, preprocessor.max_windows))
        if preprocessor.max_windows > 1:
            limits.append(("window_overlap", config.window_overlap, preprocessor.window_overlap))
    for name, ours, theirs in limits:
        if ours != theirs:
            raise ValueError(
                f"Backbone and preprocessor must agree on `{name}`. Received: {ours} in the backbone, {theirs} in the "
                "preprocessor"
            )


def check_count(count: int, values: np.ndarray, name: str) -> None:
    """Checks that there is one value per text.

    Raises:
        ValueError: there are more or fewer.
    """
    if not count:
        raise ValueError("Expected at least one text. Received none")
    if len(values) != count:
        raise ValueError(f"Expected one {name} per text. Received: {count} texts and {len(values)} {name}s")


def check_devices(count: int, batch_size: int, devices: int) -> None:
    """Checks that every device gets at least one text of each batch.

    Raises:
        ValueError: a device would get none.
    """
    if min(count, batch_size) < devices:
        raise ValueError(
            f"Each of the {devices} devices needs a text of every batch. Received: {count} texts, "
            f"batch_size={batch_size}"
        )


def sample_weights(sample_weight: Any, count: int) -> np.ndarray | None:
    """Weights of texts in the loss as float32 `[n]`; `None` where none are given.

    Raises:
        ValueError: there are more or fewer than texts, or one is negative or not finite.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"Sample weights must be numbers, one per text. Received: {one_line(sample_weight)}") from None
    if weights.shape != (count,):
        raise ValueError(f"Expected one sample weight per text, [{count}]. Received weights of shape {weights.shape}")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        row = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise ValueError(f"Sample weights must be finite and not negative. Received in row {row}: {weights[row]}")
    return weights


def split_at(count: int, validation_split: float) -> int:
    """The number of texts to train on; the rest is for validation.

    Raises:
        ValueError: one of the parts would be empty.
    """
    kept = int(count * (1 - validation_split)) if 0 < validation_split < 1 else 0
    if not 0 < kept < count:
        raise ValueError(
            f"`validation_split` must lie between 0 and 1 and leave texts in both parts. Received: {validation_split} "
            f"of {count} texts"
        )
    return kept
