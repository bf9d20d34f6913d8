"""From logits to what a user reads: probabilities, names, and whether the text was read whole."""

from __future__ import annotations

import numpy as np

from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import TextOrPair, as_data, to_bytes
from eelbert_tf.text.words import WIDE_SPACE, clean, split_words
from eelbert_tf.tflite.flatbuffer.metadata import Settings, label_names


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


def is_cut(text: TextOrPair, max_tokens: int, max_bytes: int, pair: bool) -> bool:
    """Whether tokens of a text, or of a pair, do not fit the model, by the reference tokenizer."""
    kept = tokenize(as_data(text, max_bytes), max_tokens, max_bytes, pair)
    words = [*kept.first, *(kept.second or [])]
    parts = text if isinstance(text, tuple | list) else [text]
    spaced = [WIDE_SPACE.sub(b" ", clean(to_bytes(part))) for part in parts]
    # Counted first: a long text that has more to read than was kept need not be split.
    if sum(len(part.translate(None, b" \n")) for part in spaced) != sum(map(len, words)):
        return True
    whole = [split_words(b" ".join(part.split())) for part in spaced]
    if kept.second is None:
        return words != [word for part in whole for word in part]
    return [kept.first, kept.second] != whole
