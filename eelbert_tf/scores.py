"""From a model's outputs to answers: probabilities, names, ranks and decisions, in NumPy.

What Keras, the runtimes and the commands say of a text is said here. The kits in Java, JavaScript and C follow the same
rules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TASKS = ("classification", "binary", "multilabel", "regression")
EMBEDDING = "embedding"  # the task of a sentence encoder, which has no labels


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, which sum to 1.

    Args:
        logits: float `[..., num_classes]`.

    Returns:
        float64 of the same shape.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of each logit by itself.

    Args:
        logits: float of any shape.

    Returns:
        float64 of the same shape.
    """
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -700.0, 700.0)))


def shorten(embeddings: np.ndarray, width: int | None) -> np.ndarray:
    """The first numbers of embeddings, brought to length 1 again.

    Args:
        embeddings: float `[n, d]`.
        width: how many numbers to keep; all by default.

    Returns:
        float32 `[n, width]`.

    Raises:
        ValueError: the embeddings are not so wide.
    """
    size = embeddings.shape[1]
    if width is None or width == size:
        return embeddings.astype(np.float32)
    if not 1 <= width <= size:
        raise ValueError(f"`width` must be from 1 to {size}, the width of the model. Received: width={width!r:.100}")
    kept = embeddings[:, :width].astype(np.float64)
    length = np.sqrt(np.square(kept).sum(axis=1, keepdims=True))
    return (kept / np.maximum(length, 1e-12)).astype(np.float32)


def label_names(labels: Sequence[str | None] | None, num_classes: int) -> list[str]:
    """Names of the classes; their numbers where they have none, and "" for the class of texts that belong to no other.

    Args:
        labels: the names, or `None`.
        num_classes: how many classes there are.
    """
    return [label or "" for label in labels] if labels else [str(i) for i in range(num_classes)]


def rank(logits: np.ndarray, labels: Sequence[str | None] | None) -> list[tuple[str | None, float]]:
    """Classes with the softmax of their logits, the likeliest first; of equal ones, the first stays first.

    Args:
        logits: float `[num_classes]`.
        labels: names of the classes; `None` for their numbers.
    """
    return Outputs("classification", len(logits), labels).rank(logits)


