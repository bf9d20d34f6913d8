"""The base class of models for tasks: one preprocessor turns texts into inputs, for training and prediction alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from eelbert_tf.preprocessing.base import EncodedTexts, Preprocessor
from eelbert_tf.preprocessing.batches import FollowEpochs, OrderedBatches, TrainingBatches, for_backend
from eelbert_tf.preprocessing.columns import as_texts
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.preprocessing.hashed_words import HashedBatches, WordHashes, hashed_words
from eelbert_tf.preprocessing.streams import TextStream
from eelbert_tf.preprocessing.targets import class_weights
from eelbert_tf.preprocessing.windowed_texts import WindowedTexts
from eelbert_tf.preprocessing.wordpiece import WordPiece
from eelbert_tf.saving.stored import StoredModel

from .backbone import EelbertBackbone
from .checks import check_count, check_devices, check_preprocessor, sample_weights, split_at
from .presets import Saveable

Tensor = Any

BATCH_SIZE = 32
_MULTIPLE = 16  # texts of a batch to predict, some of them twice: each other number would be compiled


class Task(Saveable, keras.Model):
    """Base class: a backbone, a preprocessor, and a head on top.

    `fit`, `evaluate`, `predict`, `train_on_batch`, `test_on_batch`, `predict_on_batch` and the call itself take texts
    in every shape that `preprocessing.columns.as_texts` knows; `fit`, `evaluate` and `predict` also datasets,
    `PyDataset`s and generators of texts. What holds no texts is passed to Keras as it is.

    Args:
        backbone: an `EelbertBackbone`.
        preprocessor: turns texts into the backbone's inputs; by default `HashedTexts` with the backbone's limits. A
            backbone with a vocabulary needs a `WordPiece` to take texts.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them.

    Raises:
        ValueError: the preprocessor does not fit the backbone.
    """

    # Whether the head needs nothing of a text's bytes, so that `fit` may hash each distinct word once.
    hash_words_once = False

    # Whether the head takes what is pooled over the windows of a text.
    reads_windows = False

    def __init__(self, backbone: EelbertBackbone, preprocessor: Preprocessor | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": backbone.dtype_policy, **kwargs})
        config = backbone.config
        if preprocessor is None and config.hash is not None:
            windows = (config.max_windows, config.window_overlap) if self.reads_windows else ()
            preprocessor = HashedTexts(
                config.max_tokens, config.max_bytes, backbone.pair, config.hash.normalization, *windows
            )
        if preprocessor is not None:
            check_preprocessor(preprocessor, backbone, self.reads_windows)
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.labels: list[str | None] | None = None
        self._epochs_seen = 0

    def targets(self, y: Any) -> np.ndarray:
        """Labels as the loss takes them.

        Args:
            y: a column of labels.

        Returns:
            One row per label.

        Raises:
            ValueError: a label is missing or wrong; the message names its row.
        """
        return np.asarray(y)

    def learn_unit(self, targets: np.ndarray) -> None:
        """Looks at the targets of a training before it begins."""

    def encode(self, x: Any) -> EncodedTexts | None:
        """Texts ready for batching.

        Args:
            x: texts or pairs, also such as were encoded before, or anything else.

        Returns:
            The encoded texts; `None` where `x` holds none.

        Raises:
            ValueError: there are texts beside other things, pairs where the model takes none, or no preprocessor.
        """
        if _is_encoded(x):
            encoded: EncodedTexts = x
            return encoded
        texts = as_texts(x, self.backbone.pair)
        return None if texts is None else self._texts_to_inputs().encode(texts)

    def _texts_to_inputs(self) -> Preprocessor:
        if self.preprocessor is None:
            raise ValueError(
                "This model has a vocabulary and no preprocessor: build it with `preprocessor=WordPiece(vocabulary)`, "
                "or pass `token_ids`. Received: texts"
            )
        return self.preprocessor

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """`call`, which also takes texts."""
        encoded = self._inputs(inputs)
        return super().__call__(inputs if encoded is None else encoded, *args, **kwargs)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        validation_data: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit` that also takes texts, in batches of about one length.

        Args:
            x: texts, or pairs of texts; or anything that Keras takes.
            y: a label for each: names of classes, or their numbers, `[n]`; probabilities `[n, num_classes]`; numbers.
            batch_size: texts per step; 32 by default.
            validation_data: texts and labels, and perhaps weights, to score after each epoch; or a stream of them.
            validation_split: the share of the texts, from the end, that is scored instead of learned.
            shuffle: whether each epoch has an order of its own.
            class_weight: the weight of each class in the loss, by its name or number, 1 where there is none; or
                "balanced", which gives all classes the same weight in total.
            sample_weight: float `[n]`, the weight of each text in the loss.
            initial_epoch: the number of the first epoch.
            seed: fixes the order, together with the number of epochs that the model has seen.
            **kwargs: as Keras takes them, `epochs` and `callbacks` for example.

        Returns:
            Losses and metrics of each epoch, as `history`.

        Raises:
            ValueError: texts, labels and weights do not fit one another.
        """
        self._check_precision()
        if validation_split and validation_data is not None:
            raise ValueError("Give `validation_data` or `validation_split`, not both.")
        hashes = self.word_hashes()
        validation = self._validation(validation_data, batch_size, hashes)
        rows: Any = x if _is_encoded(x) else as_texts(x, self.backbone.pair)
        if rows is None:
            return self._fit_stream(
                x,
                y,
                batch_size=batch_size,
                validation_data=validation,
                validation_split=validation_split,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                **kwargs,
            )
        self._texts_to_inputs()
        targets = self.targets(y)
        check_count(len(rows), targets, "label")
        self.learn_unit(targets)
        weights = self._combined_weights(sample_weight, class_weight, targets)
        if validation_split:
            if _is_encoded(rows):
                raise ValueError("`validation_split` needs texts, not encoded ones: pass `validation_data`.")
            kept = split_at(len(rows), validation_split)
            held_out = self._hashed(rows[kept:], hashes)
            part = None if weights is None else weights[kept:]
            validation = for_backend(self._ordered(held_out, targets[kept:], batch_size, part))
            rows, targets, weights = rows[:kept], targets[:kept], None if weights is None else weights[:kept]
        texts = rows if _is_encoded(rows) else self._hashed(rows, hashes, kwargs.get("epochs", 1) - initial_epoch)
        data: Any = self._ordered(texts, targets, batch_size, weights)
        if shuffle:
            epoch = max(self._epochs_seen, initial_epoch)
            data = TrainingBatches(texts, targets, batch_size or BATCH_SIZE, seed, weights, epoch)
            kwargs["callbacks"] = _with(FollowEpochs(data, epoch - initial_epoch), kwargs.get("callbacks"))
        self._build_training(targets[:1])
        history = super().fit(
            for_backend(data), validation_data=validation, shuffle=False, initial_epoch=initial_epoch, **kwargs
        )
        if history.epoch:  # which may begin later than was asked, where a callback restored a training
            self._epochs_seen = max(self._epochs_seen, initial_epoch) + history.epoch[-1] + 1 - initial_epoch
        return history

    def _fit_stream(self, x: Any, y: Any, batch_size: int | None, class_weight: Any, **kwargs: Any) -> Any:
        if isinstance(class_weight, str):
            raise ValueError(
                f"`class_weight` of a stream must be a dictionary: the labels are not known beforehand. Received: "
                f"class_weight={class_weight!r:.100}"
            )
        if class_weight is not None:
            number = self.num_labels
            class_weight = dict(enumerate(class_weights(class_weight, np.arange(number), self.labels, number).tolist()))
        with self._encoded(x, batch_size, kwargs["shuffle"], self.word_hashes()) as (data, size):
            if hasattr(data, "element_spec"):  # a `tf.data.Dataset` has an order of its own
                kwargs["shuffle"] = False
            return super().fit(data, y, batch_size=size, class_weight=class_weight, **kwargs)

    @contextmanager
    def _encoded(
        self, x: Any, batch_size: int | None, shuffle: bool = False, hashes: WordHashes | None = None
    ) -> Iterator[tuple[Any, int | None]]:
        """Encodes a stream of texts; other data stay as they are. Yields the data, and the batch size to pass to Keras.

        Raises:
            ValueError: a text or label in the stream is wrong; it replaces TensorFlow's long report.
        """
        if self.preprocessor is None:
            yield x, batch_size
            return
        inputs = None if hashes is None else HashedBatches(hashes, getattr(self.preprocessor, "windows", None))
        stream = TextStream(self.preprocessor, self.targets, batch_size or BATCH_SIZE, inputs)
        data = stream.encode(x, shuffle)
        try:
            yield data, batch_size if data is x else None  # a stream is batched already
        except Exception:
            if stream.error is not None:
                raise stream.error from None
            raise

    def _check_precision(self) -> None:
        """Checks that weights can be learned in their type.

        Raises:
            ValueError: the weights are float16, in which the squares of gradients vanish.
        """
        if self.dtype_policy.variable_dtype == "float16":
            raise ValueError(
                'Weights in float16 cannot be trained: squares of gradients vanish. Use dtype="mixed_float16". '
                f"Received: a model with dtype={self.dtype_policy.name!r}"
            )

    def _build_training(self, targets: np.ndarray) -> None:
        """Creates all training variables now: TensorFlow would trace and compile the step twice if they came later."""
        if not self.compiled:
            return
        if self._num_devices > 1:
            return
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        self.compute_metrics(None, targets, np.zeros((1, self.num_outputs), np.float32))
        self.reset_metrics()

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Under a strategy Keras averages the devices' parts of a batch to learn its shapes. That fails where the parts
        # differ in size, and makes bytes fractions. One part has the same shapes.
        if iterator is not None and self._num_devices > 1:
            parts = self.distribute_strategy.experimental_local_results
            data_batch = keras.tree.map_structure(lambda x: parts(x)[0], next(next(iter(iterator))[2]))
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    @property
    def _num_devices(self) -> int:
        """Devices that a strategy divides each batch among."""
        strategy = getattr(self, "distribute_strategy", None)
        return 1 if strategy is None else strategy.num_replicas_in_sync

    def _ordered(
        self, texts: EncodedTexts, targets: np.ndarray, batch_size: int | None, weights: np.ndarray | None
    ) -> OrderedBatches:
        """Batches for `evaluate`, and for an epoch in order."""
        size = batch_size or BATCH_SIZE
        check_devices(len(texts), size, self._num_devices)
        return OrderedBatches(texts, targets, size, weights, smallest=self._num_devices)

    def word_hashes(self, lexical: bool = True) -> WordHashes | None:
        """A table for the words of texts that are computed again and again; `None` where bytes are needed.

        Args:
            lexical: whether a lexical head, where there is one, has to look up the words of these texts.
        """
        config = self.backbone.config
        suits = self.hash_words_once and config.hash is not None and isinstance(self.preprocessor, HashedTexts)
        suits = suits and not (lexical and getattr(self, "lexical", None) is not None)  # which it does by their bytes
        return WordHashes(config, self.backbone.pair) if suits else None

    def ready(self, texts: Any, hashes: WordHashes | None = None, passes: int = 1) -> EncodedTexts:
        """Texts ready for batching, to be passed to `fit`, `evaluate` and `predict` instead of texts, again and again.

        Args:
            texts: strings, byte strings, or pairs of them; or what this method gave.
            hashes: what `word_hashes` gave: each distinct word is hashed once for all texts that share it.
            passes: how often each text will be computed.

        Returns:
            The encoded texts.
        """
        if _is_encoded(texts):
            encoded: Any = texts
            return encoded
        return self._hashed(list(texts), hashes, passes)

    def _hashed(self, rows: list[Any], hashes: WordHashes | None, passes: int = 1) -> EncodedTexts:
        """Texts ready for batching, their words hashed once where that is possible."""
        windows = getattr(self.preprocessor, "windows", None)
        found = None if hashes is None else hashed_words(rows, hashes, passes, windows)
        return self._texts_to_inputs().encode(rows) if found is None else found

    def _validation(self, data: Any, batch_size: int | None, hashes: WordHashes | None) -> Any:
        """`validation_data` as Keras takes it."""
        if isinstance(data, tuple | list) and len(data) in (2, 3):
            rows = data[0] if _is_encoded(data[0]) else as_texts(data[0], self.backbone.pair)
            if rows is not None:
                held_out = self.ready(rows, hashes)
                targets = self.targets(data[1])
                check_count(len(held_out), targets, "label")
                weights = sample_weights(data[2] if len(data) == 3 else None, len(held_out))
                return for_backend(self._ordered(held_out, targets, batch_size, weights))
        with self._encoded(data, batch_size) as (stream, _):
            return stream

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """`keras.Model.evaluate` that also takes texts.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: texts per step; 32 by default.
            sample_weight: as in `fit`.
            **kwargs: as Keras takes them.

        Returns:
            The loss and the metrics, as Keras gives them.

        Raises:
            ValueError: texts and labels do not fit one another.
        """
        texts = self.encode(x)
        if texts is None:
            with self._encoded(x, batch_size) as (data, size):
                return super().evaluate(data, y, batch_size=size, sample_weight=sample_weight, **kwargs)
        targets = self.targets(y)
        check_count(len(texts), targets, "label")
        weights = sample_weights(sample_weight, len(texts))
        return super().evaluate(for_backend(self._ordered(texts, targets, batch_size, weights)), **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """`keras.Model.predict` that also takes texts; the rows come in the order of `x`.

        Args:
            x: as in `fit`.
            batch_size: texts per step; 32 by default.
            **kwargs: as Keras takes them.

        Returns:
            float32 `[n, num_outputs]`.

        Raises:
            ValueError: there are texts beside other things, or pairs where the model takes none.
        """
        texts = self.encode(x)
        if texts is None:
            with self._encoded(x, batch_size) as (data, size):
                return super().predict(data, batch_size=size, **kwargs)
        if not len(texts):
            return np.zeros((0, self.num_outputs), np.float32)
        if isinstance(texts, WindowedTexts) and texts.has_several:  # without windows that only fill up a batch
            return texts.mean(self.predict(texts.each_window(), batch_size, **kwargs))
        devices = self._num_devices
        batches = OrderedBatches(texts, None, max(batch_size or BATCH_SIZE, devices), smallest=devices)
        return batches.restore(super().predict(for_backend(batches), **kwargs))

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, **kwargs: Any
    ) -> Any:
        """`keras.Model.train_on_batch` that also takes texts; arguments as in `fit`."""
        self._check_precision()
        inputs = self._inputs(x)
        if inputs is None:
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)
        targets = self.targets(y)
        weights = self._combined_weights(sample_weight, class_weight, targets)
        return super().train_on_batch(inputs, targets, weights, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch` that also takes texts; arguments as in `fit`."""
        inputs = self._inputs(x)
        if inputs is None:
            return super().test_on_batch(x, y, sample_weight, **kwargs)
        targets = self.targets(y)
        return super().test_on_batch(inputs, targets, sample_weights(sample_weight, len(targets)), **kwargs)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """`keras.Model.predict_on_batch` that also takes texts: float32 `[n, num_outputs]`."""
        inputs = self._inputs(x)
        return np.asarray(super().predict_on_batch(x if inputs is None else inputs))

    def export(self, filepath: Any, *args: Any, input_signature: Any = None, **kwargs: Any) -> None:
        """`keras.Model.export`, whose graph takes the bytes of texts unless another signature is given.

        Args:
            filepath: as Keras takes it.
            *args: likewise.
            input_signature: by default int32 `[B, max_bytes]`; of a model with a vocabulary as Keras finds it.
            **kwargs: as Keras takes them, `format` for example.
        """
        config = self.backbone.config
        if input_signature is None and config.hash is not None:
            input_signature = [keras.InputSpec(shape=(None, config.max_bytes), dtype="int32")]
        super().export(filepath, *args, input_signature=input_signature, **kwargs)

    def predict_batches(self, batches: OrderedBatches) -> Any:
        """Outputs for encoded texts, in their order; `predict` would take longer to start than a few texts take.

        Args:
            batches: without labels.

        Returns:
            As `predict`.
        """
        found = []
        for (inputs,) in (batches[i] for i in range(len(batches))):
            count = len(inputs["padding_mask"])
            filled = np.arange(-(-count // _MULTIPLE) * _MULTIPLE) % count
            outputs = self.predict_on_batch({name: x[filled] for name, x in inputs.items()})
            found.append(keras.tree.map_structure(lambda x, count=count: x[:count], outputs))
        return keras.tree.map_structure(lambda *parts: batches.restore(np.concatenate(parts)), *found)

    def _combined_weights(self, sample_weight: Any, class_weight: Any, targets: np.ndarray) -> np.ndarray | None:
        """The weight of each text in the loss, by itself and by its class: float32 `[n]`, `None` for equal ones."""
        weights = sample_weights(sample_weight, len(targets))
        if class_weight is None:
            return weights
        by_class = class_weights(class_weight, targets, self.labels, self.num_labels)
        return by_class if weights is None else weights * by_class

    def _inputs(self, x: Any) -> dict[str, np.ndarray] | None:
        """One batch of texts as the backbone's inputs; `None` where `x` holds none."""
        texts = self.encode(x)
        return None if texts is None else texts.batch(np.arange(len(texts)))

    @property
    def num_outputs(self) -> int:
        """The number of outputs for one text."""
        raise NotImplementedError

    @property
    def num_labels(self) -> int:
        """Classes that `class_weight` may name."""
        return self.num_outputs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        return {
            **self.saved_state(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`; files of version 0.1 name no preprocessor."""
        config = dict(config)
        for name in {"backbone", "preprocessor"} & config.keys():
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls.restore(config)


def _with(callback: keras.callbacks.Callback, others: Any) -> Any:
    """A callback before those that `fit` was given."""
    if isinstance(others, keras.callbacks.CallbackList):
        others.append(callback)
        return others
    return [callback, *(others if isinstance(others, list | tuple) else [others] if others else [])]


def _is_encoded(x: Any) -> bool:
    """Whether texts are ready for batching."""
    return hasattr(x, "token_counts") and hasattr(x, "levels")


def stored_preprocessor(stored: StoredModel, backbone: EelbertBackbone, reads_windows: bool = False) -> Preprocessor:
    """The preprocessor that a stored model was trained with.

    Args:
        stored: what was read of it.
        backbone: made from it, perhaps with other limits.
        reads_windows: as of the task.

    Raises:
        InputError: a model with a vocabulary lies there without its pieces, or with damaged ones.
    """
    config = backbone.config
    kind: type[Preprocessor] = WordPiece if config.hash is None else HashedTexts
    windows = (config.max_windows, config.window_overlap) if reads_windows else (1, 0)
    changes = dict(zip(("max_windows", "window_overlap"), windows, strict=True))
    found: Preprocessor = kind.from_stored(
        stored, backbone.pair, max_tokens=config.max_tokens, max_bytes=config.max_bytes, **changes
    )
    return found
