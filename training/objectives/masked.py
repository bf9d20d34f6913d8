"""Masked language modelling: over the most frequent words, or over the batch's own words.

A word's output vector is its hash embedding, as at the input, so that no output table is learned or stored. If the
encoder's width is not that of the hash, a learned projection brings the vectors to the encoder's width. If the encoder
has a lexicon, the words' lexicon vectors are added. A model with a vocabulary uses its token table at the output too.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.training.tokens.stream import Corruption

from .base import Metrics, Objective

Tensor = Any


class MaskedHead(Objective):
    """What both kinds share: the transform of BERT's head, and the vectors of the output words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.config
        normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.transform = keras.layers.Dense(config.hidden_size, kernel_initializer=normal, name="transform")
        self.transform_norm = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, name="transform_norm")
        self.projection = None
        if config.hash is not None and config.hash.size != config.hidden_size:
            self.projection = keras.layers.Dense(
                config.hidden_size, use_bias=False, kernel_initializer="glorot_uniform", name="output_projection"
            )

    def build(self, *_: Any) -> None:
        """Creates the head."""
        size = self.config.hidden_size
        self.transform.build((None, size))
        self.transform_norm.build((None, size))
        if self.projection is not None and self.config.hash is not None:
            self.projection.build((None, self.config.hash.size))
        self.built = True

    @property
    def words(self) -> int:
        """Words with smaller ids are masked, others never."""
        raise NotImplementedError

    @property
    def output_words(self) -> int:
        """V, the number of words that are predicted over a fixed vocabulary."""
        return self.tokens.size(max_size=self.settings.output_words)

    def masking(self, sequence_length: int, words: int) -> Corruption:
        """The function that masks words with ids below `words`."""
        rate = self.settings.mask_rate
        return self.tokens.masking(rate, max(1, round(rate * sequence_length)), words, sequence_length)

    def corruption(self, sequence_length: int) -> Corruption:
        return self.masking(sequence_length, self.words)

    def log_frequencies(self, words: int) -> np.ndarray:
        """The logarithm of each word's relative frequency among the first `words`: float32 `[words]`."""
        counts = np.maximum(self.tokens.counts[:words], 1)
        return np.log(counts / counts.sum()).astype(np.float32)

    def closed_loss(self, x: Tensor, targets: Tensor, bias: Any, backbone: Any) -> tuple[Tensor, Metrics]:
        """The loss of predictions `x` `[N, d]` of `targets` `[B, M]` over the first V words; `bias` float32 `[V]`."""
        targets = ops.reshape(targets, (-1,))
        weights = ops.cast(ops.greater_equal(targets, 0), "float32")
        targets = ops.maximum(targets, 0)
        embeddings, rows = self.tokens.first(self.output_words, backbone)
        vectors = self.output_vectors(embeddings, rows, backbone)  # [V, d]
        bias = ops.convert_to_tensor(bias)
        logits = ops.cast(ops.matmul(x, ops.transpose(vectors)), "float32") + bias  # [N, V]
        own = ops.cast(ops.take(vectors, targets, axis=0), "float32")
        hit = ops.sum(ops.cast(x, "float32") * own, axis=-1) + ops.take(bias, targets)  # [N]
        return softmax_loss(logits, hit, weights)

    def predictions(self, batch: dict[str, Tensor], backbone: Any, training: bool | None) -> Tensor:
        """The transformed output at the masked positions: float `[B * M, hidden_size]`."""
        inputs = self.tokens(batch["token_ids"])
        x = backbone({**inputs, "output_positions": batch["positions"]}, training=training)["sequence_output"]
        x = ops.reshape(x, (-1, self.config.hidden_size))
        return self.transform_norm(ops.gelu(self.transform(x), approximate=False))

    def output_vectors(self, embeddings: Tensor, rows: Tensor | None, backbone: Any) -> Tensor:
        """Vectors of output words, float `[n, hidden_size]`, scaled so that logits are near 1 at the start."""
        vectors = embeddings if self.projection is None else self.projection(embeddings)
        if rows is not None:
            vectors = vectors + ops.cast(backbone.lexicon.look_up(rows), vectors.dtype)
        return vectors * self.tokens.output_scale


