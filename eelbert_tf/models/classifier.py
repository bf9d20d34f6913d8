"""Models for tasks: text classification and regression, and masked language modelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import PACKAGE, EelbertConfig
from eelbert_tf.preprocessing.batches import EncodedTexts, OrderedBatches, TrainingBatches, for_backend
from eelbert_tf.text.strings import is_string_tensor

from .backbone import EelbertBackbone

Tensor = Any

_NO_PAIRS = "This model takes one text per example, not pairs: build it with `pair=True`."


def as_texts(x: Any, pair: bool) -> list[Any] | None:
    """Texts, or pairs of texts, out of what a user may pass; `None` where `x` is something else, a dataset for example.

    Raises:
        ValueError: `x` holds texts beside other things, or pairs where `pair` is not set.
    """
    if is_string_tensor(x) and hasattr(x, "numpy"):  # not a symbolic one
        x = x.numpy()
    if isinstance(x, str | bytes):
        raise ValueError(f"Expected a list of texts. Received one text: {x!r:.100}")
    if isinstance(x, tuple) and len(x) == 2 and all(_is_texts(part) for part in x):
        if not pair:
            raise ValueError(_NO_PAIRS)
        if len(x[0]) != len(x[1]):
            raise ValueError(f"A pair's sides differ in length. Received: {len(x[0])} and {len(x[1])}")
        sides = (as_texts(part, False) or [] for part in x)
        return list(zip(*sides, strict=True))
    return [_checked(text, pair) for text in x] if _is_texts(x) else None


def _is_texts(x: Any) -> bool:
    """Whether `x` is a list, array or tensor of texts, or of pairs, in the host's memory."""
    if isinstance(x, list | tuple):
        return not x or isinstance(x[0], str | bytes | tuple | list)
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "OSU" and x.ndim > 0
    return is_string_tensor(x) and hasattr(x, "numpy") and len(x.shape) > 0


