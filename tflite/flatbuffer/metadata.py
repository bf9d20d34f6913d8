"""What a TFLite file says of itself: labels, limits and a checksum, as JSON in a metadata buffer of the file.

The JSON begins with fixed bytes, so that it is found, and the whole file checked, before anything parses the file:
TFLite may abort the process on a damaged one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import mmap
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eelbert_tf.config import NORMALIZATIONS
from eelbert_tf.disk.refusals import read_error
from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING, TASKS, Outputs
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.text.truncation import is_truncated
from eelbert_tf.text.windows import Windows
from eelbert_tf.text.words import split_words

from .tables import DamagedFileError
from .verify import verify

FORMAT = "eelbert"
FORMAT_VERSION = 1
TARGETS = ("mobile", "micro")
QUANTIZE = ("none", "float16", "dynamic", "int8")
METADATA_NAME = "eelbert.json"
SIGNATURE = "serving_default"  # of the whole length

_BLANK_CRC32 = "--------"
_START = f'{{"format": "{FORMAT}", "format_version": '.encode()
_OURS = f'{{"format": "{FORMAT}'.encode()  # also of files for others' programs, which no runtime here takes
_CRC32 = b'"crc32": "'
_FILE_BYTES = b'"file_bytes": '
_FILE_BYTES_WIDTH = 12
_TFLITE_IDENTIFIER = b"TFL3"
_LARGEST = 2**24  # of any number that a file says of itself


class Length(NamedTuple):
    """How much of a text a graph reads."""

    tokens: int  # T, token slots
    bytes: int  # L, of its input


@dataclass(frozen=True)
class Metadata:
    """How to feed a TFLite file and how to read what it gives.

    Args:
        max_tokens: T, token slots, [CLS] and [SEP]s included.
        max_bytes: L, bytes of its input.
        num_classes: logits of the text as a whole, or numbers of a regression; 0 where a tagger has none; the width of
            an embedding.
        labels: names of the classes, two where there is one logit; or of a regression's numbers.
        task: "classification", "binary", "multilabel", "regression", "tagging" or "embedding".
        pair: whether its input is two texts with a separator byte between them.
        target: "mobile" or "micro".
        quantize: "none", "float16", "dynamic" or "int8".
        config: fields of the encoder's `EelbertConfig`.
        tags: of a tagger, the tags of its logits: O, then B of each name of a span, then I of each.
        thresholds: least probabilities of a binary task's second class, or of each of several labels; `None` for 0.5.
        max_windows: inputs that a text may be read in, whose logits are then averaged; 1 for a text that is cut off.
        window_overlap: tokens that a window has in common with the one before.
        lengths: shorter graphs of the same model in the file, the shortest first: `(tokens, bytes)` of each.
    """

    max_tokens: int
    max_bytes: int
    num_classes: int
    labels: list[str | None] | None = None
    task: str = "classification"
    pair: bool = False
    target: str = "mobile"
    quantize: str = "none"
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    tags: list[str] | None = None
    thresholds: list[float] | None = None
    max_windows: int = 1
    window_overlap: int = 0
    lengths: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        """Checks types and limits: a file may say anything of itself.

        Raises:
            ValueError: a field is not what it has to be.
        """
        whole = {"max_tokens": 3, "max_bytes": 1, "num_classes": 0, "max_windows": 1, "window_overlap": 0}
        rules = {name: _is_whole(getattr(self, name), least) for name, least in whole.items()}
        rules["labels"] = self.labels is None or _is_list(self.labels, str | None)
        rules["tags"] = self.tags is None or (_is_list(self.tags, str) and len(self.tags) % 2 == 1)
        rules["thresholds"] = self.thresholds is None or _is_list(self.thresholds, float | int)
        rules["task"] = self.task in (*TASKS, EMBEDDING, "tagging")
        rules["pair"] = isinstance(self.pair, bool)
        rules["target"], rules["quantize"] = self.target in TARGETS, self.quantize in QUANTIZE
        rules["lengths"] = _are_lengths([*self.lengths, self.whole]) if _is_list(self.lengths, list | tuple) else False
        rules["config"] = isinstance(self.config, dict) and _normalization(self.config) in NORMALIZATIONS
        if wrong := [name for name, holds in rules.items() if not holds]:
            raise ValueError(f"`{wrong[0]}` cannot be {getattr(self, wrong[0])!r:.100}")
        names = 2 if self.task == "binary" else self.num_classes
        if self.labels is not None and len(self.labels) != names:
            raise ValueError(f"{len(self.labels)} labels for {names} classes")
        if self.thresholds is not None and len(self.thresholds) not in (0, self.num_classes):
            raise ValueError(f"{len(self.thresholds)} thresholds for {self.num_classes} outputs")
        if self.window_overlap >= self.max_tokens - 2:
            raise ValueError(f"`window_overlap` cannot be {self.window_overlap} of {self.max_tokens} tokens")

    def signature(self, length: Length) -> str:
        """The name of a graph's signature."""
        return SIGNATURE if length == self.whole else f"tokens_{length.tokens}"

    @property
    def whole(self) -> Length:
        """The length of the file's first graph: the longest."""
        return Length(self.max_tokens, self.max_bytes)

    @property
    def shorter(self) -> list[Length]:
        """The lengths of its other graphs, the shortest first."""
        return [Length(*length) for length in self.lengths]

    def length_for(self, data: bytes) -> Length:
        """The shortest length that gives what the whole gives for a text.

        Args:
            data: its bytes, as `as_data` gives them.
        """
        # A token that touches the last byte read is dropped, so that one byte has to stay free.
        fitting = [length for length in self.shorter if len(data) < length.bytes]
        if not fitting:
            return self.whole
        special = 3 if self.pair else 2  # [CLS] and [SEP]s
        count = special + len(data)  # each token has a byte at least
        if count > fitting[0].tokens:
            count = special + len(split_words(data, self.normalization))
        return next((length for length in fitting if count <= length.tokens), self.whole)

    @property
    def windows(self) -> Windows | None:
        """How texts are read that are longer than the input; `None` where they are cut off."""
        if self.max_windows == 1:
            return None
        return Windows(self.max_tokens, self.max_bytes, self.max_windows, self.window_overlap, self.normalization)

    def is_truncated(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of a text, since it is longer than its windows together.

        Args:
            text: a string or bytes, or a tuple of two for a model of pairs.
        """
        if self.windows is None or isinstance(text, tuple | list):
            return is_truncated(text, self.max_tokens, self.max_bytes, self.pair, self.normalization)
        return self.windows.is_truncated(text)

    @property
    def names(self) -> list[str]:
        """Names of a tagger's spans, in the order of its tags."""
        tags = self.tags or []
        return [tag.removeprefix("B-") for tag in tags[1 : 1 + len(tags) // 2]]

    @property
    def outputs(self) -> Outputs:
        """How the logits of the text as a whole are read."""
        return Outputs(self.task, self.num_classes, self.labels, self.thresholds)

    @property
    def normalization(self) -> int:
        """What is done to characters: that of the hash; 0 where an older version wrote the file."""
        return int(_normalization(self.config))


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= _LARGEST


def _are_lengths(lengths: Sequence[Any]) -> bool:
    """Whether each is a number of tokens, and one of bytes, and greater than the one before."""
    whole = all(len(length) == 2 and all(_is_whole(number, 4) for number in length) for length in lengths[:-1])
    return whole and all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(lengths))


def _is_list(value: Any, kinds: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, kinds) and one == one for one in value)  # and no NaN


def _normalization(config: dict[str, Any]) -> Any:
    found = config.get("hash")
    return found.get("normalization", 0) if isinstance(found, dict) else 0


def runtime_name(version: tuple[int, int]) -> str:
    """A version of TensorFlow Lite as TensorFlow writes it, "2.17.0" for example."""
    return f"{version[0]}.{version[1]}.0"


def to_json(metadata: Metadata) -> bytes:
    """Metadata as it stands in a file, with blanks where `add_checksum` writes the file's size and checksum."""
    values = dataclasses.asdict(metadata)
    if not metadata.lengths:  # so that older versions read the file
        del values["lengths"]
    fields = json.dumps(values, ensure_ascii=False)
    blank = b"0".rjust(_FILE_BYTES_WIDTH)
    head = _START + b'%d, %s%s", %s%s, ' % (FORMAT_VERSION, _CRC32, _BLANK_CRC32.encode(), _FILE_BYTES, blank)
    return head + fields[1:].encode("utf-8", "surrogatepass")


def add_checksum(data: bytes) -> bytes:
    """A TFLite file that holds `to_json`, with its size and checksum filled in."""
    start = data.index(_START)
    size = data.index(_FILE_BYTES, start) + len(_FILE_BYTES)
    data = data[:size] + str(len(data)).encode().rjust(_FILE_BYTES_WIDTH) + data[size + _FILE_BYTES_WIDTH :]
    crc = data.index(_CRC32, start) + len(_CRC32)
    return data[:crc] + b"%08x" % zlib.crc32(data) + data[crc + len(_BLANK_CRC32) :]


def read_metadata(data: bytes, path: str | os.PathLike[str]) -> Metadata:
    """The metadata in a TFLite file, after a check that the file is whole.

    Args:
        data: the file.
        path: its name, for messages.

    Raises:
        InputError: the file is not TFLite, not ours, of another version, or damaged.
    """
    name = os.fspath(path)
    if data[4:8] != _TFLITE_IDENTIFIER:
        raise InputError(f"{name}: not a TFLite file; expected one that `eelbert convert` wrote")
    return read_description(data, name)


def read_description(data: bytes, name: str, kind: str = "a TFLite") -> Metadata:
    """The metadata in a file of any kind, after a check that the file is whole.

    Args:
        data: the file.
        name: its name, for messages.
        kind: what it ought to be, likewise.

    Raises:
        InputError: the file is not ours, of another version, or damaged.
    """
    start = data.find(_START)
    if start < 0:
        raise InputError(
            f"{name}: {kind} file that is damaged, or that `eelbert convert` did not write: it holds no metadata "
            "of ours; convert the model again"
        )
    try:
        text = data[start : start + 2**24].decode("utf-8", "surrogateescape")
        fields = json.JSONDecoder().raw_decode(text)[0]
        version, crc32, file_bytes = (fields.pop(key) for key in ("format_version", "crc32", "file_bytes"))
    except (ValueError, KeyError, RecursionError):
        raise InputError(f"{name}: damaged: its metadata cannot be read; convert the model again") from None
    if version != FORMAT_VERSION:
        raise InputError(
            f"{name}: written in format version {version}; this library reads version {FORMAT_VERSION}. "
            "Convert the model again, or install the version that wrote it"
        )
    if file_bytes != len(data):
        raise InputError(f"{name}: damaged: {len(data)} bytes; expected {file_bytes}. Copy or convert it again")
    crc = data.index(_CRC32, start) + len(_CRC32)
    blank = data[:crc] + _BLANK_CRC32.encode() + data[crc + len(_BLANK_CRC32) :]
    if crc32 != f"{zlib.crc32(blank):08x}":
        raise InputError(f"{name}: damaged: its checksum differs. Copy or convert it again")
    del fields["format"]
    if unknown := fields.keys() - {field.name for field in dataclasses.fields(Metadata)}:
        raise InputError(f"{name}: damaged: it says {min(unknown)!r:.50} of itself, which nothing here knows")
    try:
        return Metadata(**fields)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: damaged: what it says of itself does not fit: {error}") from None


def is_ours(path: Path) -> bool:
    """Whether `eelbert convert` wrote a file, damaged or not.

    Raises:
        InputError: it cannot be read.
    """  # noqa: DOC501, `read_error` makes an InputError
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] != _TFLITE_IDENTIFIER and path.suffix != ".onnx":
                return False
            size = os.fstat(file.fileno()).st_size  # `mmap` would take a refusal for a size
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                return data.find(_OURS) >= 0
    except OSError as error:
        raise read_error(error, path) from None


def read_file(path: str | os.PathLike[str]) -> tuple[bytes, Metadata]:
    """A TFLite file of ours and its metadata; nothing in it leads an interpreter astray that was looked for.

    Raises:
        InputError: there is no such file, it cannot be read, `read_metadata` refuses it, or its graph does not fit.
    """  # noqa: DOC501, `read_error` makes an InputError
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise read_error(error, path, "one that `eelbert convert` wrote") from None
    metadata = read_metadata(data, path)
    try:
        verify(data, metadata)
    except DamagedFileError as error:
        raise InputError(f"{os.fspath(path)}: damaged: {error}. Copy or convert it again") from None
    return data, metadata
