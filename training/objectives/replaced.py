"""Replaced-token detection (Clark et al. 2020, ELECTRA): learns from every position, without an output layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from eelbert_tf.training.tokens.masking import WordReplacing
from eelbert_tf.training.tokens.stream import Corruption

from .base import Metrics, Objective
from .masked import OpenWords

Tensor = Any

_GENERATOR_WEIGHT = 1 / 50  # weight of its loss relative to the detector's, as in the paper


class ReplacedWords(Objective):
    """Detects words that were replaced.

    The replacements come from word pairs of the batch (`masking.WordReplacing`). With `generator="network"` they come
    from a network of one block, which is trained beside the encoder to predict masked words among those of the batch.
    """

    metric_names = ("accuracy", "recall")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.config
        normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.transform = keras.layers.Dense(config.hidden_size, kernel_initializer=normal, name="transform")
        self.detector = keras.layers.Dense(1, kernel_initializer=normal, name="detector")
        self.generator = None
        if self.settings.generator == "network":
            self.generator = Generator(*args, name="generator")

    def build(self, *_: Any) -> None:
        """Creates the head, and the generator."""
        self.transform.build((None, self.config.hidden_size))
        self.detector.build((None, self.config.hidden_size))
        if self.generator is not None:
            self.generator.build()
        self.built = True

    def corruption(self, sequence_length: int) -> Corruption:
        if self.generator is not None:
            return self.generator.corruption(sequence_length)
        return WordReplacing(self.specials, self.settings.mask_rate)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        generator_loss: Tensor = 0.0
        if self.generator is not None:
            generator_loss, batch = self.generator.fill_in(batch, training)
        x = backbone(self.tokens(batch["token_ids"]), training=training)["sequence_output"]
        x = ops.gelu(self.transform(x), approximate=False)
        logits = ops.cast(ops.squeeze(self.detector(x), -1), "float32")  # [B, T]
        labels = ops.cast(batch["replaced"], "float32")
        weights = ops.cast(ops.greater_equal(labels, 0.0), "float32")
        labels = ops.maximum(labels, 0.0)
        losses = ops.softplus(logits) - logits * labels
        correct = ops.cast(ops.equal(ops.greater(logits, 0.0), ops.greater(labels, 0.5)), "float32")
        count, replaced = ops.sum(weights), ops.sum(labels)
        loss = ops.sum(losses * weights) / ops.maximum(count, 1.0)
        metrics = {
            "accuracy": (ops.sum(correct * weights) / ops.maximum(count, 1.0), count),
            "recall": (ops.sum(correct * labels) / ops.maximum(replaced, 1.0), replaced),
        }
        return loss + _GENERATOR_WEIGHT * generator_loss, metrics


class Generator(OpenWords):
    """A small encoder that fills in masked words with others of the batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from eelbert_tf.models.backbone import EelbertBackbone

        super().__init__(*args, **kwargs)
        self.encoder = EelbertBackbone(
            self.config.replace(
                num_hidden_layers=1,
                intermediate_size=self.config.hidden_size,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
            name="encoder",
        )
        if self.encoder.pooler is not None:
            self.encoder.pooler.trainable = False
        self.random = keras.random.SeedGenerator(self.settings.seed, name="seed_generator")

    def fill_in(self, batch: dict[str, Tensor], training: bool | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The generator's loss, and the detector's batch: `token_ids` and `replaced`, both int32 `[B, T]`.

        Args:
            batch: a batch of masked language modelling.
            training: whether to draw new replacements at each call.
        """
        targets = batch["targets"]  # [B, M]
        used = ops.greater_equal(targets, 0)
        loss, _, logits = self.sampled_loss(self.predictions(batch, self.encoder, training), targets, self.encoder)
        seed = self.random if training else self.settings.seed  # scoring changes no state and can be repeated
        drawn = keras.random.categorical(ops.stop_gradient(logits), 1, dtype="int32", seed=seed)
        words = ops.take(ops.reshape(ops.maximum(targets, 0), (-1,)), ops.squeeze(drawn, -1))
        words = ops.where(used, ops.reshape(words, ops.shape(targets)), targets)
        ids = batch["token_ids"]  # [B, T]
        columns = ops.expand_dims(ops.arange(ops.shape(ids)[1], dtype="int32"), (0, 1))
        member = ops.equal(ops.expand_dims(ops.where(used, batch["positions"], -1), -1), columns)  # [B, M, T]
        member = ops.cast(member, "int32")
        kept = ids * (1 - ops.sum(member, axis=1))
        original = kept + ops.sum(member * ops.expand_dims(targets, -1), axis=1)
        changed = kept + ops.sum(member * ops.expand_dims(words, -1), axis=1)
        labels = ops.cast(ops.not_equal(original, changed), "int32")
        return loss, {"token_ids": changed, "replaced": ops.where(ops.less(original, self.specials.cls), labels, -1)}
