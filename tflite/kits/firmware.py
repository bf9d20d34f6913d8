"""The firmware kit: a model as C sources, with what TFLite Micro must be told of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from eelbert_tf.scores import label_names
from eelbert_tf.tflite.flatbuffer.metadata import Metadata

SOURCES = Path(__file__).parent / "c"
# The same for every model.
COPIED = ("eelbert_classifier.h", "eelbert_classifier.cc", "eelbert_front_end.h", "eelbert_front_end.c")
HEADER = "eelbert_model.h"
DATA = "eelbert_model.c"
OPERATORS = "eelbert_model_ops.inc"

# An arena's margin: another version of TFLite Micro, or of its kernels, may want a little more.
_MARGIN_PERCENT = 5
_KIB = 1024

_SPELLED = {"CONV_2D": "Conv2D", "CUMSUM": "CumSum", "BATCH_MATMUL": "BatchMatMul"}


def with_margin(arena_bytes: int) -> int:
    """The arena to reserve for a model that was seen to need `arena_bytes`: 5 % more, in whole KiB."""
    return -(-arena_bytes * (100 + _MARGIN_PERCENT) // (100 * _KIB)) * _KIB


def resolver_lines(ops: Iterable[str]) -> list[str]:
    """The calls of `tflite::MicroMutableOpResolver` for some operators, `resolver.AddConv2D();` for example."""
    names = (_SPELLED.get(op) or "".join(word.capitalize() for word in op.split("_")) for op in ops)
    return [f"resolver.Add{name}();" for name in names]


def is_kit(folder: Path) -> bool:
    """Whether a folder holds a kit, which may be replaced."""
    return (folder / HEADER).is_file()


def write_kit(folder: Path, data: bytes, metadata: Metadata, ops: Sequence[str], arena_bytes: int) -> None:
    """Fills a folder with the sources that firmware compiles.

    Args:
        folder: an empty one.
        data: the TFLite file, for the target "micro".
        metadata: what it says of itself.
        ops: names of its operators.
        arena_bytes: memory that it was seen to need, without margin.
    """
    for name in COPIED:
        shutil.copyfile(SOURCES / name, folder / name)
    texts = {
        HEADER: _header(data, metadata, ops, arena_bytes),
        DATA: _source(data, metadata),
        OPERATORS: "\n".join(resolver_lines(ops)) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "ascii")


def _header(data: bytes, metadata: Metadata, ops: Sequence[str], arena_bytes: int) -> str:
    return f"""\
/* One model, as `eelbert convert --target micro` wrote it. Its operators stand in {OPERATORS}. */
#ifndef EELBERT_MODEL_H
#define EELBERT_MODEL_H

#define EELBERT_MODEL_BYTES {len(data)}
#define EELBERT_MAX_TOKENS {metadata.max_tokens} /* slots, [CLS] and [SEP] included */
#define EELBERT_MAX_BYTES {metadata.max_bytes} /* read of a text */
#define EELBERT_CLASSES {metadata.num_classes}
#define EELBERT_REGRESSION {int(metadata.task == "regression")}
#define EELBERT_PAIR {int(metadata.pair)} /* two texts with the byte 0x1F between them */
#define EELBERT_OPERATORS {len(ops)}

/* The model needed {arena_bytes} bytes on a 64-bit machine with TFLite Micro's reference kernels. */
#ifndef EELBERT_ARENA_BYTES
#define EELBERT_ARENA_BYTES {with_margin(arena_bytes)}
#endif

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char eelbert_model[EELBERT_MODEL_BYTES];
extern const char *const eelbert_model_labels[EELBERT_CLASSES];

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(data: bytes, metadata: Metadata) -> str:
    rows = (data[start : start + 24] for start in range(0, len(data), 24))
    numbers = ",\n".join(",".join(map(str, row)) for row in rows)
    labels = ",\n".join(f"    {c_string(name)}" for name in label_names(metadata.labels, metadata.num_classes))
    return f"""\
/* The bytes of a .tflite file, and the names of its classes. */
#include "{HEADER}"

#if !defined(__GNUC__) && !defined(__ICCARM__)
#error "Say in your compiler's words that eelbert_model is aligned to 16 bytes"
#endif

const unsigned char eelbert_model[EELBERT_MODEL_BYTES] __attribute__((aligned(16))) = {{
{numbers}
}};

const char *const eelbert_model_labels[EELBERT_CLASSES] = {{
{labels}
}};
"""


def c_string(text: str) -> str:
    """A text as a literal of C, in ASCII: other bytes of its UTF-8, quotes and question marks as octal numbers."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    data = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in data) + '"'
