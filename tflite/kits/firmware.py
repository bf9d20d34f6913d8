"""The firmware kit: a model as C sources, with its operators and the size of its arena for TFLite Micro."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from eelbert_tf.disk.files import FolderKind, check_directory, check_file, replace_directory, replace_file
from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.tflite.flatbuffer.metadata import Metadata

SOURCES = Path(__file__).parent / "c"
# The same for every model.
COPIED = (
    "eelbert_classifier.h",
    "eelbert_classifier.cc",
    "eelbert_front_end.h",
    "eelbert_front_end.c",
    "eelbert_windows.h",
    "eelbert_windows.c",
    "eelbert_spans.h",
    "eelbert_spans.c",
    "eelbert_index.h",
    "eelbert_index.c",
)
HEADER = "eelbert_model.h"
DATA = "eelbert_model.c"
OPERATORS = "eelbert_model_ops.inc"
FILES = (*COPIED, HEADER, DATA, OPERATORS)
_FIRST_LINE = "/* One model, as `eelbert convert --target micro` wrote it."  # of the header, in every version

# An arena's margin: another version of TFLite Micro, or of its kernels, may want a little more.
_MARGIN_PERCENT = 5
_KIB = 1024

_SPELLED = {"CONV_2D": "Conv2D", "CUMSUM": "CumSum", "BATCH_MATMUL": "BatchMatMul"}


def with_margin(arena_bytes: int) -> int:
    """The arena to reserve for a measured need of `arena_bytes`: 5 % more, in whole KiB."""
    return -(-arena_bytes * (100 + _MARGIN_PERCENT) // (100 * _KIB)) * _KIB


def resolver_lines(ops: Iterable[str]) -> list[str]:
    """The calls of `tflite::MicroMutableOpResolver` for some operators, `resolver.AddConv2D();` for example."""
    names = (_SPELLED.get(op) or "".join(word.capitalize() for word in op.split("_")) for op in ops)
    return [f"resolver.Add{name}();" for name in names]


def check_kit(path: str | os.PathLike[str]) -> None:
    """Refuses a folder that cannot be written, or that has other files with a kit's names.

    Raises:
        InputError: as `write_kit`.
    """
    folder = Path(os.path.realpath(path))
    if not _has_other_files(folder):
        check_directory(path, FolderKind(_is_kit, FILES))
        return
    taken = [] if _is_kit(folder) else [name for name in FILES if (folder / name).exists()]
    if taken:
        raise InputError(
            f"{os.fspath(path)}: holds {taken[0]}, which `eelbert convert` did not write; choose another folder"
        )
    check_file(folder / HEADER)


def _is_kit(folder: Path) -> bool:
    """Whether a folder holds a kit, which a newer one may replace."""
    try:
        with (folder / HEADER).open("rb") as file:
            return file.read(len(_FIRST_LINE)) == _FIRST_LINE.encode()
    except OSError:
        return False


def _has_other_files(folder: Path) -> bool:
    """Whether a folder holds anything but files of a kit's names."""
    return folder.is_dir() and not set(os.listdir(folder)) <= set(FILES)


def write_kit(
    path: str | os.PathLike[str], data: bytes, metadata: Metadata, ops: Sequence[str], arena_bytes: int
) -> None:
    """Fills a folder with the sources that firmware compiles; other files in it stay as they are.

    Args:
        path: the folder; an older kit in it is replaced.
        data: the TFLite file, for the target "micro".
        metadata: of the file.
        ops: names of its operators.
        arena_bytes: memory that it needed when it was measured, without margin.

    Raises:
        InputError: the folder cannot be written, or holds files of these names that are not of a kit.
    """
    check_kit(path)
    files = {name: (SOURCES / name).read_bytes() for name in COPIED}
    files[OPERATORS] = "\n".join((*resolver_lines(ops), "")).encode("ascii")
    files[DATA] = _source(data, metadata).encode("ascii")
    files[HEADER] = _header(data, metadata, ops, arena_bytes).encode("ascii")
    if _has_other_files(Path(path)):  # file by file: header and data show whether they belong together
        for name, content in files.items():
            with replace_file(Path(path, name)) as temporary:
                temporary.write_bytes(content)
    else:
        with replace_directory(path, FolderKind(_is_kit, FILES)) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)


def _header(data: bytes, metadata: Metadata, ops: Sequence[str], arena_bytes: int) -> str:
    width = metadata.num_classes if metadata.task == EMBEDDING else 0
    return f"""\
{_FIRST_LINE} Its operators stand in {OPERATORS}. */
#ifndef EELBERT_MODEL_H
#define EELBERT_MODEL_H

#define EELBERT_MODEL_BYTES {len(data)}
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
#define EELBERT_OPERATORS {len(ops)}

/* The model needed {arena_bytes} bytes on a 64-bit machine with TFLite Micro's reference kernels. */
#ifndef EELBERT_ARENA_BYTES
#define EELBERT_ARENA_BYTES {with_margin(arena_bytes)}
#endif

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char eelbert_model[EELBERT_MODEL_BYTES];
extern const char *const eelbert_model_labels[];
extern const float eelbert_model_thresholds[];
extern const char *const eelbert_model_span_names[];

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(data: bytes, metadata: Metadata) -> str:
    rows = (data[start : start + 24] for start in range(0, len(data), 24))
    numbers = ",\n".join(",".join(map(str, row)) for row in rows)
    outputs = metadata.outputs
    least = [] if metadata.task == EMBEDDING else outputs.least.tolist()
    thresholds = ", ".join(f"{value:.9e}f" for value in least) or "0"
    return f"""\
/* The bytes of a .tflite file, the names of its classes and spans, and from which probability on classes are given. */
#include "{HEADER}"

#if EELBERT_MODEL_CRC32 != {_crc32(data)}
#error "{HEADER} and {DATA} are of different conversions: convert the model again"
#endif

#if !defined(__GNUC__) && !defined(__ICCARM__)
#error "Say in your compiler's words that eelbert_model is aligned to 16 bytes"
#endif

const unsigned char eelbert_model[EELBERT_MODEL_BYTES] __attribute__((aligned(16))) = {{
{numbers}
}};

const char *const eelbert_model_labels[] = {{
{_strings(outputs.names)}
}};

const char *const eelbert_model_span_names[] = {{
{_strings(metadata.names)}
}};

const float eelbert_model_thresholds[] = {{ {thresholds} }};
"""


def _strings(names: Sequence[str | None]) -> str:
    """Lines of an array of C; `None` is a null, and so is what stands in an array of no names: C has no empty ones."""
    return ",\n".join("    0" if name is None else f"    {c_string(name)}" for name in names) or "    0"


def _crc32(data: bytes) -> str:
    return f"0x{zlib.crc32(data):08x}UL"


def c_string(text: str) -> str:
    """A text as a literal of C, in ASCII: other bytes of its UTF-8, quotes and question marks as octal numbers."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    data = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in data) + '"'
