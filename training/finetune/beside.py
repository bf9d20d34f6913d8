"""Training an encoder beside a lexical head: from the convex solution on, with what words say of unseen texts.

On TREC (2,000 texts to learn, 700 others, `uno_en`, four passes) the encoder by itself comes to 78.7, the convex fit to
84.1, and both to 84.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.linear.heads import Heads
from eelbert_tf.models.classifier import LEXICAL_LOGITS, EelbertClassifier
from eelbert_tf.preprocessing.base import EncodedTexts
from eelbert_tf.preprocessing.batches import OrderedBatches
from eelbert_tf.preprocessing.windowed_texts import WindowedTexts

from .labelled import Labelled
from .recipe import Recipe

_BATCH_SIZE = 128


class BesideWords:
    """Encoded texts whose batches hold, beside the inputs, the logits of the words.

    Args:
        texts: encoded.
        logits: float32 `[n, C]`.
    """

    def __init__(self, texts: EncodedTexts, logits: np.ndarray) -> None:
        self._texts = texts
        self._logits = logits
        self.token_counts, self.levels, self.shapes = texts.token_counts, texts.levels, texts.shapes

    def __len__(self) -> int:
        return len(self._texts)

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input for some texts."""
        return {**self._texts.batch(indices), LEXICAL_LOGITS: self._logits[indices]}


def start_beside_words(
    model: EelbertClassifier, train: Labelled, dev: Labelled | None, recipe: Recipe, quiet: bool = False
) -> tuple[Labelled, Labelled | None, dict[str, Any]]:
    """Gives a model the heads that suit its encoder as it is, before the encoder is trained.

    While it is trained, words say of each text what they learned from others. With their own answers on texts that they
    have learned there would be nothing left to learn.

    Args:
        model: with a hash; its heads change.
        train: texts to learn from, and the same ready for batching.
        dev: held-out texts, likewise.
        recipe: of which `lexical`, the seed and the weights of classes count.
        quiet: whether to show no progress.

    Returns:
        The texts, beside what words say of them where words help; and what `EelbertClassifier.fit_head` reports.

    Raises:
        ValueError: there are no texts.
    """
    heads, report = set_suited_heads(model, train, recipe, quiet, held_out_words=True)
    if heads.held_out is None:
        return train, dev, report
    train = replace(train, ready=BesideWords(train.ready, heads.held_out))
    if dev is not None:
        dev = replace(dev, ready=BesideWords(dev.ready, word_logits(model, list(dev.texts))))
    return train, dev, report


def set_suited_heads(
    model: EelbertClassifier, train: Labelled, recipe: Recipe, quiet: bool = False, held_out_words: bool = False
) -> tuple[Heads, dict[str, Any]]:
    """Gives a model the heads that suit its encoder as it is.

    Args:
        model: as in `start_beside_words`.
        train: likewise.
        recipe: likewise.
        quiet: likewise.
        held_out_words: as in `EelbertClassifier.find_heads`.

    Returns:
        The heads, and what `fit_head` reports.
    """
    how = (recipe.lexical, recipe.class_weight, None, recipe.seed)
    texts = list(train.texts)
    heads, report = model.find_heads(texts, train.labels, *how, True, held_out_words, quiet)
    model.set_heads(heads)
    return heads, report


def word_logits(model: EelbertClassifier, texts: list[Any]) -> np.ndarray:
    """What a model's lexical head says of texts: float32 `[n, C]`."""
    encoded = model.encode(texts)
    assert encoded is not None
    windows = encoded.windows() if isinstance(encoded, WindowedTexts) else encoded
    batches = OrderedBatches(windows, None, _BATCH_SIZE)
    rows = []
    for i in range(len(batches)):
        found = model.backbone(batches[i][0], training=False, pooled_only=True, with_ngrams=True)
        rows.append(ops.convert_to_numpy(model.lexical(found["ngrams"], found["padding_mask"])))
    logits = batches.restore(np.concatenate(rows))
    return encoded.mean(logits) if isinstance(encoded, WindowedTexts) else logits
