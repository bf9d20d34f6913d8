"""What a model's outputs on labelled texts are worth: the figures that a training reports and is judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.reports.evaluation import read_truth
from eelbert_tf.scores import Outputs

from .labelled import Labelled

# What passes may be compared by, and whether more is better.
CRITERIA = {"accuracy": True, "macro_f1": True, "micro_f1": True, "loss": False}


def figures(logits: np.ndarray, data: Labelled, outputs: Outputs) -> dict[str, float]:
    """Loss and metrics of a model's outputs.

    Args:
        logits: float `[n, num_outputs]`.
        data: the texts they are of. A class that the model does not know counts as wrong, and is left out of the loss.
        outputs: how the logits are read.
    """
    truth, _ = read_truth(data.labels, outputs)
    return {"loss": _loss(logits, truth, outputs), **metrics.task_figures(outputs, truth, logits)}


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
