"""Random and guided bytes through the C front end under sanitizers, and through both runtimes side by side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

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
_COVERED = [c_tests.SOURCES / name for name in ("eelbert_front_end.c", "eelbert_windows.c")]
_LONGEST = 100  # bytes of a guided input: words that are longer than what a signature covers fit


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


def guided(bench: Bench) -> list[Tally]:
    """The same code under libFuzzer, whose inputs grow towards branches that none has taken (tests/c/guided.c)."""
    tally = Tally("C front end, inputs guided by what they reach, sanitizers")
    folder, count = bench.folder("guided"), bench.sizes["guided"]
    if not shutil.which("clang"):
        return [tally]
    (folder / "corpus").mkdir()
    seed = bench.random.randrange(1, 2**31)
    options = [f"-runs={count}", f"-max_len={_LONGEST}", f"-seed={seed}", "-print_final_stats=1", "corpus"]
    sanitizers = ["-O2", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    status, said = _fuzz(folder, "guided", sanitizers, options)
    if status:
        tally.fail("sanitizer or disagreement", said)
        return [tally]
    tally.add("clean", int(said.partition("stat::number_of_executed_units:")[2].split()[0]))
    measured = ["-O1", "-fsanitize=fuzzer", "-fprofile-instr-generate", "-fcoverage-mapping"]
    if (
        shutil.which("llvm-profdata")
        and shutil.which("llvm-cov")
        and not _fuzz(folder, "covered", measured, ["-runs=0", "corpus"])[0]
    ):
        tally.notes["branches taken"] = "{covered:,} of {count:,}".format(**_branches(folder))
    return [tally]


def _fuzz(folder: Path, name: str, flags: list[str], options: list[str]) -> tuple[int, str]:
    """Builds tests/c/guided.c and runs it: its status, and what it said."""
    sources = [c_tests.PROGRAMS / "guided.c", *_COVERED]
    command = ["clang", *c_tests.STRICT, "-g", *flags, "-I", str(c_tests.SOURCES)]
    subprocess.run([*command, *map(str, sources), "-o", str(folder / name)], check=True)
    variables = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "LLVM_PROFILE_FILE": "profile"}
    done = subprocess.run([f"./{name}", *options], cwd=folder, env=variables, capture_output=True, text=True)
    return done.returncode, done.stderr


def _branches(folder: Path) -> dict[str, int]:
    """How many branches the inputs of the last run took."""
    subprocess.run(["llvm-profdata", "merge", "profile", "-o", "merged"], cwd=folder, check=True)
    command = ["llvm-cov", "export", "covered", "-instr-profile=merged", "-summary-only", *map(str, _COVERED)]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return dict(json.loads(done.stdout)["data"][0]["totals"]["branches"])


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
