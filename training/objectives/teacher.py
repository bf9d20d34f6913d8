"""Distillation from a sentence teacher: the encoder learns the teacher's embeddings of unlabelled sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.errors import InputError
from eelbert_tf.training.corpus.sentences import Sentences, sample
from eelbert_tf.training.corpus.sequences import SPLITS
from eelbert_tf.training.distill.teachers import teacher_targets
from eelbert_tf.training.tokens.masking import Batch, Specials, add_specials
from eelbert_tf.training.tokens.stream import Corruption

from .base import Metrics, Objective

Tensor = Any

_HELD_OUT = 2000  # sentences that are only scored
_PAIRED = 0.5  # share of the steps with pairs of sentences
_RELATIONS = 10.0  # weight of the squared differences of cosines, which are small compared with 1 minus the cosine


@dataclass(frozen=True, eq=False)
class TeacherTargets:
    """Joins sentences with the teacher's embeddings of them.

    Args:
        specials: ids of the special tokens.
        targets: float16 `[n, 1 + W, d]` by the sentence's number: the sentence's embedding, then those of its words.
        paired: share of the steps in which two sentences form one sequence, like a pair of texts, so that the encoder
            learns the second segment and the positions of a second text.
    """

    specials: Specials
    targets: np.ndarray
    paired: float = 0.0

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The arrays of a step, for rows that begin with the sentence's number.

        Returns:
            For S sentences in each of B sequences of T tokens: `token_ids` and `segment_ids` int32 `[B, T]`; `sides`
            float32 `[B, T, S]`, 1 if a token belongs to a sentence; `targets` float32 `[B, S, d]` of the sentences;
            and `word_targets` float32 `[B, T, d]`, zero for tokens that are no words.
        """
        numbers, rows = rows[:, 0], np.ascontiguousarray(rows[:, 1:])
        ids = add_specials(rows, self.specials)
        targets = self.targets[numbers, : 1 + rows.shape[1]].astype(np.float32)
        words = np.pad(targets[:, 1:], ((0, 0), (1, 1), (0, 0)))  # rows of zeros for [CLS] and for the last token
        used = (ids != self.specials.pad)[..., None]
        if rng.random() >= self.paired or len(rows) % 2:
            sides = used.astype(np.float32)
            return _batch(ids, np.zeros_like(ids), sides, targets[:, :1], words)
        count, width = len(rows) // 2, ids.shape[1]
        first, second = slice(None, count), slice(count, None)
        paired = np.full((count, 2 * width), self.specials.pad, np.int32)
        paired[:, :width] = ids[first]
        joined = np.zeros((count, 2 * width, words.shape[2]), np.float32)
        joined[:, :width] = words[first]
        sides = np.zeros((count, 2 * width, 2), np.float32)
        sides[:, :width, :1] = used[first]
        # The second sentence follows the first without its [CLS].
        columns = used[first].sum(axis=1) + np.arange(width - 1)
        row = np.arange(count)[:, None]
        paired[row, columns] = ids[second, 1:]
        joined[row, columns] = words[second, 1:]
        sides[row, columns, 1:] = used[second, 1:]
        return _batch(
            paired, sides[..., 1].astype(np.int32), sides, np.stack([targets[first, 0], targets[second, 0]], 1), joined
        )


def _batch(ids: np.ndarray, segments: np.ndarray, sides: np.ndarray, targets: np.ndarray, words: np.ndarray) -> Batch:
    return {"token_ids": ids, "segment_ids": segments, "sides": sides, "targets": targets, "word_targets": words}


class TeacherEmbeddings(Objective):
    """Learns the teacher's embeddings of sentences and of words.

    Three outputs learn the direction of the teacher's embedding: the output at each word, the mean output over a
    sentence's tokens, and the pooled output. The loss of each is 1 minus the cosine. To these is added the squared
    difference between the cosines of the batch's sentences and the teacher's cosines, so that neighbours stay
    neighbours (Park et al. 2019, relational distillation). There are no extra weights, since the teacher's embeddings
    are projected to the encoder's width beforehand (`teachers.teacher_targets`).
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
        """Creates nothing: this objective has no weights."""
        self.built = True

    def sequences(self, sequence_length: int, seed: int, split: str) -> Sentences:
        if not self.splits:
            self._load(sequence_length)
        return self.splits[split]

    def _load(self, sequence_length: int) -> None:
        """Finds the sentences and runs the teacher on them, once for both splits because it is slow.

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
        config = self.config  # pairs only with mean pooling: each sentence has its own mean, but [CLS] belongs to both
        fits = config.type_vocab_size > 1 and config.max_position_embeddings >= 2 * sequence_length
        return TeacherTargets(self.specials, self.targets, _PAIRED if fits and config.pooling == "mean" else 0.0)

    def held_out_corruption(self, sequence_length: int) -> Corruption:
        return TeacherTargets(self.specials, self.targets)

    def call(self, batch: dict[str, Tensor], backbone: Any, training: bool | None = None) -> tuple[Tensor, Metrics]:
        inputs = {**self.tokens(batch["token_ids"]), "segment_ids": batch["segment_ids"]}
        outputs = backbone(inputs, training=training)
        output = ops.cast(outputs["sequence_output"], "float32")  # [B, T, d]
        words = batch["word_targets"]
        is_word = ops.sum(ops.square(words), axis=-1)  # [B, T], 1 for words, whose targets have length 1
        cosines = ops.sum(unit(output) * words, axis=-1)
        count = ops.sum(is_word)
        word_cosine = ops.sum(cosines) / ops.maximum(count, 1.0)
        size = ops.shape(output)[-1]
        sums = ops.matmul(ops.transpose(batch["sides"], (0, 2, 1)), output)  # [B, S, d]
        vectors = {"cosine": ops.reshape(sums, (-1, size))}
        if backbone.pooler is not None:
            vectors["pooled_cosine"] = ops.cast(outputs["pooled_output"], "float32")
        targets = ops.reshape(batch["targets"], (-1, size))
        wanted = ops.matmul(targets, ops.transpose(targets))
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
    """Scales vectors along the last axis to length 1."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)
