"""A kit in TFLite Micro, built from its sources, on Cortex-M cores under QEMU: answers, instructions, arena and flash.

    apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm
    git clone https://github.com/tensorflow/tflite-micro sources/tflite-micro
    git clone https://github.com/ARM-software/CMSIS-NN sources/CMSIS-NN
    git clone --branch v25.9.23 https://github.com/google/flatbuffers sources/flatbuffers
    git clone https://github.com/google/gemmlowp sources/gemmlowp
    git clone https://github.com/google/ruy sources/ruy
    eelbert convert --target micro --kit kit ...
    python experiments/microcontroller.py --sources sources --kit kit --texts dev.tsv --text-columns sentence \
        --targets m4f m4f-cmsis m55-cmsis --build build

With `-icount shift=0` QEMU's clock takes a nanosecond for an instruction, and the core's timer counts it in steps of
31 or 40. That is instructions, not cycles: a core without waits takes 1.2 to 2 cycles for each. `host` runs the same
program on this machine, without counting. Sources are compiled once for each target; a build folder keeps them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.tables import read_table

HERE = Path(__file__).parent / "microcontroller"
TFLM = Path("tflite-micro")
MICRO = TFLM / "tensorflow/lite/micro"
KERNELS = MICRO / "kernels"
# Of TFLite Micro's own sources, those that an interpreter without tools or tests needs.
CORE = (
    *(str(MICRO / part) for part in ("*.cc", "arena_allocator/*.cc", "memory_planner/*.cc", "tflite_bridge/*.cc")),
    *("core/api/*.cc", "core/c/common.cc", "kernels/kernel_util.cc", "kernels/internal/*.cc"),
    *("kernels/internal/reference/portable_tensor_utils.cc", "micro/kernels/kernel_util.cc"),
    *("micro/kernels/micro_tensor_utils.cc", "../compiler/mlir/lite/schema/schema_utils.cc"),
    "../compiler/mlir/lite/core/api/error_reporter.cc",
)
NOT_CORE = re.compile(r"test|mock_|fake_|recording_|debug_log\.cc|micro_profiler\.cc|hexdump|array\.cc")
INCLUDES = ("tflite-micro", "flatbuffers/include", "gemmlowp", "ruy", "CMSIS-NN", "CMSIS-NN/Include")
# The application must have the library's TF_LITE_STATIC_MEMORY: otherwise tensors differ in size.
FLAGS = (
    *("-O2", "-DNDEBUG", "-DTF_LITE_STATIC_MEMORY", "-ffunction-sections", "-fdata-sections", "-w"),
    *("-DFLATBUFFERS_LOCALE_INDEPENDENT=0", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
)
CXX_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
BARE = ("-nostartfiles", "--specs=rdimon.specs", f"-Wl,-T,{HERE / 'board.ld'}")


@dataclass(frozen=True)
class Target:
    """A core, and the board of QEMU that has it.

    Args:
        flags: for the compiler.
        machine: of QEMU; this machine without it.
        addresses: of vectors, flash and memory.
        nanoseconds: of a tick of the core's timer.
        cmsis: whether kernels are CMSIS-NN's where it has them.
    """

    flags: tuple[str, ...] = ()
    machine: str | None = None
    addresses: tuple[int, int, int] = (0, 0x100, 0x20000000)
    nanoseconds: float = 40.0
    cmsis: bool = False


M3 = Target(("-mcpu=cortex-m3", "-mthumb"), "mps2-an385")
M4F = Target(("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), "mps2-an386")
M55 = Target(
    ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"), "mps3-an547", (0x10000000, 0x11000000, 0x31000000), 31.25
)
REFERENCE = {"host": Target(), "m3": M3, "m4f": M4F, "m55": M55}
TARGETS = REFERENCE | {
    f"{name}-cmsis": Target(one.flags, one.machine, one.addresses, one.nanoseconds, True)
    for name, one in REFERENCE.items()
    if one.machine
}


def sources_of(sources: Path, kit: Path, cmsis: bool) -> list[Path]:
    """TFLite Micro's sources with the kernels that a kit names, CMSIS-NN's among them."""
    patterns = [p if p.startswith("tflite-micro") else str(TFLM / "tensorflow/lite" / p) for p in CORE]
    found = [path for pattern in patterns for path in sorted(sources.glob(pattern)) if not NOT_CORE.search(path.name)]
    calls = re.findall(r"resolver\.(Add\w+)\(", (kit / "eelbert_model_ops.inc").read_text("ascii"))
    resolver = (sources / MICRO / "micro_mutable_op_resolver.h").read_text("utf-8")
    homes = {
        name: path
        for path in sorted((sources / KERNELS).glob("*.cc"))
        if "test" not in path.name
        for name in re.findall(r"^TFLMRegistration (Register_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    for call in calls:
        body = resolver[re.search(rf"TfLiteStatus {call}\(", resolver).start() :]  # type: ignore[union-attr]
        path = homes[re.search(r"Register_\w+", body)[0]]  # type: ignore[index]
        own = path.parent / "cmsis_nn" / path.name
        found += [own if cmsis and own.exists() else path, *path.parent.glob(f"{path.stem}_common.cc")]
    if cmsis:
        found += [p for p in (sources / "CMSIS-NN/Source").rglob("*.c") if not re.search(r"_f16|_f32|_flt", p.name)]
    return list(dict.fromkeys(found))


def build(sources: Path, kit: Path, folder: Path, name: str) -> Path:
    """Compiles what is not compiled yet, and links the program.

    Returns:
        The program, with its map beside it.
    """
    target = TARGETS[name]
    shared, folder = folder / name.split("-")[0], folder / name
    prefix = "arm-none-eabi-" if target.machine else ""
    includes = [f"-I{path}" for path in (kit, *(sources / name for name in INCLUDES))]

    def compiled(source: Path, output: Path) -> Path:
        output.parent.mkdir(parents=True, exist_ok=True)
        own = ["gcc", "-std=gnu11"] if source.suffix == ".c" else ["g++", *CXX_FLAGS]
        if "cmsis_nn" in source.parts:
            own.append("-DCMSIS_NN")
        elif source.suffix == ".cc":
            own += ["-include", str(shared / "common.h")]
        command = [prefix + own[0], *own[1:], *target.flags, *FLAGS, *includes, "-c", str(source)]
        subprocess.run([*command, "-o", f"{output}.new"], check=True)
        return Path(f"{output}.new").rename(output)

    header = shared / "common.h.gch"
    if not header.exists():
        compiled(HERE / "common.h", header)
    objects = []
    for path in sources_of(sources, kit, target.cmsis):
        output = shared / path.relative_to(sources).with_suffix(path.suffix + ".o")
        objects.append(output if output.exists() else compiled(path, output))
    own = [*sorted(kit.glob("*.c")), *kit.glob("*.cc"), HERE / "main.cc", *([HERE / "start.c"] if prefix else [])]
    objects += [compiled(path, folder / "own" / f"{path.name}.o") for path in own]
    program = folder / "program"
    response = folder / "objects"
    response.write_text("\n".join(map(str, objects)), "utf-8")
    link = [prefix + "g++", *target.flags, f"@{response}", "-Wl,--gc-sections", f"-Wl,-Map,{program}.map"]
    places = zip(("VECTORS", "FLASH", "RAM"), target.addresses, strict=True)
    bare = [*BARE, *(f"-Wl,--defsym,{name}={place}" for name, place in places)] if prefix else []
    subprocess.run([*link, *bare, "-o", str(program)], check=True)
    return program


def flash(program: Path) -> dict[str, int]:
    """Bytes of code and constants by origin, from the linker's map, and `kernels` one by one below."""
    text = Path(f"{program}.map").read_text("utf-8").split("Linker script and memory map")[1]
    sizes: Counter[str] = Counter()
    for size, path in re.findall(r"^ \.(?:text|rodata)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)$", text, re.MULTILINE):
        file = Path(path.split("(")[0])
        kernel = {"kernels", "micro"} <= set(file.parts) or "CMSIS-NN" in file.parts
        if file.name == "eelbert_model.c.o":
            kind = "model"
        elif "own" in file.parts:
            kind = "program"
        else:
            kind = "kernels" if kernel else "core" if "tensorflow" in file.parts else "libraries"
        sizes[kind] += int(size, 16)
        if kernel:
            sizes[f"kernels/{file.stem}"] += int(size, 16)
    return dict(sizes.most_common())


