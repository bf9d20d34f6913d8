"""AdamW as BERT uses it: warm-up, decay, clipping, and no weight decay on biases and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from eelbert_tf.config import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak` over the warm-up, then falls linearly to zero (Devlin et al. 2019).

    Args:
        peak: the highest learning rate.
        total_steps: steps until zero.
        warmup: share of the steps that rise.
        pieces: batches in one step, where gradients are accumulated. The schedule counts batches, and the rate stays
            the same within a step.
    """

    def __init__(self, peak: float, total_steps: int, warmup: float = 0.1, pieces: int = 1) -> None:
        self.peak = peak
        self.total_steps = total_steps
        self.warmup = warmup
        self.pieces = pieces

    def position(self, batch: Any) -> Any:
        """Where in the training a batch is: float32, above 0 and below 1."""
        return (ops.cast(ops.floor_divide(batch, self.pieces), "float32") + 1.0) / (self.total_steps + 1.0)

    def __call__(self, step: Any) -> Any:
        position = self.position(step)
        rise = position / max(self.warmup, 1e-9)
        fall = (1.0 - position) / max(1.0 - self.warmup, 1e-9)
        return self.peak * ops.maximum(ops.minimum(rise, fall), 0.0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup": self.warmup, "pieces": self.pieces}


@keras.saving.register_keras_serializable(package=PACKAGE)
class AdamW(keras.optimizers.AdamW):
    """AdamW that leaves biases and the scales of norms, all of rank one, undecayed, as BERT does.

    Variables are chosen by rank and not by name, because Keras ignores a name pattern that matches nothing.

    Args:
        *args: as `keras.optimizers.AdamW` takes them.
        rates: for each variable, in the order of `build`, what its learning rate is multiplied by; `None` for 1.
        **kwargs: as `keras.optimizers.AdamW` takes them.
    """

    def __init__(self, *args: Any, rates: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rates = None if rates is None else list(rates)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """`keras.optimizers.AdamW.update_step`, at the variable's own rate."""
        if self.rates is not None:
            learning_rate = learning_rate * self.rates[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **({} if self.rates is None else {"rates": self.rates})}

    def _use_weight_decay(self, variable: Any) -> bool:
        return len(variable.shape) > 1


def adamw(
    model: keras.Model,
    learning_rate: float,
    total_steps: int,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip_norm: float = 1.0,
    accumulate: int = 1,
    backbone_rate: float = 1.0,
) -> keras.optimizers.Optimizer:
    """An AdamW optimizer for `model`, whose weights exist already.

    Args:
        model: what it trains.
        learning_rate: the peak.
        total_steps: steps of the whole training.
        warmup: share of the steps that rise.
        weight_decay: decoupled decay per step, times the learning rate.
        clip_norm: the largest norm of all gradients together.
        accumulate: batches whose gradients are averaged for one step.
        backbone_rate: the backbone's learning rate, as a share of that of the layers on it.
    """
    slower = set() if backbone_rate == 1.0 else set(map(id, model.backbone.trainable_variables))
    rates = [backbone_rate if id(variable) in slower else 1.0 for variable in model.trainable_variables]
    schedule = WarmupLinearDecay(learning_rate, total_steps, warmup, accumulate)
    optimizer = AdamW(
        schedule,
        weight_decay=weight_decay,
        beta_2=0.999,
        epsilon=1e-6,
        global_clipnorm=clip_norm,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        rates=rates if slower else None,
    )
    optimizer.build(model.trainable_variables)
    return optimizer