@dataclass(frozen=True)
class Outputs:
    """How the outputs of a model are read.

    | task | outputs | read as |
    |---|---|---|
    | classification | a logit for each class | softmax; the likeliest class, the last of which may be `None` |
    | binary | one logit, that of the second class | sigmoid; the second class from its threshold on |
    | multilabel | a logit for each label | sigmoid; every label from its threshold on |
    | regression | numbers | as they are |
    | embedding | the numbers of an embedding | as they are |

    Args:
        task: one of `TASKS`, or `EMBEDDING`.
        num_outputs: numbers that the model gives for a text.
        labels: names of the classes, two of a binary task; or of a regression's numbers. The last of a classification
            may be `None`.
        thresholds: least probabilities of the second class, or of each label; 0.5 by default.
    """

    task: str
    num_outputs: int
    labels: Sequence[str | None] | None = None
    thresholds: Sequence[float] | None = None

    def check(self) -> None:
        """Checks fields that come from a file or from a user.

        Raises:
            ValueError: one of them has another type or length than the task asks for.
        """
        count = 2 if self.task == "binary" else self.num_outputs
        if self.labels is not None:
            if len(self.labels) != count:
                raise ValueError(f"`labels` must have one name per class. Received: {len(self.labels)} for {count}")
            if len(set(self.labels)) < count:
                raise ValueError(f"`labels` must differ from one another. Received: labels={list(self.labels)!r:.200}")
            if None in self.labels and (
                self.task != "classification" or self.labels.index(None) < count - 1 or count < 3
            ):
                raise ValueError(
                    "`labels` may end with None, for none of these, in a classification of two classes or more. "
                    f"Received: labels={list(self.labels)!r:.200}"
                )
        least = self.thresholds
        if least is None:
            return
        if self.task not in ("binary", "multilabel"):
            raise ValueError(f"`thresholds` are for binary and multilabel. Received: task={self.task!r}")
        numbers = isinstance(least, list) and all(type(value) in (int, float) and 0 <= value <= 1 for value in least)
        if not numbers or len(least) != self.num_outputs:
            raise ValueError(f"`thresholds` must be {self.num_outputs} probabilities. Received: {least!r:.100}")

    @property
    def can_refuse(self) -> bool:
        """Whether the last class is that of texts that belong to none of the others."""
        return self.labels is not None and None in self.labels

    @property
    def names(self) -> list[str | None]:
        """Names of the classes, or of the numbers; counted from 0 where they have none. An embedding has no names."""
        if self.task == EMBEDDING:
            return []
        count = 2 if self.task == "binary" else self.num_outputs
        return list(self.labels) if self.labels else [str(i) for i in range(count)]

    @property
    def least(self) -> np.ndarray:
        """The thresholds, float64 `[num_outputs]`."""
        return np.full(self.num_outputs, 0.5) if self.thresholds is None else np.array(self.thresholds, np.float64)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The probability of each class.

        Args:
            logits: float `[..., num_outputs]`.

        Returns:
            float64 `[..., classes]`, in the order of `names`.

        Raises:
            ValueError: the model gives numbers.
        """
        if self.task == EMBEDDING:
            raise ValueError("A sentence encoder gives embeddings and no classes: use `embed`.")
        if self.task == "regression":
            raise ValueError("A regression gives numbers and no classes: use `predict`.")
        if self.task == "classification":
            return softmax(logits)
        second = sigmoid(logits)
        return np.concatenate([1.0 - second, second], axis=-1) if self.task == "binary" else second

    def rank(self, logits: np.ndarray) -> list[tuple[str | None, float]]:
        """The classes with their probabilities, the likeliest first; of equal ones, the first stays first.

        Args:
            logits: float `[num_outputs]`, of one text.

        Raises:
            ValueError: the model gives numbers.
        """
        probabilities, names = self.probabilities(logits), self.names
        return [(names[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable")]

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """What the outputs say, as the metrics take it.

        Args:
            logits: float `[n, num_outputs]`.

        Returns:
            int64 `[n]` of class indices; bool `[n, num_outputs]` for several labels a text; a regression's numbers.
        """
        if self.task == "classification":
            return logits.argmax(axis=-1)
        if self.task == "regression":
            return logits
        chosen = sigmoid(logits) >= self.least
        return chosen[..., 0].astype(np.int64) if self.task == "binary" else chosen

    def forced(self, logits: np.ndarray) -> tuple[np.ndarray, Outputs]:
        """Logits, and how they are read, without the class of texts that belong to no other.

        Args:
            logits: float `[n, num_outputs]`.
        """
        if not self.can_refuse:
            return logits, self
        labels = list(self.names[:-1])
        return logits[:, :-1], dataclasses.replace(self, num_outputs=self.num_outputs - 1, labels=labels)

    def knownness(self, logits: np.ndarray) -> np.ndarray:
        """How much texts look like those of the classes: the greatest logit, over that of `None` where there is one.

        Args:
            logits: float `[n, num_outputs]` of a classification.

        Returns:
            float `[n]`.
        """
        return logits[:, :-1].max(axis=1) - logits[:, -1] if self.can_refuse else logits.max(axis=1)

    def answer(self, logits: np.ndarray) -> dict[str, Any]:
        """What is said of one text.

        Args:
            logits: float `[num_outputs]`.

        Returns:
            `label`, `score` and `scores`, the class, its probability and those of all, and where the label is `None`
            a `reason`; of several labels a text, `labels` and `scores`; of a regression, `value`, or `values` by name.
            The likeliest comes first. Of a sentence encoder, `embedding`.
        """
        if self.task == EMBEDDING:
            return {"embedding": [float(number) for number in logits]}
        if self.task == "regression":
            numbers = [float(number) for number in logits]
            return (
                {"value": numbers[0]} if len(numbers) == 1 else {"values": dict(zip(self.names, numbers, strict=True))}
            )
        ranked = dict(self.rank(logits))
        scores = {name: score for name, score in ranked.items() if name is not None}
        decided = self.decide(logits[None])[0]
        if self.task == "multilabel":
            given = {name for name, chosen in zip(self.names, decided, strict=True) if chosen}
            return {"labels": [name for name in scores if name in given], "scores": scores}
        label = self.names[int(decided)]
        answer = {"label": label, "score": ranked[label], "scores": scores}
        if label is None:
            best = next(iter(scores))
            answer["reason"] = f"unlike the texts of every class; the nearest, {best!r}, has {scores[best]:.3f}"
        return answer
