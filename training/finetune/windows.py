"""Texts that are longer than a model's input: how many there are, and whether they are read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf.config import MAX_WINDOWS, EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import to_bytes
from eelbert_tf.text.windows import Windows

AUTO = "auto"
AUTO_WINDOWS = 8  # of a text: about 800 English words; more would make trainings long
_FEW = 0.03  # share of longer texts up to which "auto" cuts them off


def about_windows(texts: Sequence[Any], config: EelbertConfig) -> dict[str, Any]:
    """How texts fit into windows.

    Args:
        texts: single ones.
        config: of a model with a hash.

    Returns:
        The number of texts that are `longer` than a window and of those that are `cut`, that of windows of the longest
        one, `most`, and of those that the model has for one, `read`, and the `mean` that is read of a text.
    """
    assert config.hash is not None
    limits = (config.max_tokens, config.max_bytes, config.max_windows, config.window_overlap)
    windows = Windows(*limits, config.hash.normalization)
    counts = np.array([max(1, sum(1 for _ in windows.find(to_bytes(text)))) for text in texts])
    read = np.minimum(counts, config.max_windows)
    return {
        "longer": int((counts > 1).sum()),
        "cut": int((counts > config.max_windows).sum()),
        "most": int(counts.max()),
        "read": config.max_windows,
        "mean": round(float(read.mean()), 2),
    }


def choose_windows(asked: str, overlap: int, texts: Sequence[Any], config: EelbertConfig | None) -> dict[str, int]:
    """The fields of a model's configuration that say how it reads long texts.

    Args:
        asked: a number of windows, or "auto": that of the model if it reads windows, else `AUTO_WINDOWS` where more
            than a few texts are longer than one.
        overlap: tokens that a window has in common with the one before.
        texts: to learn from; perhaps pairs.
        config: of the model to be; `None` where it is not known.

    Raises:
        InputError: the number is none, or the texts or the model cannot be read in windows.
    """
    if asked != AUTO and not (asked.isdecimal() and 1 <= int(asked) <= MAX_WINDOWS):
        raise InputError(f"--windows: expected {AUTO} or a number from 1 to {MAX_WINDOWS}, not {asked}")
    if config is None:
        return {}
    pairs = not isinstance(texts[0], str)
    if pairs or config.hash is None:
        if asked not in (AUTO, "1"):
            why_not = "pairs of texts are" if pairs else "a model with a vocabulary is"
            raise InputError(f"--windows: {why_not} read in one window, not {asked}")
        return {"max_windows": 1, "window_overlap": 0} if config.max_windows > 1 else {}
    if asked == AUTO and config.max_windows == 1:
        found = about_windows(texts, config)
        read = AUTO_WINDOWS if found["longer"] > _FEW * len(texts) else 1
    else:
        read = config.max_windows if asked == AUTO else int(asked)
    return {"max_windows": read, "window_overlap": overlap}
