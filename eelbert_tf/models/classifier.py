"""Text classification and regression: a dense layer on what the encoder makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf.config import PACKAGE
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.base import Preprocessor
from eelbert_tf.preprocessing.columns import class_targets, number_targets
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.scores import rank

from .backbone import EelbertBackbone
from .optimizer import AdamW
from .presets import assign
from .task import Task, stored_preprocessor

Tensor = Any

LEARNING_RATE = 5e-4  # without a schedule; `eelbert finetune` has one


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertClassifier(Task):
    """Texts in, logits out: a dropout and a dense layer on the pooled output.

    It is compiled when it is made: AdamW, and cross-entropy with accuracy or, for a regression, the mean squared error.
    `compile` changes that. `fit`, `evaluate` and `predict` take texts as they are, and labels as names or numbers.

    Args:
        backbone: an `EelbertBackbone`.
        num_classes: number of logits; as many as there are labels by default, else 2, and 1 for regression.
        labels: names of the classes, in the order of the logits.
        dropout: rate before the dense layer.
        task: "classification" or "regression".
        preprocessor: turns texts into the backbone's inputs; by default what suits a backbone with a hash.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them.

    Call arguments:
        inputs: texts, or anything the backbone takes.
        training: whether dropout applies.

    Returns:
        float `[B, num_classes]`: logits, or scores; float32 also where the layers compute in half precision.

    Raises:
        ValueError: labels do not fit `num_classes`, or the preprocessor does not fit the backbone.

    Example:

    >>> classifier = EelbertClassifier(EelbertBackbone.from_name("eelbert_uno"), labels=["bad", "good"])
    >>> history = classifier.fit(["a fine film", "a waste of time"], ["good", "bad"], verbose=0)
    >>> label, probability = classifier.classify("a fine waste of a film")[0]
    """

    preset_kinds = ("backbone", "classifier")

    def __init__(
        self,
        backbone: EelbertBackbone,
        num_classes: int | None = None,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        task: str = "classification",
        preprocessor: Preprocessor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, preprocessor, **kwargs)
        if task not in ("classification", "regression"):
            raise ValueError(f'`task` must be "classification" or "regression". Received: task={task!r}')
        if isinstance(labels, str):
            raise ValueError(f"`labels` must be a list of names. Received: labels={labels!r:.100}")
        if num_classes is None:
            num_classes = len(labels) if labels is not None else 1 if task == "regression" else 2
        if labels is not None and len(labels) != num_classes:
            raise ValueError(f"`labels` must have one name per class. Received: {len(labels)} for {num_classes}")
        if labels is not None and len(set(map(str, labels))) < len(labels):
            raise ValueError(f"`labels` must differ from one another. Received: labels={list(labels)!r:.200}")
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
        self.num_classes = num_classes
        self.labels = None if labels is None else [str(label) for label in labels]
        self.dropout_rate = dropout
        self.task = task
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)
        normal = keras.initializers.TruncatedNormal(stddev=backbone.config.initializer_range)
        self.classifier = keras.layers.Dense(
            num_classes, kernel_initializer=normal, dtype=self.dtype_policy.variable_dtype, name="classifier"
        )
        self.build()
        self.compile()

    def build(self, input_shape: Any = None) -> None:
        """Creates the head."""
        if not self.built:
            self.classifier.build((None, self.backbone.pooled_size))
            self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        pooled = self.backbone(inputs, training=training, pooled_only=True)["pooled_output"]
        return self.classifier(self.dropout(pooled, training=training))

    def compile(self, optimizer: Any = "auto", loss: Any = "auto", *, metrics: Any = "auto", **kwargs: Any) -> None:
        """`keras.Model.compile`, with defaults for the model's task.

        Args:
            optimizer: by default AdamW at 0.0005 that decays matrices alone and clips gradients at a norm of 1.
            loss: by default cross-entropy of logits with class indices; of a regression, the mean squared error.
            metrics: by default the accuracy; of a regression, none.
            **kwargs: as Keras takes them.
        """
        regression = self.task == "regression"
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0)
        if isinstance(loss, str) and loss == "auto":
            crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            loss = keras.losses.MeanSquaredError() if regression else crossentropy
        if isinstance(metrics, str) and metrics == "auto":
            metrics = None if regression else ["accuracy"]
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model from a file of Keras as it was compiled; `config` is what `get_compile_config` gave."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def targets(self, y: Any) -> np.ndarray:
        """Labels as the loss takes them.

        Args:
            y: a column of class names or of class indices, probabilities `[n, num_classes]`, or numbers for a
                regression and for a model with one logit.

        Returns:
            int32 `[n]`, or float32 `[n]` or `[n, num_classes]`.

        Raises:
            ValueError: a label is missing or wrong; the message names its row.
        """
        if self.task == "regression" or self.num_classes == 1:
            return number_targets(y)
        return class_targets(y, self.labels, self.num_classes)

    @property
    def num_outputs(self) -> int:
        """Logits, or scores, of a text."""
        return self.num_classes

    def classify(self, texts: Any) -> Any:
        """The classes of texts, the likeliest first: the same answers as the runtimes for devices give.

        Args:
            texts: a text, or a tuple of two for a model of pairs; or a column of them.

        Returns:
            For one text, each class with its probability; for a column, a list of such lists.

        Raises:
            ValueError: the model is a regression: use `predict`.
        """
        if self.task == "regression":
            raise ValueError("A regression has a score and no classes: use `predict`.")
        one = isinstance(texts, str | bytes) or (
            self.backbone.pair and isinstance(texts, tuple) and all(isinstance(side, str | bytes) for side in texts)
        )
        ranked = [rank(logits, self.labels) for logits in self.predict([texts] if one else texts, verbose=0)]
        return ranked[0] if one else ranked

    def describe(self) -> ModelInfo:
        """What `config.json` is to say of the model."""
        backbone = self.backbone
        return ModelInfo(backbone.config, "classifier", backbone.pair, self.num_classes, self.labels, self.task)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "labels": self.labels,
            "dropout": self.dropout_rate,
            "task": self.task,
        }

    @classmethod
    def from_preset(
        cls,
        name: str | Path,
        *,
        labels: Sequence[str] | None = None,
        num_classes: int | None = None,
        pair: bool | None = None,
        task: str | None = None,
        dropout: float = 0.1,
        dtype: Any = None,
        **changes: Any,
    ) -> EelbertClassifier:
        """A classifier from a preset or a folder; its head is fresh where none for these classes was saved.

        Args:
            name: a preset's name, a folder that `save_to_preset` wrote, or a BERT in Hugging Face's layout.
            labels: names of the classes; as saved by default.
            num_classes: number of the classes; as saved by default.
            pair: whether the input is to be pairs; as saved by default.
            task: "classification" or "regression"; as saved by default.
            dropout: rate before the dense layer.
            dtype: a dtype policy; Keras's global one by default.
            **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

        Returns:
            The classifier.

        Raises:
            InputError: there is no such model, it is damaged, or it has no head and no classes are given.
            ValueError: a change is out of range.
        """
        stored = read_stored(name)
        info = stored.info
        kept = (
            info.kind == "classifier"
            and pair in (None, info.pair)
            and task in (None, info.task)
            and num_classes in (None, info.num_classes)
            and (labels is None or list(labels) == info.labels)
        )
        if kept:
            labels, num_classes, task = info.labels, info.num_classes, info.task
        elif labels is None and num_classes is None and task != "regression":
            raise InputError(
                f"{name}: an encoder without a classification head: fine-tune it first (eelbert finetune), or give "
                "`labels` or `num_classes`"
            )
        backbone = EelbertBackbone.from_stored(stored, pair, dtype, **changes)
        preprocessor = stored_preprocessor(stored, backbone)
        classifier = cls(backbone, num_classes, labels, dropout, task or "classification", preprocessor)
        if kept:
            assign(classifier, stored)
        return classifier
