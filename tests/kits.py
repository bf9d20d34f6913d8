"""Compiles firmware kits on this machine: TFLite Micro itself is not here, declarations and a few lines stand in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from eelbert_tf.tflite.conversion.self_test import TEXTS
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.kits.c_sources import Arena, Expected
from eelbert_tf.tflite.kits.firmware import PREFIX, write_kit
from eelbert_tf.tflite.kits.front_end import Encoder

STAND_IN = Path(__file__).parent / "c" / "stand_in"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

# The model's output is what the program is given, and an operator asks the arena for `needed` bytes.
STAND_IN_CODE = """\
#include <cstdio>
#include <cstdlib>
#include "eelbert_classifier.h"
#include "eelbert_input.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

static EELBERT_ARENA(arena);
static int graph; // of a kit with a front end in C
static std::int32_t bytes[EELBERT_MAX_BYTES];
static float logits[EELBERT_OUTPUTS + EELBERT_WIDTH];
#if EELBERT_SPAN_NAMES
static std::int32_t positions[2 * EELBERT_MAX_TOKENS];
static float tags[EELBERT_MAX_TOKENS * (2 * EELBERT_SPAN_NAMES + 1)];
static TfLiteTensor tensors[] = {{kTfLiteInt32, {bytes}, sizeof(bytes)}, {kTfLiteFloat32, {bytes}, sizeof(tags)},
                                 {kTfLiteInt32, {positions}, sizeof(positions)},
                                 {kTfLiteFloat32, {bytes}, sizeof(logits)}};
#else
static TfLiteTensor tensors[] = {{kTfLiteInt32, {bytes}, sizeof(bytes)}, {kTfLiteFloat32, {bytes}, sizeof(logits)}};
#endif
static tflite::Model model;
static std::size_t needed = 1024, given;
static bool knows_operators = true, prepares = true;
static std::uint32_t schema = TFLITE_SCHEMA_VERSION;
static tflite::SingleArenaBufferAllocator *memory;
static tflite::MicroProfilerInterface *profiler;
static std::uint8_t *begin;

