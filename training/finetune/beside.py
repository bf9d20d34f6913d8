"""Training an encoder beside a lexical head: from the convex solution on, with what words say of unseen texts.

On TREC (2,000 texts to learn, 700 others, `uno_en`, four passes) the encoder by itself comes to 78.7, the convex fit to
84.1, and both to 84.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf.linear.heads import fit_heads
from eelbert_tf.models.classifier import LEXICAL_LOGITS, EelbertClassifier
from eelbert_tf.models.frozen import text_features
from eelbert_tf.preprocessing.base import EncodedTexts
from eelbert_tf.text.strings import TextOrPair


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
    model: EelbertClassifier,
    texts: Sequence[TextOrPair],
    targets: np.ndarray,
    loss: str = "softmax",
    sample_weight: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Gives a model the heads that suit its encoder as it is, before the encoder is trained.

    Args:
        model: whose heads change.
        texts: to learn from.
        targets: float32 `[n, C]`: probabilities of classes, or numbers.
        loss: "softmax", "sigmoid" or "squares".
        sample_weight: float32 `[n]`, of the texts in the loss.
        seed: fixes the parts that are held out.

    Returns:
        float32 `[n, C]`, the logits that words give to the texts while the encoder is trained on them (see
        `BesideWords`), or `None` where words do not help; and what `EelbertClassifier.fit_head` reports.

    Raises:
        ValueError: there are no texts.
    """
    encoded = model.encode(list(texts))
    if encoded is None or not len(encoded):
        raise ValueError(f"Expected at least one text. Received: {texts!r:.100}")
    features = text_features(model.backbone, encoded)
    config = model.backbone.config
    heads, report = fit_heads(features, targets, config.hash, loss, sample_weight, None, seed, held_out=True)
    model.set_heads(heads)
    return heads.held_out, report
