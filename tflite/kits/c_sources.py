"""The parts of the firmware kit that are one model's: header, array, operators and expected results."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eelbert_tf import __version__
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.tflite.flatbuffer.metadata import Metadata

from .encoder_sources import front_end_arrays, front_end_header
from .front_end import Encoder

HEADER = "eelbert_model.h"
DATA = "eelbert_model.c"
OPERATORS = "eelbert_model_ops.inc"
TESTS = "eelbert_model_tests.inc"
FIRST_LINE = "/* One model, as `eelbert convert --target micro` wrote it."  # of the header, in every version

# An arena's margin: another version of TFLite Micro, or of its kernels, may want a little more.
_MARGIN_PERCENT = 5
_KIB = 1024
# Of an operator and its tensors, bytes that TFLite Micro keeps less where pointers have 32 bits.
_SHORTER_POINTERS = 56

# How far a board's scores may be from those of the conversion: kernels for int8 round in ways of their own.
TOLERANCES = {"none": 0.001, "int8": 0.05}

_LEAST_FLOAT = 2.0**-126  # the smallest normal float32

_SPELLED = {"CONV_2D": "Conv2D", "CUMSUM": "CumSum", "BATCH_MATMUL": "BatchMatMul"}


class Arena(NamedTuple):
    """The memory that TFLite Micro needs for a model, in bytes, without margin.

    Args:
        measured: on a 64-bit machine.
        on_32_bits: where pointers have 32 bits, as `arena_of` predicts it.
    """

    measured: int
    on_32_bits: int

    def report(self) -> dict[str, int]:
        """The same with the margin, as `convert` says it."""
        return {
            "arena_bytes": self.measured,
            "arena_with_margin": with_margin(self.measured),
            "arena_bytes_32_bit": self.on_32_bits,
        }


class Expected(NamedTuple):
    """What a model gives for a text in TFLite Micro.

    Args:
        text: its bytes.
        values: what `eelbert_classify` or `eelbert_embed` fills in; none where a tagger gives texts no class.
        spans: of a tagger, the name's number, the first byte and the one behind the last.
    """

    text: bytes
    values: list[float]
    spans: list[tuple[int, int, int]]


def arena_of(measured: int, operators: int) -> Arena:
    """The arena that a model needs, that of a target with shorter pointers predicted.

    Args:
        measured: the smallest arena on a 64-bit machine.
        operators: how many the model has.
    """
    return Arena(measured, measured - _SHORTER_POINTERS * operators)


def with_margin(arena_bytes: int) -> int:
    """The arena to reserve for a measured need of `arena_bytes`: 5 % more, in whole KiB."""
    return -(-arena_bytes * (100 + _MARGIN_PERCENT) // (100 * _KIB)) * _KIB


def resolver_lines(ops: Iterable[str]) -> list[str]:
    """The calls of `tflite::MicroMutableOpResolver` for some operators, `resolver.AddConv2D();` for example."""
    names = (_SPELLED.get(op) or "".join(word.capitalize() for word in op.split("_")) for op in ops)
    return [f"resolver.Add{name}();" for name in names]


def c_float(value: float) -> str:
    """A C constant; what a compiler would warn of because a normal float cannot hold it is zero."""
    return f"{value if abs(value) >= _LEAST_FLOAT else 0.0:.9e}f"


def expected_lines(tests: Sequence[Expected]) -> list[str]:
    """The rows of the array of `eelbert_self_test.c`."""
    lines = []
    for text, values, spans in tests:
        numbers = ", ".join(map(c_float, values)) or "0"
        found = ", ".join(f"{{{name}, {start}, {end}}}" for name, start, end in spans) or "{0, 0, 0}"
        lines.append(f"{{{c_string(text)}, {len(text)}, {{{numbers}}}, {len(spans)}, {{{found}}}}},")
    return lines


def header(
    data: bytes,
    metadata: Metadata,
    ops: Sequence[str],
    arena: Arena,
    tests: Sequence[Expected],
    tflm: str,
    encoder: Encoder | None = None,
) -> str:
    """The text of `eelbert_model.h`: see `write_kit` for the arguments."""
    width = metadata.num_classes if metadata.task == EMBEDDING else 0
    return f"""\
{FIRST_LINE} Its operators stand in {OPERATORS}. */
#ifndef EELBERT_MODEL_H
#define EELBERT_MODEL_H

#include <stdint.h>

