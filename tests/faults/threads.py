"""Many threads on one runtime object get what one thread gets."""

from __future__ import annotations

import concurrent.futures

from eelbert_tf.tflite.checks.hard_texts import hard_texts
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime, Runtime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.faults.bench import Bench, Tally
from tests.small_models import converted

_THREADS = 64


def threads(bench: Bench) -> list[Tally]:
    """64 threads, each text once, results bit by bit."""
    path, _ = converted("small", target="micro")
    texts = hard_texts(bench.sizes["threads"], bench.random.randrange(2**31))
    found = []
    for name, runtime in (("LiteRT", EelbertRuntime(path)), ("TFLite Micro", TflmRuntime(path))):
        tally = Tally(f"{_THREADS} threads on one {name} object")
        _compare(bench, tally, runtime, texts)
        found.append(tally)
    return found


def _compare(bench: Bench, tally: Tally, runtime: Runtime, texts: list[str | bytes]) -> None:
    expected = [runtime.predict([text])[0].tobytes() for text in texts]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda text: runtime.predict([text])[0].tobytes(), texts)
        for text, one, other in zip(texts, expected, bench.bar(results, tally.name, len(texts)), strict=True):
            if one == other:
                tally.add("equal")
            else:
                tally.fail("differs", repr(text))
