"""A CSV file larger than the memory that commands may take: they read it as it comes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.bench import Bench, Tally
from tests.small_models import LABELS, converted, saved

_SMALL_MB = 20
_ALLOWED_MB = 200  # more than for the small file


def large(bench: Bench) -> list[Tally]:
    """Peak memory on a large file, less that on a small one; the large one is deleted afterwards."""
    folder = bench.folder("large")
    small, big = folder / "small.csv", folder / "big.csv"
    rows = {
        path: _write(bench, path, megabytes)
        for path, megabytes in ((small, _SMALL_MB), (big, bench.sizes["megabytes"]))
    }
    model, _ = converted("small")
    commands = {
        "predict": ["predict", "--model", model, "--input"],
        "evaluate": ["evaluate", "--model", model, "--test"],
        "convert --calibrate": [
            *("convert", "--model", saved("small"), "--target", "micro", "--quantize", "int8"),
            *("--output", folder / "out.tflite", "--calibrate"),
        ],
    }
    found = []
    for name, arguments in bench.bar(commands.items(), "large files", len(commands)):
        tally = Tally(f"{name} on a CSV file of {big.stat().st_size / 1e9:.1f} GB, {rows[big]:,} rows")
        status, least = _peak(arguments, small)
        status, most = (status, 0.0) if status else _peak(arguments, big)
        tally.notes |= {f"peak MB with {_SMALL_MB} MB": round(least), "with all": round(most)}
        if status:
            tally.fail("failed", f"status {status}")
        elif most - least > _ALLOWED_MB:
            tally.fail("memory grows with the file", f"{least:.0f} to {most:.0f} MB")
        else:
            tally.add("bounded memory")
        found.append(tally)
    big.unlink()
    return [*found, _finetune(bench, small)]


def _finetune(bench: Bench, path: Path) -> Tally:
    """Fine-tuning goes over the texts again and again, and holds them."""
    tally = Tally("finetune, which holds all texts")
    tally.notes["bytes per byte of a file of long texts"] = round(_held(path) / path.stat().st_size, 2)
    short = bench.folder("short") / "short.csv"
    with short.open("w") as file:
        file.write("text,label\n")
        for i in range(200_000):
            file.write(f"turn the light in room {i} on,{LABELS[i % 3]}\n")
    tally.notes["bytes per row of short texts"] = round(_held(short) / 200_000)
    tally.add("measured", 2)
    return tally


def _held(path: Path) -> float:
    """Bytes that a process grows by when it reads a table."""
    program = (
        "import sys; from eelbert_tf.disk.tables import read_table; peak = lambda: int(open('/proc/self/status').read()"
        ".split('VmHWM:')[1].split()[0]); before = peak(); table = read_table(sys.argv[1]); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    return 1024 * float(done.stdout)


def _peak(arguments: list[object], path: Path) -> tuple[int, float]:
    """Status of a command, and the most memory it took in MB."""
    command = [sys.executable, "-m", "eelbert_tf", *map(str, arguments), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0.0
    while process.poll() is None:  # what `wait4` tells of a process begins with the memory of the one that forked it
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            most = max(most, next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")))
        time.sleep(0.2)
    return process.returncode, most


def _write(bench: Bench, path: Path, megabytes: int) -> int:
    """Rows of about 100,000 bytes, near the longest that are read; their number."""
    rows, written = 0, 0
    with path.open("w") as file:
        file.write("text,label\n")
        while written < 1e6 * megabytes:
            sentence = "".join(bench.random.choices("abcdefghijklmnopqrstuvwxyz  ,.ABC!?", k=200))
            text = sentence * bench.random.randint(400, 600)
            written += file.write(f'"{text}",{LABELS[rows % 3]}\n')
            rows += 1
    return rows
