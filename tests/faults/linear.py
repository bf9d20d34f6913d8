"""What takes texts of any length takes time in proportion to their bytes, whatever these are."""

from __future__ import annotations

import time
from collections.abc import Callable

from eelbert_tf.text.strings import encode_texts
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.text.windows import Windows
from eelbert_tf.text.words import split_words
from tests.faults.bench import Bench, Tally

_STEP = 10  # the longer text is so many times as long
_MOST = 3.0  # times as long a byte may take in the longer text: caches are small. Quadratic time makes it ten times
_LEAST_SECONDS = 0.01  # shorter times are noise

# Bytes that are repeated: what is split, dropped, folded, kept or broken, within a word and between words.
_KINDS = {
    "one word": b"a",
    "words": b"ab ",
    "spaces": b" ",
    "a word, then spaces": b"a" + b" " * 999,
    "wide spaces": "\u3000".encode(),
    "punctuation": b"!",
    "capitals": "\u00c4".encode(),
    "marks that are dropped": "\u0301".encode(),
    "ideographs": "\u4e2d".encode(),
    "broken UTF-8": b"\xe3\x80",
    "separators": b"\x1f",
    "zeros": b"\0",
}
_NORMALIZATIONS = (0, 1)


def linear(bench: Bench) -> list[Tally]:
    """Each function on each kind of bytes, at two lengths."""

    def windows(data: bytes, normalization: int) -> object:
        reader = Windows(128, 512, 8, 16, normalization)
        return reader.cut_and_weigh(data), reader.is_truncated(data)

    functions: dict[str, Callable[[bytes, int], object]] = {
        "is_truncated": lambda data, normalization: is_truncated(data, 128, 512, False, normalization),
        "is_truncated, every token": lambda data, normalization: is_truncated(data, 2**30, 2**30, False, normalization),
        "encode_texts": lambda data, _: encode_texts([data], 512),
        "split_words": split_words,
        "windows": windows,
    }
    return [measure(bench, name, function) for name, function in functions.items()]


def measure(bench: Bench, name: str, function: Callable[[bytes, int], object]) -> Tally:
    """The slowest kind of bytes, and whether a byte takes longer in a longer text.

    Args:
        bench: where to work; the longer text has `bench.sizes["linear"]` megabytes.
        name: of the function.
        function: takes bytes and a normalization.
    """
    tally = Tally(f"{name}, {bench.sizes['linear']} MB at once")
    size, slowest = bench.sizes["linear"] * 10**6, 0.0
    for kind, part in bench.bar(_KINDS.items(), tally.name, len(_KINDS)):
        for normalization in _NORMALIZATIONS:
            text = part * (size // len(part))
            short = max(_seconds(function, text[: size // _STEP], normalization), _LEAST_SECONDS)
            long = _seconds(function, text, normalization)
            slowest = max(slowest, long)
            if long > _MOST * _STEP * short:
                tally.fail("more than linear", f"{kind}: {short:.3f} s, {_STEP} times as long {long:.3f} s")
            else:
                tally.add("linear")
    tally.notes["slowest, seconds"] = slowest
    return tally


def _seconds(function: Callable[[bytes, int], object], data: bytes, normalization: int) -> float:
    began = time.process_time()
    function(data, normalization)
    return time.process_time() - began
