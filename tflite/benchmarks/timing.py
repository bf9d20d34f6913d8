"""How benchmarks measure: competitors take turns in one process, and medians are compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def interleave(calls: dict[str, Callable[[Any], Any]], inputs: Sequence[Any], rounds: int) -> dict[str, np.ndarray]:
    """Times calls in turn on every input, so that anything that slows the machine slows all of them.

    Args:
        calls: by name.
        inputs: what each is called with; the first few warm up.
        rounds: passes over the inputs.

    Returns:
        Milliseconds of every call, float `[rounds * len(inputs)]`, by name.
    """
    for item in inputs[:20]:
        for call in calls.values():
            call(item)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for item in inputs:
            for name, call in calls.items():
                begin = time.perf_counter_ns()
                call(item)
                times[name].append((time.perf_counter_ns() - begin) / 1e6)
    return {name: np.array(values) for name, values in times.items()}


def summary(milliseconds: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 4), "p95_ms": round(float(p95), 4)}