namespace tflite {
static OperatorCode code;
static const OperatorCode *const codes[] = {&code};
BuiltinOperator OperatorCode::builtin_code() const { return BuiltinOperator_ADD; }
const OperatorCode *const *OperatorCodes::begin() const { return codes; }
const OperatorCode *const *OperatorCodes::end() const { return codes + 1; }
const OperatorCodes *Model::operator_codes() const { static OperatorCodes all; return &all; }
std::uint32_t Model::version() const { return schema; }
const Model *GetModel(const void *data)
{
    const std::ptrdiff_t place = static_cast<const unsigned char *>(data) - eelbert_model;
    graph = static_cast<int>(EELBERT_FRONT_END ? place / (EELBERT_ROOT_BYTES + !EELBERT_FRONT_END) : 0);
    return &model;
}

SingleArenaBufferAllocator::SingleArenaBufferAllocator(std::uint8_t *b, std::size_t s) { ::begin = b; given = s; }
SingleArenaBufferAllocator::~SingleArenaBufferAllocator() {}
TfLiteStatus SingleArenaBufferAllocator::ResizeBuffer(std::uint8_t *, std::size_t size, std::size_t)
{ return size <= given ? kTfLiteOk : kTfLiteError; }
std::uint8_t *SingleArenaBufferAllocator::AllocatePersistentBuffer(std::size_t size, std::size_t)
{ return size <= given ? ::begin : nullptr; }
std::uint8_t *SingleArenaBufferAllocator::AllocateTemp(std::size_t size, std::size_t)
{ return size <= given ? ::begin : nullptr; }
std::uint8_t *SingleArenaBufferAllocator::GetOverlayMemoryAddress() const { return ::begin; }
std::size_t SingleArenaBufferAllocator::GetAvailableMemory(std::size_t) const { return given; }
std::uint8_t *SingleArenaBufferAllocator::head() const { return ::begin; }
std::uint8_t *SingleArenaBufferAllocator::tail() const { return ::begin + given; }
MicroAllocator *MicroAllocator::Create(SingleArenaBufferAllocator *m, MicroMemoryPlanner *)
{ (void)arena; memory = m; return nullptr; }

MicroInterpreter::MicroInterpreter(const Model *, const MicroOpResolver &, MicroAllocator *, MicroResourceVariables *,
                                   MicroProfilerInterface *p) { profiler = p; }
MicroInterpreter::~MicroInterpreter() {}
TfLiteStatus MicroInterpreter::AllocateTensors()
{
    const bool fits = memory->AllocateTemp(needed / 2, 16) && memory->AllocatePersistentBuffer(needed, 16);
    return fits && memory->ResizeBuffer(::begin, needed, 16) == kTfLiteOk && prepares ? kTfLiteOk : kTfLiteError;
}
TfLiteStatus MicroInterpreter::Invoke()
{
    if (profiler)
        profiler->EndEvent(profiler->BeginEvent("ADD"));
INVOKE
    return kTfLiteOk;
}
#if EELBERT_FRONT_END
static unsigned char room[EELBERT_INPUTS][EELBERT_MAX_TOKENS * 256];
static TfLiteTensor inputs[EELBERT_INPUTS];
TfLiteTensor *MicroInterpreter::input(std::size_t number)
{
    inputs[number].data.data = room[number];
    inputs[number].bytes = eelbert_model_slots[graph] * eelbert_input_bytes(static_cast<int>(number));
    return &inputs[number];
}
#else
TfLiteTensor *MicroInterpreter::input(std::size_t) { return tensors; }
#endif
TfLiteTensor *MicroInterpreter::output(std::size_t number)
{
#if EELBERT_SPAN_NAMES
    tensors[1].data.f = tags;
    tensors[3].data.f = logits;
#else
    tensors[1].data.f = logits;
#endif
    return tensors + 1 + number;
}
std::size_t MicroInterpreter::arena_used_bytes() const { return needed; }
template <> TfLiteStatus MicroMutableOpResolver<1>::AddAdd() { return kTfLiteOk; }
template <> const TFLMRegistration *MicroMutableOpResolver<1>::FindOp(BuiltinOperator) const
{ return reinterpret_cast<const TFLMRegistration *>(knows_operators ? &code : nullptr); }
} // namespace tflite
"""


def stand_in(invoke: str = "") -> str:
    """Code that stands in for TFLite Micro, with lines that set `logits`, of the `bytes` of a text for example."""
    return STAND_IN_CODE.replace("INVOKE", invoke)


def compile_with(*command: str | Path) -> None:
    """Runs a compiler, or skips the test where it is not installed."""
    if not shutil.which(str(command[0])):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def write(
    folder: Path,
    metadata: Metadata,
    data: bytes = b"model",
    tests: Sequence[Expected] | None = None,
    prefix: str = PREFIX,
    encoder: Encoder | None = None,
) -> None:
    """Writes the kit of a model that has one operator, ADD, and needs 1,000 bytes."""
    if tests is None:
        values = [0.0] * (metadata.num_classes if metadata.task == "embedding" else len(metadata.outputs.names))
        tests = [Expected(str(text).encode(), values, []) for text in TEXTS]
    write_kit(folder, data, metadata, ["ADD"], Arena(1000, 944), tests, "0.dev0", prefix, encoder)


def compile_kit(folder: Path, main_code: str, prefixes: Sequence[str] = (PREFIX,), standard: str = "c++17") -> Path:
    """A program made of kits in one folder, and of a `main.cc`."""
    (folder / "main.cc").write_text(main_code)
    include = ["-I", folder, "-I", STAND_IN]
    sources = [folder / "main.cc"]
    for prefix in prefixes:
        sources.append(folder / f"{prefix}_classifier.cc")
        for name in ("model", "front_end", "input", "windows", "index", "truncation", "self_test", "spans"):
            sources.append(folder / f"{prefix}_{name}.o")
            source = sources[-1].with_suffix(".c")
            compile_with("gcc", "-std=c99", *STRICT, *include, "-c", source, "-o", sources[-1])
    compile_with("g++", f"-std={standard}", *STRICT, *include, *sources, "-lm", "-o", folder / "program")
    return folder / "program"
