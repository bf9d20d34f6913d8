"""From logits to what a user reads: probabilities, names, and whether the text was read whole."""

from __future__ import annotations

import numpy as np

from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import TextOrPair, as_data, join_pair, to_bytes
from eelbert_tf.tflite.flatbuffer.metadata import Settings, label_names

# How much of a long text is tokenized at first to see that it does not fit.
_LOOK_AHEAD = 1024


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis: float64 of the same shape."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def rank(logits: np.ndarray, settings: Settings) -> list[tuple[str, float]]:
    """Classes with their probabilities, the likeliest first.

    Args:
        logits: float32 `[num_classes]`.
        settings: labels and task of the model.

    Raises:
        ValueError: the model is a regression.
    """
    if settings.task == "regression":
        raise ValueError("A regression has a score and no classes: use `predict`.")
    scores = softmax(logits)
    names = label_names(settings.labels, len(scores))
    return [(names[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def is_cut(text: TextOrPair, max_tokens: int, max_bytes: int, pair: bool, normalization: int = 0) -> bool:
    """Whether tokens of a text, or of a pair, do not fit the model, by the reference tokenizer."""
    if isinstance(text, tuple | list):
        whole = join_pair(*text, sum(map(len, map(to_bytes, text))) * 2 + 4)
    else:
        whole = to_bytes(text)
    kept = tokenize(as_data(text, max_bytes), max_tokens, max_bytes, pair, normalization)
    for end in (max_bytes + _LOOK_AHEAD, len(whole)):
        while end < len(whole) and 0x80 <= whole[end] < 0xC0:  # not within a character
            end += 1
        part = whole[:end]
        if tokenize(part, len(part) + 4, len(part) + 1, pair, normalization) != kept:
            return True
    return False
