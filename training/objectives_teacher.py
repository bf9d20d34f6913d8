"""Distillation from a sentence teacher: the encoder learns to give the teacher's embeddings of unlabelled sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.errors import InputError

from .corpus_sequences import SPLITS
from .masking import Batch, Specials, add_specials
from .objectives_base import Metrics, Objective
from .pretrain_data import Corruption
from .sentences import Sentences, sample
from .teachers import teacher_targets

Tensor = Any

_HELD_OUT = 2000  # sentences that are scored, never learned from
_RELATIONS = 10.0  # weight of the squared differences, which are small beside 1 minus the cosine


@dataclass(frozen=True, eq=False)
class _Targets:
    """Sentences with what the teacher says of them.

    Args:
        specials: ids of the special tokens.
        targets: float16 `[n, 1 + W, d]`, by the sentence's number: the sentence, then its words.
    """

    specials: Specials
    targets: np.ndarray

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of a step, for rows that begin with their number.

        Returns:
            `token_ids` int32 `[B, W + 2]`, `targets` float32 `[B, d]` and `word_targets` float32 `[B, W, d]`.
        """
        ids = add_specials(np.ascontiguousarray(rows[:, 1:]), self.specials)
        targets = self.targets[rows[:, 0], : rows.shape[1]].astype(np.float32)
        return {"token_ids": ids, "targets": targets[:, 0], "word_targets": targets[:, 1:]}


class TeacherEmbeddings(Objective):
    """The output at each word, its mean over a sentence's tokens, and the pooled output point where the teacher's do.

    The loss is 1 minus the cosine, for each of the three, and how far the cosines between the batch's sentences are
    from the teacher's, so that neighbours stay neighbours (Park et al. 2019, relational distillation). No weights are
    added: the teacher's embeddings are brought to the encoder's width beforehand (`teachers.teacher_targets`).
    """

    metric_names: tuple[str, ...] = ("cosine", "word_cosine", "pooled_cosine")
    uses_pooler = True
    ragged = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.config.pooling == "mean":
            self.metric_names = self.metric_names[:-1]  # the pooled output is the mean
        self.splits: dict[str, Sentences] = {}

    def build(self, *_: Any) -> None:
        """It has no weights."""
        self.built = True

    def sequences(self, sequence_length: int, seed: int, split: str) -> Sentences:
        if not self.splits:
            self._ask(sequence_length)
        return self.splits[split]

    def _ask(self, sequence_length: int) -> None:
        """Finds the sentences and hears the teacher: seconds at best, so once for both splits.

        Raises:
            InputError: the corpus has no two sentences of that length.
        """
        every = sample(self.tokens.corpus, self.settings.sentences or 0, sequence_length - 2)
        if len(every) < 2:
            raise InputError(
                f"{self.tokens.corpus.directory}: has no two sentences of up to {sequence_length - 2} words"
            )
        self.targets = teacher_targets(
            self.settings.teacher or "", every, self.config.hidden_size, self.settings.teacher_precision
        )
        self.splits = dict(zip(SPLITS, every.split(min(_HELD_OUT, max(1, len(every) // 10))), strict=True))

    def corruption(self, sequence_length: int) -> Corruption:
        return _Targets(self.specials, self.targets)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        inputs = self.tokens(batch["token_ids"])
        found = backbone(inputs, training=training)
        output = ops.cast(found["sequence_output"], "float32")  # [B, T, d]
        words = batch["word_targets"]
        there = ops.sum(ops.square(words), axis=-1)  # [B, W], 1 where there is a word
        cosines = ops.sum(unit(output[:, 1:-1]) * words, axis=-1)
        count = ops.sum(there)
        word_cosine = ops.sum(cosines) / ops.maximum(count, 1.0)
        weights = ops.expand_dims(ops.cast(inputs["padding_mask"], "float32"), -1)
        vectors = {"cosine": ops.sum(output * weights, axis=1)}  # [B, d]
        if backbone.pooler is not None:
            vectors["pooled_cosine"] = ops.cast(found["pooled_output"], "float32")
        targets = batch["targets"]
        wanted = ops.matmul(targets, ops.transpose(targets))  # [B, B]
        sentences = ops.cast(ops.shape(targets)[0], "float32")
        loss: Tensor = 1.0 - word_cosine
        metrics: Metrics = {"word_cosine": (word_cosine, count)}
        for name, vector in vectors.items():
            vector = unit(vector)
            cosine = ops.mean(ops.sum(vector * targets, axis=-1))
            between = ops.matmul(vector, ops.transpose(vector))
            loss = loss + 1.0 - cosine + _RELATIONS * ops.mean(ops.square(between - wanted))
            metrics[name] = (cosine, sentences)
        return loss, metrics


def unit(x: Tensor) -> Tensor:
    """Vectors along the last axis, brought to length 1."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)
