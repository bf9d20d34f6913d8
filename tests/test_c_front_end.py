"""The C front end: golden vectors bit for bit, fuzzed texts under sanitizers, Cortex-M cores in QEMU, code size."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import HashConfig
from eelbert_tf.text.reference import CLS, SEP, embed_token, lexicon_index, tokenize
from eelbert_tf.text.strings import as_data

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tflite" / "kits" / "c"
PROGRAMS = Path(__file__).parent / "c"
GOLDEN = Path(__file__).parent / "golden" / "hash.json"
WINDOWS = Path(__file__).parent / "golden" / "windows.json"

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
BUILDS = {
    "gcc-sanitized": ["gcc", *SANITIZED, "-Wconversion", "-Wshadow"],
    "gcc-O3": ["gcc", "-O3"],
    "clang-sanitized": ["clang", *SANITIZED],
    "clang-O3": ["clang", "-O3"],
}
FUZZED_TEXTS = 20_000
EMBEDDED_EVERY = 50  # the reference takes its time

# QEMU's machine, and what GCC must know of the core. No machine has an M0+ and enough memory: an M3 runs its code.
CORES = {
    "cortex-m0+": ("mps2-an385", ["-mcpu=cortex-m0plus"]),
    "cortex-m3": ("mps2-an385", ["-mcpu=cortex-m3"]),
    "cortex-m4f": ("mps2-an386", ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]),
    "cortex-m55": ("mps3-an547", ["-mcpu=cortex-m55", "-mfloat-abi=hard"]),
}
MAX_CODE_BYTES = 4608

Run = Callable[..., str]


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # nothing is allocated; ptrace may be forbidden
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def _sources(program: str) -> list[Path]:
    return [PROGRAMS / f"{program}.c", SOURCES / "eelbert_front_end.c", SOURCES / "eelbert_windows.c"]


@pytest.fixture(scope="module", params=BUILDS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs one of the test programs, built by one of the compilers of this machine."""
    command = BUILDS[request.param]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    folder = tmp_path_factory.mktemp(request.param)

    @functools.cache
    def build(program: str) -> Path:
        _run(*command, *STRICT, "-I", SOURCES, *_sources(program), "-o", folder / program)
        return folder / program

    return lambda program, *arguments: _run(build(program), *arguments)


