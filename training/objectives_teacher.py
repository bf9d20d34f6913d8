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
        targets: float16 `[n, d]`, by the sentence's number.
    """

    specials: Specials
    targets: np.ndarray

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """`token_ids` int32 `[B, W + 2]` and `targets` float32 `[B, d]`, for rows that begin with their number."""
        ids = add_specials(np.ascontiguousarray(rows[:, 1:]), self.specials)
        return {"token_ids": ids, "targets": self.targets[rows[:, 0]].astype(np.float32)}


class TeacherEmbeddings(Objective):
    """The mean of the encoder's output over a sentence's tokens, and its pooled output, point where the teacher's does.

    The loss is 1 minus the cosine, for each of the two, and how far the cosines between the batch's sentences are from
    the teacher's, so that neighbours stay neighbours (Park et al. 2019, relational distillation). No weights are added:
    the teacher's embeddings are brought to the encoder's width beforehand (`teachers.teacher_targets`).
    """

    metric_names = ("cosine", "pooled_cosine")
    uses_pooler = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
        self.targets = teacher_targets(self.settings.teacher or "", every, self.config.hidden_size)
        self.splits = dict(zip(SPLITS, every.split(min(_HELD_OUT, max(1, len(every) // 10))), strict=True))

    def corruption(self, sequence_length: int) -> Corruption:
        return _Targets(self.specials, self.targets)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        inputs = self.tokens(batch["token_ids"])
        found = backbone(inputs, training=training)
        weights = ops.expand_dims(ops.cast(inputs["padding_mask"], "float32"), -1)
        mean = ops.sum(ops.cast(found["sequence_output"], "float32") * weights, axis=1)  # [B, d]
        pooled = ops.cast(found["pooled_output"], "float32")
        targets = batch["targets"]
        wanted = ops.matmul(targets, ops.transpose(targets))  # [B, B]
        count = ops.cast(ops.shape(targets)[0], "float32")
        loss: Tensor = 0.0
        metrics: Metrics = {}
        for name, vectors in zip(self.metric_names, (mean, pooled), strict=True):
            vectors = vectors * ops.rsqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + 1e-6)
            cosine = ops.mean(ops.sum(vectors * targets, axis=-1))
            between = ops.matmul(vectors, ops.transpose(vectors))
            loss = loss + 1.0 - cosine + _RELATIONS * ops.mean(ops.square(between - wanted))
            metrics[name] = (cosine, count)
        return loss, metrics
