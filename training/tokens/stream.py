"""Training batches by number: what step s sees follows from (seed, s) alone, on any worker, resumed or not."""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.training.corpus.sequences import Sequences

from .masking import Batch

Corruption = Callable[[np.ndarray, np.random.Generator], Batch]

_AHEAD = 4  # batches made before they are asked for


@dataclass(frozen=True)
class BatchStream:
    """Corrupted batches of a corpus.

    Args:
        sequences: rows of word ids.
        corrupt: makes the arrays of a step out of rows.
        batch_size: sequences per step, on all workers together.
        parts: pieces that a step is cut into, for gradient accumulation; must divide `batch_size`.
        worker: number of this worker, which gets its share of every piece.
        workers: their number; `parts * workers` must divide `batch_size`.
        seed: fixes all masks.
    """

    sequences: Sequences
    corrupt: Corruption
    batch_size: int
    parts: int = 1
    worker: int = 0
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size % (self.parts * self.workers):
            raise ValueError(
                f"`batch_size` must be a multiple of parts * workers. Received: batch_size={self.batch_size}, "
                f"parts={self.parts}, workers={self.workers}"
            )

    def batch(self, number: int) -> Batch:
        """This worker's share of piece `number`, counted over all steps."""
        step, part = divmod(number, self.parts)
        rows = self.sequences.batch(step, self.batch_size)
        whole = self.corrupt(rows, np.random.Generator(np.random.Philox(key=[self.seed, step])))
        shares, place = self.parts * self.workers, part * self.workers + self.worker
        return {
            name: array[place * len(array) // shares : (place + 1) * len(array) // shares]
            for name, array in whole.items()
        }

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Pieces `start` to `stop - 1`, made in a thread ahead of their use."""
        waiting: collections.deque[Future[Batch]] = collections.deque()
        with ThreadPoolExecutor(1) as executor:
            try:
                for number in range(start, stop):
                    waiting.append(executor.submit(self.batch, number))
                    if len(waiting) > _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def for_fit(batches: Callable[[], Iterator[Batch]], example: Batch, ragged: bool = False) -> Any:
    """Batches as `fit` takes them: on TensorFlow a `tf.data.Dataset`, with static shapes where they are the same.

    Args:
        batches: gives an iterator from the first batch on, each time it is called.
        example: a batch, for its shapes and types.
        ragged: whether shapes differ from batch to batch.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return ((batch,) for batch in batches())
    import tensorflow as tf

    from eelbert_tf.preprocessing.batches import as_dataset

    def spec(array: np.ndarray) -> Any:
        return tf.TensorSpec((None,) * array.ndim if ragged else array.shape, array.dtype)

    signature = ({name: spec(array) for name, array in example.items()},)
    return as_dataset(lambda: ((batch,) for batch in batches()), signature)
