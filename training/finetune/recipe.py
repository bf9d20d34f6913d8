"""Recipes: passes, rate and batch size of a fine-tuning, and what suits a number of texts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eelbert_tf.errors import InputError

MANY_TEXTS = 30_000
BACKBONE_RATE = 0.3  # of an encoder that begins with what it knows, as a share of the rate of the layers on it
CRITERION = {"regression": "loss", "multilabel": "micro_f1", "tagging": "entity_f1"}


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune.

    Args:
        epochs: passes over the training texts.
        batch_size: texts per step.
        learning_rate: the peak of the schedule.
        warmup: share of the steps that rise to it.
        weight_decay: decoupled decay, on matrices only.
        clip_norm: the largest norm of all gradients together.
        seed: fixes initial weights, order and dropout.
        class_weight: "balanced" gives all classes the same weight in total; `None` gives all texts the same.
        patience: passes without a better score on held-out texts after which a training ends; `None` for none.
        lexical: whether the training starts from heads that suit the encoder as it is, and goes on beside words; `None`
            for such a start, and words where they help on parts of the texts that are held out. With `False` it starts
            from the model as it is.
        backbone_rate: the encoder's learning rate, as a share of that of the layers on it.
    """

    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    class_weight: str | None = None
    patience: int | None = None
    lexical: bool | None = False
    backbone_rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"--{name.replace('_', '-')}: must be positive and finite, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed: must lie between 0 and {2**32 - 1}, not {self.seed}")

    def criterion(self, task: str) -> str:
        """The figure by which passes are compared: that of small classes counts as much where they weigh as much."""
        if task in CRITERION:
            return CRITERION[task]
        return "macro_f1" if self.class_weight else "accuracy"


def default_epochs(texts: int, batch_size: int, pretrained: bool) -> int:
    """Passes that suit a file, from 3 to 40.

    Fresh weights get about 12,000 steps. Pretrained ones, which learn few texts by heart before long, get 4,000 in no
    more than 12 passes, or 400 where so few texts make less.
    """
    passes = batch_size / max(texts, 1)  # of one step
    steps = max(min(4000, 12 / passes), 400) if pretrained else 12000
    return min(40, max(3, round(steps * passes)))


def default_rate(texts: int, pretrained: bool) -> float:
    """A peak of the learning rate that suits a file: lower where pretrained weights learn from very many texts."""
    return 3e-4 if pretrained and texts > MANY_TEXTS else 1e-3


def default_backbone_rate(texts: int, pretrained: bool) -> float:
    """The encoder's share of the rate; the whole where it knows nothing yet, or where the rate is low already."""
    return BACKBONE_RATE if pretrained and texts <= MANY_TEXTS else 1.0


def default_patience(epochs: int) -> int:
    """Passes to wait for a better one: the rate still falls, and the best is often among the last."""
    return max(3, epochs // 3)


def suited_recipe(
    texts: int,
    pretrained: bool,
    epochs: int | None,
    batch_size: int,
    learning_rate: float | None,
    seed: int,
    class_weight: str | None = None,
    lexical: bool | None = False,
    windows: float = 1.0,
) -> Recipe:
    """A recipe whose passes and learning rate suit a file where they are `None`.

    Of long texts there are fewer passes: `windows` is the number of inputs that a text is read in, on average.
    Under heads that suit it the encoder goes on at a lower rate than theirs; under a fresh head (`lexical=False`) at
    the same.

    Raises:
        InputError: a number is out of range.
    """
    if epochs is None:
        epochs = default_epochs(round(texts * windows), max(batch_size, 1), pretrained)
    if learning_rate is None:
        learning_rate = default_rate(texts, pretrained)
    return Recipe(
        epochs,
        batch_size,
        learning_rate,
        seed=seed,
        class_weight=class_weight,
        patience=default_patience(epochs),
        lexical=lexical,
        backbone_rate=default_backbone_rate(texts, pretrained) if lexical is not False else 1.0,
    )