def run(program: Path, texts: Sequence[str], target: Target) -> dict[str, Any]:
    """Runs the program on some texts.

    Returns:
        `arena_bytes`, the smallest arena; `arena_used`, what the interpreter reports; `differ`, the kit's self test;
        `instructions` of the longest text, of the shortest, and the mean, from bytes to class; `setup`, the most that a
        kit with several graphs takes to make another one ready, and the mean; of the last text, instructions by
        operator and step by step; and for each text its `counts` and the number of its class.

    Raises:
        RuntimeError: the program failed.
    """
    folder = program.parent
    folder.joinpath("texts.txt").write_text("".join(f"{' '.join(text.split())}\n" for text in texts), "utf-8")
    command = [str(program.absolute())]
    if target.machine:
        command = ["qemu-system-arm", "-M", target.machine, "-icount", "shift=0", "-display", "none", "-monitor"]
        command += ["none", "-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr or done.stdout}")
    lines = [line.split() for line in done.stdout.splitlines()]
    scale = target.nanoseconds if target.machine else 0.0
    of_texts = [line for line in lines if line[0] == "text"]
    operators: Counter[str] = Counter()
    for _, name, ticks in (line for line in lines if line[0] == "operator"):
        operators[name] += round(int(ticks) * scale)
    (arena,) = (line for line in lines if line[0] == "arena")
    (differ,) = (line for line in lines if line[0] == "differ")
    counts, setups = ([round(int(line[place]) * scale) for line in of_texts] for place in (1, 2))
    return {
        "arena_bytes": int(arena[1]),
        "arena_used": int(arena[2]),
        "differ": int(differ[1]),
        "instructions": max(counts),
        "instructions_least": min(counts),
        "instructions_mean": round(sum(counts) / len(counts)),
        "setup": max(setups),
        "setup_mean": round(sum(setups) / len(setups)),
        "operators": dict(operators.most_common()),
        "steps": [[line[1], round(int(line[2]) * scale)] for line in lines if line[0] == "operator"],
        "counts": counts,
        "classes": [int(line[3]) for line in of_texts],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds and runs a kit for each target, and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True, type=Path, metavar="DIR", help="the folders cloned above")
    parser.add_argument("--kit", required=True, type=Path, metavar="DIR", help="of `eelbert convert --kit`")
    parser.add_argument("--texts", required=True, metavar="F", help="texts to run (CSV, TSV)")
    parser.add_argument("--text-columns", nargs="+", metavar="NAME")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="texts (5)")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="NAME")
    parser.add_argument("--build", required=True, type=Path, metavar="DIR", help="folder for what is compiled")
    args = parser.parse_args(arguments)
    texts = [text for text in read_table(args.texts, args.text_columns).texts if isinstance(text, str)]
    result = {}
    for name in args.targets:
        program = build(args.sources.resolve(), args.kit.resolve(), args.build.resolve(), name)
        result[name] = run(program, texts[: args.limit], TARGETS[name]) | {"flash": flash(program)}
        sys.stderr.write(f"{name}: {result[name]['instructions']:,} instructions\n")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
