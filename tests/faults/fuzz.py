"""Random bytes through the C front end under sanitizers, and through LiteRT and TFLite Micro side by side."""

from __future__ import annotations

import subprocess

import numpy as np

from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.checks.hard_texts import hard_texts
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests import test_c_front_end as c_tests
from tests.faults.bench import Bench, Tally
from tests.small_models import converted

_AT_ONCE = 20_000
_COMPARED_EVERY = 100  # held to the reference, which takes its time
_CLOSE = 1e-4


def front_end(bench: Bench) -> list[Tally]:
    """The C99 front end: no sanitizer speaks, and its tokens are the reference's."""
    program = bench.folder("fuzz") / "fuzz"
    sources = [c_tests.PROGRAMS / "fuzz.c", c_tests.SOURCES / "eelbert_front_end.c"]
    flags = ["gcc", *c_tests.STRICT, *c_tests.SANITIZED, "-I", str(c_tests.SOURCES)]
    subprocess.run([*flags, *map(str, sources), "-o", str(program)], check=True)
    tally = Tally("C front end, address and undefined-behaviour sanitizers")
    first = bench.random.randrange(2**31)
    for start in bench.bar(range(0, bench.sizes["fuzz"], _AT_ONCE), "C front end"):
        count = min(_AT_ONCE, bench.sizes["fuzz"] - start)
        command = [str(program), str(first + start // _AT_ONCE), str(count)]
        done = subprocess.run(command, env={"ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if done.returncode or len(lines) != count:
            tally.fail("sanitizer or disagreement", f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr}")
            continue
        for line in lines[::_COMPARED_EVERY]:
            try:
                c_tests._check_fuzzed(line, embed=False)
            except AssertionError:
                tally.fail("other tokens than the reference", line)
        tally.add("clean", count)
    tally.notes["compared with the reference"] = len(range(0, bench.sizes["fuzz"], _COMPARED_EVERY))
    return [tally]


def runtimes(bench: Bench) -> list[Tally]:
    """One file in both runtimes: finite logits, close to each other, of the same class."""
    path, _ = converted("small", target="micro")
    litert, micro = EelbertRuntime(path), TflmRuntime(path)
    fixed = len(hard_texts(0))
    tally = Tally("LiteRT and TFLite Micro, the same file")
    largest, first = 0.0, bench.random.randrange(2**31)
    for start in bench.bar(range(0, bench.sizes["runtimes"], 1000), "runtimes"):
        count = min(1000, bench.sizes["runtimes"] - start)
        texts = hard_texts(count + fixed, first + start)[fixed:]
        data = encode_texts(texts, litert.metadata.max_bytes)
        one, other = litert.predict_bytes(data), micro.predict_bytes(data)
        difference = np.abs(one - other).max(axis=1)
        finite = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
        same = (one.argmax(axis=1) == other.argmax(axis=1)) & (difference < _CLOSE)
        for i in np.flatnonzero(~(finite & same)):
            tally.fail("not finite" if not finite[i] else "differs", f"{texts[i]!r}: {one[i]} {other[i]}")
        tally.add("same class, close logits", int((finite & same).sum()))
        largest = max(largest, float(difference[finite].max(initial=0)))
    tally.notes["largest difference of a logit"] = largest
    return [tally]
