"""Batches of texts for `fit`, `evaluate`, `predict`: as narrow as their texts allow, in an order that a seed fixes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from .base import EncodedTexts, batch_shapes_of
from .columns import one_line
from .order import sort_within_windows


def _one_per_text(values: Any, texts: EncodedTexts, name: str) -> np.ndarray:
    """Labels or weights as an array `[n]` or `[n, k]`.

    Raises:
        ValueError: they are not numbers, or not as many as the texts.
    """
    array = np.asarray(values)
    if not len(texts):
        raise ValueError("Expected at least one text. Received none")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"Expected each {name} to be a number, a class's index for example. Received: {one_line(values)}"
        )
    if array.ndim == 0 or len(array) != len(texts):
        count = len(array) if array.ndim else "a single number"
        raise ValueError(f"Expected one {name} per text. Received: {len(texts)} texts and {count}")
    return array


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled batches of like-sized texts; the order of an epoch depends on `(seed, epoch)` alone.

    Texts are shuffled, sorted by size within groups of 64 batches, and the batches are shuffled again. The last batch
    is filled up from the epoch's first texts, so that all have one size.

    Args:
        texts: encoded texts.
        labels: `[n]` or `[n, k]`.
        batch_size: texts per batch.
        seed: fixes every epoch's order.
        sample_weight: `[n]`, or `None`.
        epoch: the number of the first epoch.
    """

    def __init__(
        self,
        texts: EncodedTexts,
        labels: np.ndarray,
        batch_size: int = 32,
        seed: int = 0,
        sample_weight: np.ndarray | None = None,
        epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.texts = texts
        self.labels = _one_per_text(labels, texts, "label")
        self.batch_size = min(batch_size, len(texts))
        self.seed = seed
        self.sample_weight = None if sample_weight is None else _one_per_text(sample_weight, texts, "sample weight")
        self._epoch = epoch
        self._batches = self._order(epoch)

    def _order(self, epoch: int) -> np.ndarray:
        """Indices of each batch, `[batches, batch_size]`."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.texts))
        order = np.concatenate([order, order[: -len(order) % self.batch_size]])
        batches = sort_within_windows(order, self.texts.token_counts, self.batch_size)
        return rng.permutation(batches.reshape(-1, self.batch_size))

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self._batches[index]
        item = (self.texts.batch(chosen), self.labels[chosen])
        return item if self.sample_weight is None else (*item, self.sample_weight[chosen])

    def on_epoch_end(self) -> None:
        """Prepares the next epoch's order."""
        self.begin(self._epoch + 1)

    def begin(self, epoch: int) -> None:
        """Takes the order of an epoch, whichever was the last: a training that goes on may begin with any."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = self._order(epoch)


class FollowEpochs(keras.callbacks.Callback):
    """Has batches take the order of the epoch that begins: `BackupAndRestore` may begin with a later one.

    Args:
        batches: of the training.
        ahead: by how much their epochs are ahead of those of `fit`.
    """

    def __init__(self, batches: TrainingBatches, ahead: int = 0) -> None:
        super().__init__()
        self._batches, self._ahead = batches, ahead

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.begin(epoch + self._ahead)


class OrderedBatches(keras.utils.PyDataset):
    """Every text once, shortest first: for evaluation.

    What is left of one shape goes into the first batch of the next, so that only the very last batch has another size.

    Args:
        texts: encoded texts.
        labels: `[n]` or `[n, k]`, or `None`.
        batch_size: texts per batch.
        sample_weight: `[n]`, or `None`.
        smallest: texts that each batch has at least, one for each device; the last text is repeated if there are fewer.
    """

    def __init__(
        self,
        texts: EncodedTexts,
        labels: np.ndarray | None = None,
        batch_size: int = 32,
        sample_weight: np.ndarray | None = None,
        smallest: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.texts = texts
        self.labels = None if labels is None else _one_per_text(labels, texts, "label")
        self.sample_weight = None if sample_weight is None else _one_per_text(sample_weight, texts, "sample weight")
        self._order = np.argsort(texts.levels, kind="stable")
        if len(texts) < smallest:
            self._order = np.pad(self._order, (0, smallest - len(texts)), "edge")
        starts = range(batch_size, max(len(self._order) - smallest, 0) + 1, batch_size)
        self._batches = np.split(self._order, starts)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self._batches[index]
        inputs = self.texts.batch(chosen)
        if self.labels is None:
            return (inputs,)
        if self.sample_weight is None:
            return inputs, self.labels[chosen]
        return inputs, self.labels[chosen], self.sample_weight[chosen]

    def restore(self, rows: np.ndarray) -> np.ndarray:
        """Results for all batches, `[n, ...]`, in the order of the texts."""
        ordered = np.empty((len(self.texts), *rows.shape[1:]), rows.dtype)
        ordered[self._order] = rows
        return ordered


def for_backend(batches: keras.utils.PyDataset, shuffle: bool = False) -> Any:
    """`batches` as Keras needs them: on TensorFlow as a `tf.data.Dataset` that declares its varying widths.

    Keras takes the widths of the first two batches of a PyDataset for those of all.

    Args:
        batches: each a tuple of inputs and perhaps labels and weights.
        shuffle: whether TensorFlow gets them in an order of its own in each epoch, as Keras has it for a PyDataset.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    def generate() -> Any:
        count = len(batches)
        order = list(range(count))
        if shuffle:
            random.shuffle(order)  # of Python's own generator, which `keras.utils.set_random_seed` sets
        for done, index in enumerate(order, 1):
            batch = batches[index]
            if done == count:  # now, since nobody waits for what follows the last `yield`
                batches.on_epoch_end()
            yield batch

    inputs, *targets = batches[0]
    signature = (
        {name: tf.TensorSpec(shape, inputs[name].dtype) for name, shape in batch_shapes_of(inputs).items()},
        *(tf.TensorSpec((None, *x.shape[1:]), x.dtype) for x in targets),
    )
    return as_dataset(generate, signature).apply(tf.data.experimental.assert_cardinality(len(batches)))


def as_dataset(generate: Callable[[], Iterator[Any]], signature: Any) -> Any:
    """A generator's batches as a `tf.data.Dataset` that makes two of them ahead.

    Args:
        generate: gives an iterator from the first batch on, each time it is called.
        signature: `tf.TensorSpec`s of a batch.
    """
    import tensorflow as tf

    options = tf.data.Options()
    # There is nothing to tune, and the end of an epoch waits for the tuner, which may sleep for as long as it has run.
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2).with_options(options)