@pytest.fixture(scope="module", params=CORES)
def core(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """A Cortex-M core, where there is a compiler for it."""
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi to compile for Cortex-M")
    return CORES[request.param]


@pytest.fixture(scope="module")
def device(core: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs one of the test programs, without arguments, in a folder on an emulated core."""
    if not shutil.which("qemu-system-arm"):
        pytest.skip("apt-get install qemu-system-arm to run on an emulated Cortex-M")
    machine, flags = core
    folder = tmp_path_factory.mktemp(machine)

    def run(program: str, cwd: Path, *options: str) -> str:
        image = folder / f"{program}.elf"
        options = (*flags, *STRICT, "-mthumb", *options, "--specs=rdimon.specs", "-nostartfiles")
        sources = [PROGRAMS / "cortex_m.c", *_sources(program)]
        _run("arm-none-eabi-gcc", *options, "-I", SOURCES, "-T", PROGRAMS / "cortex_m.ld", *sources, "-o", image)
        emulator = ["qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none", "-serial", "none"]
        return _run(*emulator, "-semihosting-config", "enable=on,target=native", "-kernel", image, cwd=cwd)

    return run


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The golden vectors as tests/c/vectors.c reads them, in a folder, and their number."""
    lines = list(_vector_lines(*(json.loads(path.read_text(encoding="ascii")) for path in (GOLDEN, WINDOWS))))
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path, sum(not line.startswith("config") for line in lines)


def _token_line(token: bytes, row: int, embedding: list[int]) -> str:
    return f"token {token.hex() or '-'} {row} {' '.join(f'{bits:x}' for bits in embedding)}"


def _config_line(
    config: HashConfig, pair: bool = False, max_tokens: int = 128, max_bytes: int = 512, lexicon_size: int = 0
) -> str:
    head = [config.seed, int(config.boundaries), config.pooling, config.word_width]
    fields = [*head, int(pair), max_tokens, max_bytes, lexicon_size, config.normalization, *config.widths]
    return "config " + " ".join(map(str, fields))


def _vector_lines(golden: dict[str, Any], windows: dict[str, Any]) -> Iterator[str]:
    hashes = {fields.pop("name"): HashConfig(**fields) for fields in golden["hashes"]}
    for record in golden["tokens"]:
        token = bytes.fromhex(record["token"])
        for size in (64, 2048):
            row = record[f"lexicon_{size}"]
            if row is None:  # the empty token has no row
                row = size = 0
            yield _config_line(hashes[record["hash"]], lexicon_size=size)
            yield _token_line(token, row, record["embedding"])
    for normalization, record in [(n, r) for n, key in enumerate(("texts", "normalized_texts")) for r in golden[key]]:
        for config in hashes.values():
            config = dataclasses.replace(config, normalization=normalization)
            yield _config_line(config, record["pair"], record["max_tokens"], record["max_bytes"])
            slots = [f"{segment}:{token}" for segment, token in zip(record["segments"], record["tokens"], strict=True)]
            yield f"text {record['data'] or '-'} {len(slots)} {' '.join(slots)}"
    for record in golden["pairs"]:
        yield _config_line(HashConfig(), pair=True, max_bytes=record["max_bytes"])
        yield f"join {record['first'] or '-'} {record['second'] or '-'} {record['joined'] or '-'}"
    for record in windows["windows"]:
        config = HashConfig(normalization=record["normalization"])
        yield _config_line(config, max_tokens=record["max_tokens"], max_bytes=record["max_bytes"])
        numbers = [number for window in record["windows"] for number in window]
        head = f"windows {record['data'] or '-'} {record['overlap']} {len(record['windows'])}"
        yield " ".join([head, *map(str, numbers)])


def _check_fuzzed(line: str, embed: bool) -> None:
    """Holds one line of tests/c/fuzz.c to the reference; to its embeddings, too, where `embed` says so."""
    fields = line.split()
    seed, boundaries, pooling, word_width, pair, max_tokens, max_bytes, lexicon_size = fields[:8]
    normalization, widths = fields[8:10]
    first, second, data = (bytes.fromhex(field.strip("-")) for field in fields[10:13])
    if first or second:
        assert data == as_data((first, second), int(max_bytes)), line
    found = tokenize(data, int(max_tokens), int(max_bytes), pair == "1", int(normalization))
    tokens, segments = found.with_specials()
    walked = b"".join(bytes([s, len(t) % 256]) + t for s, t in zip(segments, tokens, strict=True))
    assert [int(fields[13]), int(fields[14], 16)] == [len(tokens), zlib.adler32(walked)], line
    if not embed:
        return
    config = HashConfig(
        widths=tuple(map(int, widths.split(","))),
        seed=int(seed, 16),
        boundaries=boundaries == "1",
        word_width=int(word_width),
        pooling=pooling,
    )
    rows = np.array([lexicon_index(token, config, int(lexicon_size)) for token in tokens], "<u4")
    embeddings = np.zeros((int(max_tokens), config.size), "<f4")
    for slot, token in enumerate(tokens):
        embeddings[slot] = embed_token(token, config)
    assert int(fields[15], 16) == zlib.adler32(embeddings.tobytes(), zlib.adler32(rows.tobytes())), line


@functools.cache  # every compiler's program prints the same
def _check_all_fuzzed(printed: str) -> None:
    lines = printed.splitlines()
    assert len(lines) == FUZZED_TEXTS
    for number, line in enumerate(lines):
        _check_fuzzed(line, embed=number % EMBEDDED_EVERY == 0)


def test_golden_vectors(host: Run, vectors: tuple[Path, int]) -> None:
    """Tokens, segments, masks, lexicon rows, joined pairs and every bit of the embeddings."""
    path, count = vectors
    assert host("vectors", path).splitlines() == [f"{count} vectors, 0 failed"]


def test_vectors_can_fail(host: Run, tmp_path: Path) -> None:
    """The program that compares sees one bit."""
    embedding = embed_token(b"cat", HashConfig()).view(np.uint32)
    embedding[100] ^= 1
    path = tmp_path / "vectors.txt"
    path.write_text(f"{_config_line(HashConfig())}\n{_token_line(b'cat', 0, embedding.tolist())}\n")
    with pytest.raises(AssertionError, match="line 2 differs"):
        host("vectors", path)


def test_square_roots(host: Run, tmp_path: Path) -> None:
    """The divisor of "sqrtn" is rounded as IEEE 754 has it, for every length that a token may have."""
    config = HashConfig(widths=(8,), pooling="sqrtn")
    tokens = [b"a" * length for length in (*range(1, 513), 1230, 1421)]  # the last two come near a tie
    lines = [_token_line(token, 0, embed_token(token, config).view(np.uint32).tolist()) for token in tokens]
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join([_config_line(config), *lines]) + "\n")
    assert host("vectors", path).splitlines() == ["514 vectors, 0 failed"]


def test_fuzzed_texts(host: Run) -> None:
    """Random bytes and configurations: no sanitizer speaks, and the reference has the same tokens and embeddings."""
    _check_all_fuzzed(host("fuzz", "1", str(FUZZED_TEXTS)))


def test_guided_texts(tmp_path: Path) -> None:
    """libFuzzer's inputs, the short form of `python -m tests.faults guided`: no sanitizer speaks."""
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    flags = ["-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    _run("clang", *STRICT, *flags, "-I", SOURCES, *_sources("guided"), "-o", tmp_path / "guided")
    _run(tmp_path / "guided", f"-runs={FUZZED_TEXTS}", "-seed=1", cwd=tmp_path)


def test_device_gives_golden_vectors(device: Run, vectors: tuple[Path, int]) -> None:
    """The same bits without a floating-point unit, with one, and with vectors of them."""
    path, count = vectors
    assert device("vectors", path.parent, "-Os").splitlines() == [f"{count} vectors, 0 failed"]


def test_device_agrees_on_fuzzed_texts(device: Run, tmp_path: Path) -> None:
    """All checksums are those of the host, from code that the compiler made for speed."""
    program = tmp_path / "fuzz"
    _run("gcc", "-O2", "-I", SOURCES, *_sources("fuzz"), "-o", program)
    fast = ("-O3", "-fno-tree-slp-vectorize")  # that pass takes GCC 12 seconds here
    assert device("fuzz", tmp_path, *fast).splitlines() == _run(program).splitlines()


def test_code_size(core: tuple[str, list[str]], tmp_path: Path) -> None:
    """Code and constants stay under 4.5 kB, of which 2 kB are the tables of characters; there is no static memory."""
    target = tmp_path / "front_end.o"
    _run("arm-none-eabi-gcc", *core[1], *STRICT, "-mthumb", "-Os", "-c", SOURCES / "eelbert_front_end.c", "-o", target)
    text, data, bss, *_ = _run("arm-none-eabi-size", target).splitlines()[1].split()
    assert int(text) < MAX_CODE_BYTES
    assert (data, bss) == ("0", "0")


def test_needs_no_library(tmp_path: Path) -> None:
    """Nothing outside is called but what every C compiler brings along."""
    target = tmp_path / "front_end.o"
    _run("gcc", *STRICT, "-Os", "-ffreestanding", "-c", SOURCES / "eelbert_front_end.c", "-o", target)
    undefined = {line.split()[-1] for line in _run("nm", "--undefined-only", target).splitlines()}
    assert undefined <= {"memset", "memcpy", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}


def test_fast_math_is_refused(tmp_path: Path) -> None:
    """A build that would change the embeddings says so."""
    with pytest.raises(AssertionError, match="ffast-math"):
        _run("gcc", "-ffast-math", "-c", SOURCES / "eelbert_front_end.c", "-o", tmp_path / "front_end.o")


def test_header_is_cpp_too(tmp_path: Path) -> None:
    """Firmware around TFLite Micro is C++."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    program = tmp_path / "program.cc"
    program.write_text('#include "eelbert_front_end.h"\nint main() { eelbert_config c = {}; return c.pair; }\n')
    _run("g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", SOURCES, "-fsyntax-only", program)


def test_example_of_the_readme(tmp_path: Path) -> None:
    """The program in the README compiles and prints what the README says."""
    blocks = (SOURCES / "README.md").read_text(encoding="utf-8").split("```")
    program = next(block.removeprefix("c\n") for block in blocks if block.startswith("c\n#include"))
    printed = next(block.removeprefix("text\n") for block in blocks if block.startswith("text\n"))
    source = tmp_path / "example.c"
    source.write_text(program, encoding="utf-8")
    _run("gcc", *STRICT, "-O1", "-I", SOURCES, source, SOURCES / "eelbert_front_end.c", "-o", tmp_path / "example")
    assert _run(tmp_path / "example") == printed
    assert CLS in printed.encode()
    assert SEP in printed.encode()
