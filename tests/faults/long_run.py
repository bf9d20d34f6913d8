"""One runtime object, many threads, many minutes: the same answers, and memory that does not grow."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np

from eelbert_tf.tflite.checks.hard_texts import hard_texts
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.faults.bench import Bench, Tally
from tests.small_models import converted

_THREADS = 8
_TEXTS = 512
_LOOKS = 20  # at the memory, evenly over the time
_GROWTH = 4e6  # bytes between the first look and the last that are still no growth: allocators keep pages


def long_run(bench: Bench) -> list[Tally]:
    """LiteRT and TFLite Micro, half of the time each."""
    path, _ = converted("small", target="micro")
    seconds = 60 * bench.sizes["minutes"] / 2
    return [
        run(bench, name, runtime, seconds)
        for name, runtime in (("LiteRT", EelbertRuntime(path)), ("TFLite Micro", TflmRuntime(path)))
    ]


def run(bench: Bench, name: str, runtime: EelbertRuntime | TflmRuntime, seconds: float) -> Tally:
    """Predicts in threads until the time is over.

    Args:
        bench: where to work.
        name: of the runtime.
        runtime: shared by all threads.
        seconds: how long.
    """
    tally = Tally(f"{_THREADS} threads on one {name} object, {seconds / 60:.3g} minutes")
    texts = hard_texts(_TEXTS, bench.random.randrange(2**31))
    expected = runtime.predict(texts)
    counts, wrong, ends = [0] * _THREADS, [0] * _THREADS, time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < ends:
            i = (31 * counts[number] + number) % len(texts)
            wrong[number] += not np.array_equal(runtime.predict([texts[i]])[0], expected[i])
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    resident = []
    for _ in bench.bar(range(_LOOKS), tally.name):
        time.sleep(seconds / (_LOOKS + 1))
        resident.append(_resident())
    for thread in threads:
        thread.join()
    tally.add("equal", sum(counts) - sum(wrong))
    if sum(wrong):
        tally.fail("differs", f"{sum(wrong)} of {sum(counts)}")
    growth = resident[-1] - resident[0]
    if growth > _GROWTH:
        tally.fail("memory grows", f"{resident}")
    tally.notes["memory in MB, first look and last"] = f"{resident[0] / 1e6:.1f}, {resident[-1] / 1e6:.1f}"
    return tally


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
