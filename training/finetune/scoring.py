"""What a model's outputs on labelled texts are worth: the figures that a training reports and is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.reports.evaluation import read_truth
from eelbert_tf.reports.tagging import TagReading
from eelbert_tf.scores import Outputs, softmax

from .labelled import Labelled, Tagged

# What passes may be compared by, and whether more is better.
CRITERIA = {"accuracy": True, "macro_f1": True, "micro_f1": True, "entity_f1": True, "loss": False}


def figures(found: Any, data: Labelled, model: Any) -> dict[str, float]:
    """Loss and metrics of a model's outputs.

    Args:
        found: what the model's `predict` gives for the texts.
        data: the texts. A class that the model does not know counts as wrong, and is left out of the loss.
        model: whose outputs they are.
    """
    if isinstance(data, Tagged):
        return {"loss": _tags_loss(found, data.fit_labels(model)), **read_tags(found, data, model).figures()}
    truth, _ = read_truth(data.labels, model.outputs)
    return {"loss": _loss(found, truth, model.outputs), **metrics.task_figures(model.outputs, truth, found)}


def read_tags(found: dict[str, np.ndarray], data: Tagged, model: Any) -> TagReading:
    """A tagger's outputs beside what the texts hold."""
    reading = TagReading(model.names, model.labels)
    for i, row in enumerate(data.labels):
        reading.add(row, {name: values[i] for name, values in found.items()})
    return reading


def _tags_loss(found: dict[str, np.ndarray], targets: np.ndarray) -> float:
    """The mean cross-entropy of tags, and of classes where there are such."""
    tags = targets[:, 1:]
    there = tags >= 0
    losses = [cross_entropy(found["tags"][there], tags[there])]
    if "label" in found:
        known = targets[:, 0] >= 0
        losses.append(cross_entropy(found["label"][known], targets[known, 0]))
    return float(sum(losses))


def cross_entropy(logits: np.ndarray, truth: np.ndarray) -> float:
    """The mean of float `[n, classes]` on classes `[n]`; 0 where there are none."""
    if not len(truth):
        return 0.0
    return -float(np.log(np.maximum(softmax(logits)[np.arange(len(truth)), truth], 1e-12)).mean())


def _loss(logits: np.ndarray, truth: np.ndarray, outputs: Outputs) -> float:
    """What a training lowers, in the mean: cross-entropy, or the squared error in units of the labels' variance."""
    if outputs.task == "regression":
        numbers = truth.reshape(logits.shape)
        return float(np.mean((numbers - logits) ** 2 / np.maximum(numbers.var(axis=0), 1e-12)))
    logits, outputs = outputs.forced(logits)
    if outputs.task == "multilabel":
        right = np.where(truth[:, : logits.shape[1]], logits, -logits)
        return float(np.logaddexp(0.0, -right).mean())
    chances = outputs.probabilities(logits)
    known = np.flatnonzero(truth < chances.shape[1])
    if not len(known):
        return float("nan")
    return float(-np.log(np.maximum(chances[known, truth[known]], 1e-12)).mean())


def better(one: dict[str, float], other: dict[str, float] | None, criterion: str) -> bool:
    """Whether the figures of one pass beat those of another: by the criterion, and where that is equal by the loss."""
    if other is None:
        return True
    if one[criterion] != other[criterion]:
        return (one[criterion] > other[criterion]) == CRITERIA[criterion]
    return one["loss"] < other["loss"]


def best_of(rows: Sequence[dict[str, float]], criterion: str) -> int:
    """The number of the best among figures, from 1: of equal ones the first; 0 where there are none."""
    best = 0
    for number, found in enumerate(rows, 1):
        if better(found, rows[best - 1] if best else None, criterion):
            best = number
    return best


def shown(found: dict[str, float]) -> dict[str, float]:
    """Figures as reports show them."""
    return {name: round(value, 4) for name, value in found.items()}


def without_loss(found: dict[str, float]) -> dict[str, float]:
    """Figures of a result: the loss tells passes apart, and a user nothing."""
    return {name: value for name, value in found.items() if name != "loss"}
