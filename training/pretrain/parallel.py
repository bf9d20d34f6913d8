"""Devices and processes: the strategies that Keras can use, by name.

none      one device
mirrored  all GPUs of this machine: tf.distribute.MirroredStrategy
tpu       a TPU: tf.distribute.TPUStrategy
jax       all devices of all processes: jax.distributed and keras.distribution.DataParallel
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from eelbert_tf.errors import InputError

STRATEGIES = ("none", "mirrored", "tpu", "jax")


@dataclass(frozen=True)
class Parallel:
    """The devices of a run.

    Args:
        worker: number of this process.
        workers: number of processes; each computes its share of every batch.
        devices: number of devices of all processes together.
        scope: must be entered while the model is created.
        compiles: whether XLA can compile a step for these devices.
    """

    worker: int = 0
    workers: int = 1
    devices: int = 1
    scope: Any = field(default_factory=contextlib.nullcontext)
    compiles: bool = True


def start(strategy: str, coordinator: str | None = None, processes: int = 1, process: int = 0) -> Parallel:
    """Sets up the devices; to be called before anything is computed.

    Args:
        strategy: one of `STRATEGIES`.
        coordinator: "HOST:PORT" of process 0, for several processes.
        processes: number of processes.
        process: number of this process.

    Raises:
        InputError: the strategy belongs to another backend, or its devices are not there.
    """
    import keras

    if strategy == "none":
        return Parallel()
    needed = "jax" if strategy == "jax" else "tensorflow"
    if keras.backend.backend() != needed:
        raise InputError(f"--strategy {strategy}: needs the {needed} backend; set KERAS_BACKEND={needed}")
    if strategy == "jax":
        return _start_jax(coordinator, processes, process)
    import tensorflow as tf

    if strategy == "mirrored":
        tf_strategy = tf.distribute.MirroredStrategy()
    else:
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (ValueError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
            raise InputError(f"--strategy tpu: no TPU found: {str(error).splitlines()[0]}") from None
        tf_strategy = tf.distribute.TPUStrategy(resolver)
    # Logical CPUs, which tests use, share one XLA device, and XLA refuses variables of the other devices.
    compiles = strategy == "tpu" or bool(tf.config.list_logical_devices("GPU"))
    return Parallel(devices=tf_strategy.num_replicas_in_sync, scope=tf_strategy.scope(), compiles=compiles)


def _start_jax(coordinator: str | None, processes: int, process: int) -> Parallel:
    import jax
    import keras

    if processes > 1:
        if coordinator is None:
            raise InputError("--processes: several processes need --coordinator HOST:PORT, the first one's address")
        if not 0 <= process < processes:
            raise InputError(f"--process: must lie in 0 to {processes - 1}, not {process}")
        jax.distributed.initialize(coordinator, processes, process)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return Parallel(jax.process_index(), jax.process_count(), jax.device_count())
