"""Honest numbers: temperature, thresholds and the refusal of foreign texts, set on held-out texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.tagger import EelbertTagger
from eelbert_tf.scores import sigmoid, softmax

from .labelled import Labelled, Tagged
from .thresholds import binary_threshold, label_thresholds

# Fewer held-out texts say too little: the model stays as it is.
LEAST_TEXTS = 30
# How much the logit that was learned from foreign texts counts. At 1 texts like those are refused best; at 0, where the
# greatest of the other logits decides alone, those that are nearer to the classes.
FOREIGN_SHARE = 0.5
_MOST = 8.0  # temperatures, and their inverses


@dataclass(frozen=True)
class Unknown:
    """How to refuse texts that belong to no class.

    Args:
        keep: share of the known texts that must not be refused.
        texts: examples of foreign texts, learned as a class of their own.
    """

    keep: float = 0.95
    texts: tuple[Any, ...] = ()

    def beside(self, known: Labelled) -> Labelled:
        """Known texts and, with the label `None`, foreign ones."""
        return Labelled([*known.texts, *self.texts], [*known.labels, *[None] * len(self.texts)])


def calibrate_tags(model: EelbertTagger, held_out: Tagged, found: dict[str, np.ndarray]) -> tuple[dict[str, Any], Any]:
    """Sets a tagger's temperatures, in its weights: one of its tags, and one of its classes where it has some.

    Args:
        model: a trained one; it changes.
        held_out: texts that were not learned by what gave the outputs.
        found: the outputs of these texts, as `EelbertTagger.predict` gives them.

    Returns:
        As `calibrate`.
    """
    if len(held_out) < LEAST_TEXTS:
        return {}, found
    targets = held_out.fit_labels(model)
    tags, known = targets[:, 1:], targets[:, 0] >= 0
    there = tags >= 0
    report: dict[str, Any] = {"calibrated_on": len(held_out)}
    report["temperature"] = of_tags = find_temperature("classification", tags[there], found["tags"][there])
    found, of_label = {**found, "tags": found["tags"] / np.float32(of_tags)}, 1.0
    if known.any():
        of_label = find_temperature("classification", targets[known, 0], found["label"][known])
        report["temperature_of_label"] = of_label
        found["label"] = found["label"] / np.float32(of_label)
    model.scale_outputs(1 / of_tags, 1 / of_label)
    return {name: round(value, 4) for name, value in report.items()}, found


def calibrate(
    model: EelbertClassifier, held_out: Labelled, outputs: np.ndarray, unknown: Unknown | None = None
) -> tuple[dict[str, Any], np.ndarray]:
    """Sets a model's temperature, in its weights, its thresholds, and from when on it refuses a text.

    Args:
        model: a trained one; it changes.
        held_out: texts that were not learned by what gave the outputs. Labels that are unknown do not count.
        outputs: float `[n, num_outputs]`, the logits of these texts.
        unknown: for a model whose last class is `None`.

    Returns:
        What `eelbert finetune` reports: `temperature`, and `thresholds` or `kept`, the share of known texts that are
        not refused, where there are such. And the logits as the changed model gives them.
    """
    seen = np.array([_is_known(label, model.labels) for label in held_out.labels], bool)
    if model.task == "regression" or seen.sum() < LEAST_TEXTS:
        return {}, outputs
    held_out, everything = held_out.part(np.flatnonzero(seen)), outputs.astype(np.float64)
    logits = everything[seen]
    truth = model.targets(held_out.labels)
    report: dict[str, Any] = {"calibrated_on": len(truth)}
    if truth.ndim == 2 and model.task == "classification":
        truth = truth.argmax(axis=1)
    known = logits[:, :-1] if model.outputs.can_refuse else logits
    temperature = find_temperature(model.task, truth, known)
    model.scale_outputs(1 / temperature)
    report["temperature"] = round(temperature, 4)
    logits, everything = logits / temperature, everything / temperature
    if model.task == "multilabel":
        model.thresholds = label_thresholds(truth > 0.5, sigmoid(logits))
    elif model.task == "binary":
        model.thresholds = [binary_threshold(truth, sigmoid(logits[:, 0]))]
    if model.thresholds is not None:
        report["thresholds"] = model.thresholds
    if unknown is not None and model.outputs.can_refuse:
        kept, shift = refuse(model, logits, unknown)
        report["kept"] = round(kept, 4)
        everything[:, -1] = FOREIGN_SHARE * everything[:, -1] + shift
    return report, everything


def _is_known(label: Any, labels: Any) -> bool:
    if labels is None:
        return True
    return all(name in labels for name in label) if isinstance(label, tuple) else label in labels


def find_temperature(task: str, truth: np.ndarray, logits: np.ndarray) -> float:
    """The temperature under which held-out labels are likeliest (Guo et al. 2017).

    Args:
        task: "classification", "binary" or "multilabel".
        truth: class indices `[n]`, or 0 and 1 of each logit.
        logits: float `[n, classes]`.

    Returns:
        Between 1/8 and 8; logits are to be divided by it.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if task == "classification":
            return -float(np.log(np.maximum(softmax(scaled)[np.arange(len(truth)), truth], 1e-300)).mean())
        right = np.where(truth.reshape(scaled.shape) > 0.5, scaled, -scaled)
        return float(np.logaddexp(0.0, -right).mean())

    low, high = -math.log(_MOST), math.log(_MOST)
    for _ in range(40):  # golden section: the loss has one valley
        a, b = (low + (high - low) * share for share in (0.381966, 0.618034))
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return math.exp((low + high) / 2)


def refuse(model: EelbertClassifier, logits: np.ndarray, unknown: Unknown) -> tuple[float, float]:
    """Sets the logit of "none of these" so that so many known texts have a greater one.

    Args:
        model: its last class is `None`.
        logits: float `[n, classes]` of known texts.
        unknown: the share of them to keep.

    Returns:
        The share that is kept, and what is added to that logit.
    """
    factor, shift = np.ones(logits.shape[1]), np.zeros(logits.shape[1])
    factor[-1] = FOREIGN_SHARE
    margin = logits[:, :-1].max(axis=1) - FOREIGN_SHARE * logits[:, -1]
    shift[-1] = np.quantile(margin, 1 - unknown.keep)
    model.scale_outputs(factor, shift)
    return float((margin > shift[-1]).mean()), float(shift[-1])
