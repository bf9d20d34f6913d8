"""Training batches by number: the batch of step s depends on (seed, s) alone, on any worker, resumed or not."""

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

_AHEAD = 4  # batches that are computed before they are needed


@dataclass(frozen=True)
class BatchStream:
    """Corrupted batches of a corpus.

    Args:
        sequences: rows of word ids.
        corrupt: turns rows into the arrays of a step.
        batch_size: sequences per step, on all workers together.
        micro_batches: how many batches a step is divided into, for gradient accumulation.
        worker: number of this worker, which gets its share of every micro-batch.
        workers: number of workers; `micro_batches * workers` must divide `batch_size`.
        seed: fixes all masks.
    """

    sequences: Sequences
    corrupt: Corruption
    batch_size: int
    micro_batches: int = 1
    worker: int = 0
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size % (self.micro_batches * self.workers):
            raise ValueError(
                f"`batch_size` must be a multiple of micro_batches * workers. Received: batch_size={self.batch_size}, "
                f"micro_batches={self.micro_batches}, workers={self.workers}"
            )

    def batch(self, number: int) -> Batch:
        """This worker's share of micro-batch `number`, counted over all steps."""
        step, micro_batch = divmod(number, self.micro_batches)
        rows = self.sequences.batch(step, self.batch_size)
        whole = self.corrupt(rows, np.random.Generator(np.random.Philox(key=[self.seed, step])))
        shares, share = self.micro_batches * self.workers, micro_batch * self.workers + self.worker
        return {
            name: array[share * len(array) // shares : (share + 1) * len(array) // shares]
            for name, array in whole.items()
        }

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Micro-batches `start` to `stop - 1`, computed by a thread ahead of their use."""
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
    """Batches in the form that `fit` takes: on TensorFlow a `tf.data.Dataset`, with static shapes unless `ragged`.

    Args:
        batches: returns a new iterator over all batches at each call.
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