#define EELBERT_KIT_VERSION "{__version__}" /* of eelbert-tf, which wrote this */
#define EELBERT_TFLM_VERSION "{tflm}" /* of TFLite Micro, in which the model was run when it was converted */
#define EELBERT_MODEL_BYTES {len(encoder.data if encoder else data)} /* of flash */
#define EELBERT_MODEL_CRC32 {_crc32(data)}
#define EELBERT_MAX_TOKENS {metadata.max_tokens} /* slots, [CLS] and [SEP] included */
#define EELBERT_MAX_BYTES {metadata.max_bytes} /* read of a text */
#define EELBERT_MAX_WINDOWS {metadata.max_windows} /* in which a longer text is read; 1 cuts it off */
#define EELBERT_WINDOW_OVERLAP {metadata.window_overlap} /* tokens that neighbouring windows have in common */
#define EELBERT_NORMALIZATION {metadata.normalization} /* of the hash */
#define EELBERT_CLASSES {len(metadata.outputs.names)} /* or numbers of a regression */
#define EELBERT_OUTPUTS {metadata.num_classes - width} /* of the model: one for a binary task, else as many */
#define EELBERT_BINARY {int(metadata.task == "binary")} /* one of two classes, from a threshold on */
#define EELBERT_MULTILABEL {int(metadata.task == "multilabel")} /* any number of classes, each from a threshold on */
#define EELBERT_WIDTH {width} /* of an embedding; 0 where the model gives none */
#define EELBERT_SPAN_NAMES {len(metadata.names)} /* of parts of a text */
#define EELBERT_REGRESSION {int(metadata.task == "regression")}
#define EELBERT_PAIR {int(metadata.pair)} /* two texts with the byte 0x1F between them */
{front_end_header(encoder)}\
#define EELBERT_OPERATORS {len(ops)}
#define EELBERT_TESTS {len(tests)} /* texts of eelbert_self_test */
#define EELBERT_TEST_SPANS {max([1, *(len(test.spans) for test in tests)])}
#define EELBERT_TEST_TOLERANCE {TOLERANCES[metadata.quantize]:g}f

/* The model needed {arena.measured} bytes on a 64-bit machine with TFLite Micro's reference kernels, {arena.on_32_bits}
   where pointers have 32 bits (predicted); with a margin of {_MARGIN_PERCENT} %, in whole KiB: */
#ifndef EELBERT_ARENA_BYTES
#if UINTPTR_MAX > 0xFFFFFFFF
#define EELBERT_ARENA_BYTES {with_margin(arena.measured)}
#else
#define EELBERT_ARENA_BYTES {with_margin(arena.on_32_bits)}
#endif
#endif

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char eelbert_model[EELBERT_MODEL_BYTES];
extern const char *const eelbert_model_labels[];
extern const float eelbert_model_thresholds[];
extern const char *const eelbert_model_span_names[];
{front_end_arrays(encoder, declared=True)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def source(data: bytes, metadata: Metadata, prefix: str, encoder: Encoder | None = None) -> str:
    """The text of `eelbert_model.c`: see `write_kit` for the arguments. Names of classes may look like the kit's."""
    crc32 = _crc32(data)
    data = encoder.data if encoder else data
    tables = front_end_arrays(encoder, declared=False).replace("eelbert_", f"{prefix}_")
    capitals = prefix.upper()
    model_h, model_c = (f"{prefix}_{name.partition('_')[2]}" for name in (HEADER, DATA))
    rows = (data[start : start + 24] for start in range(0, len(data), 24))
    numbers = ",\n".join(",".join(map(str, row)) for row in rows)
    outputs = metadata.outputs
    least = [] if metadata.task == EMBEDDING else outputs.least.tolist()
    thresholds = ", ".join(map(c_float, least)) or "0"
    return f"""\
/* The bytes of a .tflite file, the names of its classes and spans, and from which probability on classes are given. */
#include "{model_h}"

#if {capitals}_MODEL_CRC32 != {crc32}
#error "{model_h} and {model_c} are of different conversions: convert the model again"
#endif

#if !defined(__GNUC__) && !defined(__ICCARM__)
#error "Say in your compiler's words that {prefix}_model is aligned to 16 bytes"
#endif

/* Where the model lies, __attribute__((section(".qspi_flash"))) for example; by default with other constants. */
#ifndef {capitals}_MODEL_SECTION
#define {capitals}_MODEL_SECTION
#endif

{capitals}_MODEL_SECTION const unsigned char {prefix}_model[{capitals}_MODEL_BYTES] __attribute__((aligned(16))) = {{
{numbers}
}};

const char *const {prefix}_model_labels[] = {{
{_strings(outputs.names)}
}};

const char *const {prefix}_model_span_names[] = {{
{_strings(metadata.names)}
}};

const float {prefix}_model_thresholds[] = {{ {thresholds} }};
{tables}"""


def _strings(names: Sequence[str | None]) -> str:
    """Lines of an array of C; `None` is a null, and so is what stands in an array of no names: C has no empty ones."""
    return ",\n".join("    0" if name is None else f"    {c_string(name)}" for name in names) or "    0"


def _crc32(data: bytes) -> str:
    return f"0x{zlib.crc32(data):08x}UL"


def c_string(text: str | bytes) -> str:
    """A text as a literal of C, in ASCII: other bytes of its UTF-8, quotes and question marks as octal numbers."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in data) + '"'
