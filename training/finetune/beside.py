"""Training an encoder beside a lexical head: from the convex solution on, with what words say of unseen texts.

On TREC (2,000 texts to learn, 700 others, `uno_en`, four passes) the encoder by itself comes to 78.7, the convex fit to
84.1, and both to 84.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eelbert_tf.linear.heads import fit_heads
from eelbert_tf.models.classifier import LEXICAL_LOGITS, EelbertClassifier
from eelbert_tf.models.frozen import text_features
from eelbert_tf.preprocessing.base import EncodedTexts


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
    texts: EncodedTexts,
    targets: np.ndarray,
    loss: str = "softmax",
    sample_weight: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[EncodedTexts, dict[str, Any]]:
    """Gives a model the heads that suit its encoder as it is, before the encoder is trained.

    Args:
        model: whose heads change.
        texts: to learn from, encoded.
        targets: float32 `[n, C]`: probabilities of classes, or numbers.
        loss: "softmax", "sigmoid" or "squares".
        sample_weight: float32 `[n]`, of the texts in the loss.
        seed: fixes the parts that are held out.

    Returns:
        The texts to train the encoder on, with what words say of them where these help, and what
        `EelbertClassifier.fit_head` reports.
    """
    features = text_features(model.backbone, texts)
    config = model.backbone.config
    heads, report = fit_heads(features, targets, config.hash, loss, sample_weight, None, seed, held_out=True)
    model.set_heads(heads)
    return texts if heads.held_out is None else BesideWords(texts, heads.held_out), report
