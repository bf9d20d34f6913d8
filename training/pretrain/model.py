"""An encoder and an objective as one Keras model for `fit`; calling it computes the loss."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from eelbert_tf.training.objectives.base import Objective

Tensor = Any


class PretrainingModel(keras.Model):
    """An encoder with an objective.

    Args:
        backbone: an `EelbertBackbone`; its pooler is trained if the objective uses it.
        objective: what to learn from.

    Call arguments:
        batch: the arrays that the objective's `corruption` returns.
        training: whether dropout applies.

    Returns:
        A dictionary of `loss` float32 `[]` and `metrics`, as the objective returns them.
    """

    def __init__(self, backbone: Any, objective: Objective, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.objective = objective
        self.trackers = {name: keras.metrics.Mean(name=name) for name in objective.metric_names}
        if backbone.pooler is not None:
            backbone.pooler.trainable = objective.uses_pooler
        if not objective.built:
            objective.build()
        self.built = True

    def call(self, batch: dict[str, Tensor], training: bool | None = None) -> dict[str, Any]:
        loss, metrics = self.objective(batch, backbone=self.backbone, training=training)
        return {"loss": loss, "metrics": metrics}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of `call`, or this replica's share of it, since TensorFlow adds up the gradients of replicas.

        A replica's share is its share of the predictions, so that each prediction counts as much as on one device.
        """
        loss = y_pred["loss"]
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                _, count = y_pred["metrics"][self.objective.metric_names[0]]
                every = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)
                loss = loss * count / ops.maximum(every, 1.0)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Updates the trackers. Returns almost nothing, because the host would wait for it in every step."""
        for name, (value, weight) in y_pred["metrics"].items():
            self.trackers[name].update_state(ops.expand_dims(value, 0), ops.expand_dims(weight, 0))
        return (
            {"step_loss": y_pred["loss"]} if keras.backend.backend() == "tensorflow" else {}
        )  # which expects something

    def read_metrics(self) -> dict[str, float]:
        """Means since the last `reset_metrics`: `loss`, and the objective's."""
        return {name: float(ops.convert_to_numpy(value)) for name, value in self.get_metrics_result().items()}
