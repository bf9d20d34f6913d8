"""Checks that logits are finite before a runtime returns them."""

from __future__ import annotations

import numpy as np

from eelbert_tf.errors import InputError


def check_logits(logits: np.ndarray) -> np.ndarray:
    """Returns logits unchanged if all are finite.

    Args:
        logits: float `[n, num_classes]`, a row for each text.

    Raises:
        InputError: some are NaN or infinite; it names the first text.
    """
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise InputError(
            f"The model gives NaN or infinite numbers for {bad.sum()} of {len(logits)} texts, first for text "
            f"{int(bad.argmax()) + 1}: its weights are damaged or too large. Take an earlier copy of the model, or "
            "train it again at a lower learning rate"
        )
    return logits
