"""Mutated TFLite files with right checksums: refused before an interpreter sees them, or run without harm.

Whatever gets past the checks runs in a process of its own, so that a crash is counted and not suffered.
"""

from __future__ import annotations

import functools
import os
import random
import resource
import signal
import struct
from collections.abc import Callable
from pathlib import Path

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.metadata import add_checksum
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime, Runtime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.faults.bench import Bench, Tally
from tests.small_models import converted

_RAN, _REFUSED, _NOT_FINITE, _CRASHED = "ran", "refused", "told that a result is not finite", "crash"
_CODES = {10: _RAN, 11: _REFUSED, 12: _NOT_FINITE}
_SECONDS = 20  # of processor time for a file, and three times as many by the clock: an endless loop ends
TEXTS = ["turn on the lights", "größer", ""]
_NUMBERS = [0, 1, 2, 3, 4, 5, -1, -2, 127, 128, 255, 2**15, 2**16, 2**24, 2**30, 2**31 - 1, -(2**31)]


def tflite_files(bench: Bench) -> list[Tally]:
    """A file for phones in LiteRT, one for microcontrollers in TFLite Micro."""
    micro = functools.partial(TflmRuntime, arena_size=2**20)  # enough here, and soon made
    jobs: list[tuple[str, Callable[[Path], Runtime], str]] = [
        ("LiteRT", EelbertRuntime, "mobile"),
        ("TFLite Micro", micro, "micro"),
    ]
    return [
        attack(
            bench, f"mutated TFLite files, their checksums right, in {name}", converted("small", target=target)[0], run
        )
        for name, run, target in jobs
    ]


def attack(bench: Bench, name: str, path: Path, runtime: Callable[[Path], Runtime]) -> Tally:
    """Mutates a file again and again, and predicts with what is not refused."""
    tally = Tally(name)
    data, place = path.read_bytes(), bench.folder("mutants") / "mutant.tflite"
    for _ in bench.bar(range(bench.sizes["tflites"]), name):
        state = bench.random.getrandbits(64)
        place.write_bytes(mutant(data, random.Random(state)))
        outcome = _outcome(place, runtime)
        if outcome in _CODES.values():
            tally.add(outcome)
        else:
            tally.fail(outcome, f"seed {state}")
    return tally


def mutant(data: bytes, rng: random.Random) -> bytes:
    """A file with one to three changes outside of its settings, and the checksum that fits."""
    found = bytearray(data)
    start, stop = data.index(b'{"format": "eelbert"'), data.rindex(b'"window_overlap"') + 24
    words = [*range(0, start - 4, 4), *range(stop + -stop % 4, len(data) - 3, 4)]  # numbers mostly stand at such places
    for _ in range(rng.randint(1, 3)):
        place, kind = rng.choice(words), rng.randrange(4)
        (old,) = struct.unpack_from("<i", found, place)
        if kind == 0:
            found[place + rng.randrange(4)] = rng.randrange(256)
        elif kind == 1:
            found[place + rng.randrange(4)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            struct.pack_into("<i", found, place, rng.choice(_NUMBERS))
        else:
            struct.pack_into("<i", found, place, max(-(2**31), min(2**31 - 1, old + rng.choice([-4, -1, 1, 4]))))
    crc = data.index(b'"crc32": "') + 10
    found[crc : crc + 8] = b"--------"
    return add_checksum(bytes(found))


def _outcome(path: Path, runtime: Callable[[Path], Runtime]) -> str:
    """What becomes of a file in a process of its own."""
    child = os.fork()
    if not child:
        os._exit(_predict(path, runtime))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"crash by {signal.Signals(os.WTERMSIG(status)).name}"
    return _CODES.get(os.WEXITSTATUS(status), "an error that is no refusal")


def _predict(path: Path, runtime: Callable[[Path], Runtime]) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    signal.alarm(3 * _SECONDS)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        runtime(path).predict(TEXTS)
    except InputError as error:
        return 12 if "NaN or infinite" in str(error) else 11
    except BaseException:  # noqa: BLE001  nothing may leave the child
        return 13
    return 10
