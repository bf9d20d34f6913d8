"""What the header and the array of a kit with a front end in C have beside the rest: its constants and its tables."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from eelbert_tf.text.reference import lexical_multipliers
from eelbert_tf.tflite.flatbuffer.tables import ROOT_BYTES

from .front_end import Encoder, FrontEnd

_MASK_BYTES = 4  # room for a number of any type
_FRONT_END = "#define EELBERT_FRONT_END {} /* 1 where the model is an encoder, which eelbert_input.c feeds */\n"
_GRAPHS = "#define EELBERT_GRAPHS {} /* of the model, each for so many tokens; where they begin is so far apart: */\n"
_ROOTS = "#define EELBERT_ROOT_BYTES {}\n"


def front_end_header(encoder: Encoder | None) -> str:
    """Lines of `eelbert_model.h`."""
    if encoder is None:
        return (_FRONT_END + _GRAPHS + _ROOTS).format(0, 1, 0)
    front_end, config = encoder.front_end, encoder.front_end.hash
    lexicon, lexical = front_end.lexicon, front_end.lexical
    numbers = {
        "HASH_WORD_WIDTH": config.word_width,
        "HASH_BOUNDARIES": int(config.boundaries),
        "HASH_WIDTH": config.size,
        "LEXICON_WIDTH": lexicon.width if lexicon else 0,
        "LEXICON_ROWS": lexicon.rows if lexicon else 0,
        "LEXICON_LOOKUPS": lexicon.lookups if lexicon else 0,
        "LEXICON_SIZE": lexicon.rows**lexicon.lookups if lexicon else 0,
        "LEXICON_BOOKS": 0 if lexicon is None or lexicon.codes is None else lexicon.codes.shape[1],
        "LEXICON_ENTRY": lexicon.table.shape[-1] if lexicon else 0,
        "LEXICAL_ROWS": len(lexical.tags) if lexical else 0,
        "LEXICAL_RANK": lexical.values.shape[1] if lexical else 0,
        "LEXICAL_CODED": int(lexical is not None and lexical.codes is not None),
        "MASKS": len(front_end.masks),
    }
    names = ("NEIGHBOUR", "KIND", "FIRST", "SECOND", "TAG")
    odd = dict(zip(names, lexical_multipliers(config).view(np.uint32).tolist(), strict=True)) if lexical else {}
    return "\n".join(
        (
            (_FRONT_END + _GRAPHS + _ROOTS).format(1, len(encoder.slots), ROOT_BYTES).rstrip(),
            f"#define EELBERT_HASH_SEED UINT64_C({config.seed & 2**64 - 1})",
            f"#define EELBERT_HASH_WIDTHS {{{', '.join(map(str, config.widths))}}}",
            *(f"#define EELBERT_{name} {number}" for name, number in numbers.items()),
            *(f"#define EELBERT_LEXICAL_{name} {number}u" for name, number in odd.items()),
            "",
        )
    )


def front_end_arrays(encoder: Encoder | None, declared: bool) -> str:
    """The tables: their declarations for the header, or with their numbers for `eelbert_model.c`."""
    if encoder is None:
        return ""
    front_end = encoder.front_end
    lexicon, lexical = front_end.lexicon, front_end.lexical
    arrays = {"unsigned short eelbert_model_slots": np.array(encoder.slots)}
    arrays |= {
        "unsigned char eelbert_model_mask_bytes": np.array([mask.itemsize for mask in front_end.masks]),
        "unsigned char eelbert_model_masks": _mask_bytes(front_end),
    }
    if lexicon is not None:
        arrays["signed char eelbert_model_lexicon"] = lexicon.table.reshape(-1, lexicon.table.shape[-1])
        if lexicon.codes is not None:
            arrays["unsigned char eelbert_model_codes"] = lexicon.codes.reshape(-1)
    if lexical is not None:
        arrays["unsigned short eelbert_model_tags"] = lexical.tags
        arrays["signed char eelbert_model_words"] = lexical.values
        arrays["float eelbert_model_kernel"] = lexical.kernel
        if lexical.codes is not None and lexical.book is not None:
            arrays["unsigned char eelbert_model_word_codes"] = lexical.codes
            arrays["signed char eelbert_model_book"] = lexical.book
    return "\n".join(_array(name, values, declared) for name, values in arrays.items()) + "\n"


def _mask_bytes(front_end: FrontEnd) -> np.ndarray:
    """The masks' tables as bytes: uint8 `[masks, slots + 1, 2, 4]`."""
    parts = []
    for mask in front_end.masks:
        data = np.ascontiguousarray(mask).view(np.uint8).reshape(*mask.shape, mask.itemsize)
        parts.append(np.pad(data, ((0, 0), (0, 0), (0, _MASK_BYTES - mask.itemsize))))
    return np.stack(parts)


def _array(name: str, values: np.ndarray, declared: bool) -> str:
    shape = "".join(f"[{size}]" for size in values.shape)
    if declared:
        return f"extern const {name}{shape};"
    return f"const {name}{shape} = {_braced(values)};"


def _braced(values: np.ndarray) -> str:
    if values.ndim > 1:
        return "{\n" + ",\n".join(_braced(row) for row in values) + "}"
    return "{" + ",".join(_numbers(values)) + "}"


def _numbers(values: np.ndarray) -> Iterable[str]:
    return (f"{value:.9e}f" if values.dtype.kind == "f" else str(value) for value in values.tolist())
