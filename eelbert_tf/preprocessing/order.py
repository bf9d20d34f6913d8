"""The order of training texts: random, but with texts of like size together, so that batches need little padding."""

from __future__ import annotations

import numpy as np

BATCHES_SORTED_TOGETHER = 64


def sort_within_windows(order: np.ndarray, sizes: np.ndarray, batch_size: int) -> np.ndarray:
    """Sorts an order by size within windows of `BATCHES_SORTED_TOGETHER` batches; equal sizes keep their order.

    Args:
        order: int64 `[n]`, indices of texts, shuffled.
        sizes: `[texts]`, the size of each text.
        batch_size: texts per batch.

    Returns:
        int64 `[n]`.
    """
    windows = np.arange(len(order)) // (batch_size * BATCHES_SORTED_TOGETHER)
    return order[np.lexsort((sizes[order], windows))]