def _checked(text: Any, pair: bool) -> Any:
    """One text, or a tuple of two.

    Raises:
        ValueError: it is neither, or pairs are not expected.
    """
    if isinstance(text, str | bytes):
        return text
    if isinstance(text, tuple | list | np.ndarray) and len(text) == 2 and all(isinstance(t, str | bytes) for t in text):
        if not pair:
            raise ValueError(_NO_PAIRS)
        return tuple(text)
    raise ValueError(f"Expected texts: strings, bytes{', or tuples of two' * pair}. Received among them: {text!r:.100}")


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertClassifier(keras.Model):
    """Strings in, logits out: a dropout and a dense layer on the pooled output.

    `fit`, `evaluate` and `predict` take lists, NumPy arrays or tf.string tensors of texts (or a tuple of two of them
    for pairs) and batch them by length; a `tf.data.Dataset` of (strings, labels) works as well, with
    `jit_compile=False`.

    Args:
        backbone: an `EelbertBackbone`.
        num_classes: number of logits; 1 for regression.
        labels: names of the classes, in the order of the logits.
        dropout: rate before the dense layer.
        task: "classification" or "regression".

    Call arguments:
        inputs: anything the backbone takes.
        training: whether dropout applies.

    Returns:
        float32 `[B, num_classes]`: logits, or scores.

    Raises:
        ValueError: labels do not fit `num_classes`, or texts do not fit `backbone.pair`.

    Example:

    >>> classifier = EelbertClassifier(EelbertBackbone.from_name("eelbert_uno"), num_classes=2)
    >>> classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = classifier.fit(["good", "bad"], [1, 0], verbose=0)
    """

    def __init__(
        self,
        backbone: EelbertBackbone,
        num_classes: int = 2,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        task: str = "classification",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if task not in ("classification", "regression"):
            raise ValueError(f'`task` must be "classification" or "regression". Received: task={task!r}')
        if labels is not None and len(labels) != num_classes:
            raise ValueError(f"`labels` must have one name per class. Received: {len(labels)} for {num_classes}")
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
        self.backbone = backbone
        self.num_classes = num_classes
        self.labels = None if labels is None else [str(label) for label in labels]
        self.dropout_rate = dropout
        self.task = task
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        normal = keras.initializers.TruncatedNormal(stddev=backbone.config.initializer_range)
        self.classifier = keras.layers.Dense(num_classes, kernel_initializer=normal, dtype="float32", name="classifier")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates the head."""
        if not self.built:
            self.classifier.build((None, self.backbone.pooled_size))
            self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        pooled = self.backbone(inputs, training=training, pooled_only=True)["pooled_output"]
        return self.classifier(self.dropout(pooled, training=training))

    def encode(self, texts: Any) -> EncodedTexts | None:
        """Texts ready for batching.

        Args:
            texts: a list, array or tf.string tensor of texts or pairs, or anything else.

        Returns:
            Their bytes and lengths; `None` where `texts` is something else, a dataset for example.

        Raises:
            ValueError: there are texts beside other things, or pairs where the model takes none.
        """
        found = as_texts(texts, self.backbone.pair)
        return None if found is None else EncodedTexts(found, self.backbone.config, self.backbone.pair)

    def _check_labels(self, y: Any) -> np.ndarray:
        """Labels as an array.

        Raises:
            ValueError: there are none, or some name a class that the model does not have.
        """
        if y is None:
            raise ValueError("Expected one label per text. Received: y=None")
        labels = np.asarray(y)
        if self.task == "classification" and labels.ndim == 1 and labels.dtype.kind in "iu" and self.num_classes > 1:
            beyond = labels[labels >= self.num_classes]
            if len(beyond):
                raise ValueError(
                    f"Labels must be below `num_classes`, which is {self.num_classes}. Received among them: {beyond[0]}"
                )
        return labels

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        validation_data: Any = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit` that also takes texts, in batches of about one length.

        Args:
            x: texts, or pairs of texts; or anything that Keras takes.
            y: their labels: int `[n]` of classes, float `[n, num_classes]` of probabilities, or numbers, float `[n]`.
            batch_size: texts per step; 32 by default.
            validation_data: texts and labels, and perhaps weights, to score after each epoch.
            shuffle: whether each epoch has an order of its own.
            sample_weight: float `[n]`, the weight of each text in the loss.
            class_weight: the weight of each class in the loss, 1 where there is none; for labels `[n]`.
            seed: fixes the order.
            **kwargs: as Keras takes them, `epochs` and `callbacks` for example.

        Returns:
            Losses and metrics of each epoch, as `history`.

        Raises:
            ValueError: texts, labels and weights do not fit one another, or `validation_split` is asked for.
        """
        texts = self.encode(x)
        if validation_data is not None and isinstance(validation_data, tuple | list):
            held_out = self.encode(validation_data[0])
            if held_out is not None:
                weights = None if len(validation_data) < 3 else np.asarray(validation_data[2])
                batches = OrderedBatches(held_out, self._check_labels(validation_data[1]), batch_size or 32, weights)
                validation_data = for_backend(batches)
        if texts is None:
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                validation_data=validation_data,
                shuffle=shuffle,
                sample_weight=sample_weight,
                class_weight=class_weight,
                **kwargs,
            )
        if kwargs.pop("validation_split", 0):
            raise ValueError("`validation_split` is not supported for texts: pass `validation_data`.")
        labels = self._check_labels(y)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float32)
        if class_weight is not None:
            if labels.ndim != 1:
                raise ValueError(f"`class_weight` needs labels [n]. Received shape: {labels.shape}")
            by_class = np.array([class_weight.get(int(label), 1.0) for label in labels], np.float32)
            weights = by_class if weights is None else weights * by_class
        if shuffle:
            data: keras.utils.PyDataset = TrainingBatches(texts, labels, batch_size or 32, seed, weights)
        else:
            data = OrderedBatches(texts, labels, batch_size or 32, weights)
        if self.compiled:  # whatever has no variables yet makes TensorFlow trace and compile the step twice
            if not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            self.compute_metrics(None, labels[:1], np.zeros((1, self.num_classes), np.float32))
            self.reset_metrics()
        return super().fit(for_backend(data), validation_data=validation_data, shuffle=False, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """`keras.Model.evaluate` that also takes texts.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: texts per step; 32 by default.
            **kwargs: as Keras takes them.

        Returns:
            The loss and the metrics, as Keras gives them.

        Raises:
            ValueError: texts and labels do not fit one another.
        """
        texts = self.encode(x)
        if texts is None:
            return super().evaluate(x, y, batch_size=batch_size, **kwargs)
        weights = kwargs.pop("sample_weight", None)
        weights = None if weights is None else np.asarray(weights)
        batches = OrderedBatches(texts, self._check_labels(y), batch_size or 32, weights)
        return super().evaluate(for_backend(batches), **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """`keras.Model.predict` that also takes texts; the rows come in the order of `x`.

        Args:
            x: as in `fit`.
            batch_size: texts per step; 32 by default.
            **kwargs: as Keras takes them.

        Returns:
            float32 `[n, num_classes]`: logits, or scores.

        Raises:
            ValueError: there are texts beside other things, or pairs where the model takes none.
        """
        texts = self.encode(x)
        if texts is None:
            return super().predict(x, batch_size=batch_size, **kwargs)
        if not len(texts):
            return np.zeros((0, self.num_classes), np.float32)
        batches = OrderedBatches(texts, None, batch_size or 32)
        return batches.restore(super().predict(for_backend(batches), **kwargs))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "labels": self.labels,
            "dropout": self.dropout_rate,
            "task": self.task,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EelbertClassifier:
        """The inverse of `get_config`."""
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertMaskedLM(keras.Model):
    """Masked language modelling: a transform of the sequence output, then one logit per output word.

    The output weights are the output words' own input embeddings (tied, as in BERT): for EELBERT the frozen hash
    embeddings, so that only the biases are learned.

    Args:
        backbone: an `EelbertBackbone`; its pooler takes no part.
        output_embeddings: float32 `[V, hidden_size]`, hash embeddings of the output words; `None` for a model with a
            vocabulary, which ties its own table.
        output_size: V where `output_embeddings` is given later, before training.

    Call arguments:
        inputs: anything the backbone takes; with `masked_positions` int32 `[B, M]` in it, only those are predicted.
        training: whether dropout applies.

    Returns:
        float32 `[B, T, V]`, or `[B, M, V]` with masked positions.

    Raises:
        ValueError: a hashed model without `output_embeddings` and `output_size`.
    """

    def __init__(
        self,
        backbone: EelbertBackbone,
        output_embeddings: np.ndarray | None = None,
        output_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        config: EelbertConfig = backbone.config
        self.backbone = backbone
        self.tied = config.vocab_size is not None
        if self.tied:
            self.output_size = int(config.vocab_size or 0)
        elif output_embeddings is not None:
            self.output_size = len(output_embeddings)
        elif output_size is not None:
            self.output_size = output_size
        else:
            raise ValueError("A hashed model needs `output_embeddings` or `output_size`.")
        normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.transform = keras.layers.Dense(config.hidden_size, kernel_initializer=normal, name="transform")
        self.transform_norm = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, name="transform_norm")
        self.build()
        if output_embeddings is not None and not self.tied:
            self.output_embeddings.assign(output_embeddings)

    def build(self, input_shape: Any = None) -> None:
        """Creates the output layer."""
        if self.built:
            return
        size = self.backbone.config.hidden_size
        self.transform.build((None, None, size))
        self.transform_norm.build((None, None, size))
        self.output_bias = self.add_weight(name="output_bias", shape=(self.output_size,), initializer="zeros")
        if not self.tied:
            self.output_embeddings = self.add_weight(
                name="output_embeddings", shape=(self.output_size, size), initializer="zeros", trainable=False
            )
        if self.backbone.pooler is not None:
            self.backbone.pooler.trainable = False
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        positions = inputs.get("masked_positions") if isinstance(inputs, dict) else None
        x = self.backbone(inputs, training=training)["sequence_output"]
        if positions is not None:
            x = ops.take_along_axis(x, ops.expand_dims(positions, -1), axis=1)  # [B, M, d]
        x = self.transform_norm(ops.gelu(self.transform(x), approximate=False))
        table = self.backbone.token_embedding.embeddings if self.tied else self.output_embeddings
        table = ops.cast(ops.convert_to_tensor(table), x.dtype)
        logits = ops.matmul(x, ops.transpose(table)) + ops.cast(ops.convert_to_tensor(self.output_bias), x.dtype)
        return ops.cast(logits, "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "output_size": self.output_size,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EelbertMaskedLM:
        """The inverse of `get_config`."""
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)