def softmax_loss(logits: Tensor, hit: Tensor, weights: Tensor) -> tuple[Tensor, Metrics]:
    """The mean cross entropy, and the accuracy.

    Args:
        logits: float32 `[N, V]`.
        hit: float32 `[N]`, the logits of the targets. They are computed separately, so that no gradient is scattered
            into `[N, V]`, and may be rounded a little differently.
        weights: float32 `[N]`, 1 if a position counts, else 0.
    """
    count = ops.sum(weights)
    divisor = ops.maximum(count, 1.0)
    losses = ops.logsumexp(logits, axis=-1) - hit
    best = ops.max(ops.stop_gradient(logits), axis=-1)
    correct = ops.cast(ops.greater_equal(hit + 1e-3 * ops.abs(best), best), "float32")
    return ops.sum(losses * weights) / divisor, {"accuracy": (ops.sum(correct * weights) / divisor, count)}


class MaskedWords(MaskedHead):
    """Masked language modelling over the `output_words` most frequent words, as in the paper.

    Rarer words are read, but never masked and never predicted.
    """

    @property
    def words(self) -> int:
        return self.output_words

    def build(self, *_: Any) -> None:
        """Creates the head; the biases begin as the words' log frequencies, the best guess without context."""
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.words,), initializer=constant(self.log_frequencies(self.words))
        )
        super().build()

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        x = self.predictions(batch, backbone, training)
        return self.closed_loss(x, batch["targets"], self.output_bias, backbone)


class OpenWords(MaskedHead):
    """Masked language modelling without an output vocabulary: each masked word against all others of the batch.

    This is a sampled softmax whose candidates are the batch's masked words, each embedded by the same hash as at the
    input, so that any word can be predicted. Since candidates occur in proportion to their frequency, a logit learns
    how much more probable a word is here than elsewhere. Other occurrences of the target are no candidates.

    Held-out text is scored as by `MaskedWords`, over the `output_words` most frequent words.
    """

    @property
    def words(self) -> int:
        """All words that occur more than once."""
        return self.tokens.size(min_count=2)

    def build(self, *_: Any) -> None:
        """Creates the head, and the log frequencies of the output words, which are not trained."""
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self.output_words,),
            initializer=constant(self.log_frequencies(self.output_words)),
            trainable=False,
        )
        super().build()

    def held_out_corruption(self, sequence_length: int) -> Corruption:
        return self.masking(sequence_length, self.output_words)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        x = self.predictions(batch, backbone, training)  # [N, d]
        if not training:
            return self.closed_loss(x, batch["targets"], self.output_bias, backbone)
        loss, metrics, _ = self.sampled_loss(x, batch["targets"], backbone)
        return loss, metrics

    def sampled_loss(self, x: Tensor, targets: Tensor, backbone: Any) -> tuple[Tensor, Metrics, Tensor]:
        """The loss of predictions `x` `[N, d]` of `targets` `[B, M]` over the targets themselves.

        Returns:
            The loss, the metrics, and logits float32 `[N, N]`, -1e9 for what is no candidate.
        """
        targets = ops.reshape(targets, (-1,))
        weights = ops.cast(ops.greater_equal(targets, 0), "float32")
        targets = ops.maximum(targets, 0)
        embeddings, rows = self.tokens.look_up(targets, backbone)
        vectors = self.output_vectors(embeddings, rows, backbone)  # [N, d]
        logits = ops.cast(ops.matmul(x, ops.transpose(vectors)), "float32")  # [N, N]
        hit = ops.sum(ops.cast(x, "float32") * ops.cast(vectors, "float32"), axis=-1)  # the diagonal
        same = ops.equal(ops.expand_dims(targets, 1), ops.expand_dims(targets, 0))
        copies = ops.logical_xor(same, ops.eye(ops.shape(targets)[0], dtype="bool"))
        excluded = ops.logical_or(copies, ops.expand_dims(ops.equal(weights, 0.0), 0))
        logits = ops.where(excluded, -1e9, logits)
        return *softmax_loss(logits, hit, weights), logits


def constant(array: np.ndarray) -> Any:
    """An initializer that returns this array."""
    return lambda shape, dtype: ops.convert_to_tensor(array, dtype)
