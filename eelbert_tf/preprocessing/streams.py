"""Batches of texts that others make, by `tf.data`, a `PyDataset` or a generator, as batches that a backbone takes."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from eelbert_tf.text.strings import TextOrPair, is_string_tensor

from .base import Preprocessor, batch_shapes_of
from .batches import as_dataset, for_backend
from .columns import as_texts, one_line


class TextStream:
    """Encodes the texts and labels of a stream, and passes on streams that hold no texts.

    Args:
        preprocessor: encodes the texts.
        targets: turns a batch's labels into an array.
        batch_size: texts per batch of a `tf.data.Dataset` that is not batched.
        inputs: what encodes the texts of a batch instead of the preprocessor.

    Attributes:
        error: what went wrong in the stream: TensorFlow reports it in a message of its own, which hides it.
    """

    def __init__(
        self,
        preprocessor: Preprocessor,
        targets: Callable[[Any], np.ndarray],
        batch_size: int = 32,
        inputs: Callable[[list[TextOrPair]], dict[str, np.ndarray]] | None = None,
    ) -> None:
        self._inputs = inputs or preprocessor
        self.preprocessor = preprocessor
        self.targets = targets
        self.batch_size = batch_size
        self.error: ValueError | None = None

    def encode(self, data: Any, shuffle: bool = False) -> Any:
        """The stream, encoded where it holds texts.

        Args:
            data: what `fit` may be given.
            shuffle: whether the batches of a `PyDataset` come in an order of their own in each epoch.
        """
        if hasattr(data, "element_spec") and hasattr(data, "map"):
            return self._encode_dataset(data)
        if isinstance(data, keras.utils.PyDataset):
            holds_texts = len(data) and self._holds_texts(data[0])
            return for_backend(_EncodedDataset(data, self), shuffle) if holds_texts else data
        if isinstance(data, types.GeneratorType):
            first = next(data, None)
            if first is None:
                return data
            batches = itertools.chain([first], data)
            return self._encode_generator(batches) if self._holds_texts(first) else batches
        return data

    def encode_batch(self, batch: Any) -> tuple[Any, ...]:
        """Inputs of a batch, with its labels and weights where it has them.

        Raises:
            ValueError: a text or a label is missing or wrong.
        """
        x, y, sample_weight = _parts(batch)
        try:
            inputs = self._inputs(self._texts(x))
            labels = () if y is None else (self.targets(y),)
        except ValueError as error:
            self.error = error
            raise
        weights = () if sample_weight is None else (np.asarray(sample_weight, np.float32),)
        return (inputs, *labels, *weights)

    def _texts(self, x: Any) -> list[TextOrPair]:
        """The texts of a batch.

        Raises:
            ValueError: it holds none.
        """
        texts = as_texts(x, self.preprocessor.pair)
        if texts is None:
            raise ValueError(f"Expected texts. Received: {type(x).__name__}: {one_line(x)}")
        return texts

    def _in_graph(self, x: Any) -> dict[str, Any]:
        """The inputs for tensors of strings inside a graph: the host makes them."""
        import tensorflow as tf

        with tf.init_scope():  # what is made of one text is looked at now, not in the graph
            example = self._inputs([("", "")] if self.preprocessor.pair else [""])

        def encode(*sides: np.ndarray) -> list[np.ndarray]:
            rows: list[Any] = list(sides[0]) if len(sides) == 1 else list(zip(*sides, strict=True))
            batch = self._inputs(self._texts(rows))
            return [batch[name] for name in example]

        sides = x if isinstance(x, tuple) else (x,)
        tensors = tf.numpy_function(encode, sides, [array.dtype for array in example.values()], stateful=False)
        for tensor, shape in zip(tensors, batch_shapes_of(example).values(), strict=True):
            tensor.set_shape(shape)
        return dict(zip(example, tensors, strict=True))

    def _holds_texts(self, batch: Any) -> bool:
        return as_texts(_parts(batch)[0], self.preprocessor.pair) is not None

    def _encode_generator(self, batches: Iterable[Any]) -> Any:
        encoded = map(self.encode_batch, batches)
        if keras.backend.backend() != "tensorflow":
            return (batch for batch in encoded)
        import tensorflow as tf

        first = next(encoded)
        inputs, *rest = first
        signature = (
            {name: tf.TensorSpec(shape, inputs[name].dtype) for name, shape in batch_shapes_of(inputs).items()},
            *(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in rest),
        )
        return as_dataset(lambda: itertools.chain([first], encoded), signature)

    def _encode_dataset(self, dataset: Any) -> Any:
        spec = dataset.element_spec
        x_spec = spec[0] if isinstance(spec, tuple) else spec
        sides = x_spec if isinstance(x_spec, tuple) else (x_spec,)
        if not all(is_string_tensor(side) for side in sides):
            return dataset
        import tensorflow as tf

        if sides[0].shape.rank == 0:
            dataset = dataset.batch(self.batch_size)

        def names_to_targets(names: np.ndarray) -> np.ndarray:
            try:
                return self.targets(names)
            except ValueError as error:
                self.error = error
                raise

        @tf.autograph.experimental.do_not_convert
        def encode(x: Any, *rest: Any) -> tuple[Any, ...]:
            inputs = self._in_graph(x)
            if rest and is_string_tensor(rest[0]):
                (labels,) = tf.numpy_function(names_to_targets, [rest[0]], [tf.int32], stateful=False)
                labels.set_shape((None,))
                rest = (labels, *rest[1:])
            return (inputs, *rest)

        return dataset.map(encode, num_parallel_calls=2).prefetch(2)


class _EncodedDataset(keras.utils.PyDataset):
    """A `PyDataset` of texts, encoded batch by batch."""

    def __init__(self, batches: keras.utils.PyDataset, stream: TextStream) -> None:
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self._batches = batches
        self._stream = stream

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self._stream.encode_batch(self._batches[index])

    def on_epoch_begin(self) -> None:
        """Passed on."""
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Passed on."""
        self._batches.on_epoch_end()


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, labels and weights of a batch; a list of texts is inputs alone."""
    if isinstance(batch, list) and all(isinstance(text, str | bytes) for text in batch):
        return batch, None, None
    parts: tuple[Any, Any, Any] = keras.utils.unpack_x_y_sample_weight(batch)
    return parts
