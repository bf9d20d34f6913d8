"""Model folders: `config.json` and `weights.safetensors`, and the ones shipped in the package.

The format holds names, numbers and shapes only; loading it builds the model from its configuration and copies arrays,
so that nothing in a folder can execute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eelbert_tf.config import CONFIG_NAMES, EelbertConfig, named_config
from eelbert_tf.disk.files import FolderKind, recover_directory, replace_directory
from eelbert_tf.disk.refusals import read_error, read_if_any
from eelbert_tf.disk.settled import settled
from eelbert_tf.errors import InputError, InputWarning

from .checksum import with_checksum
from .info import CONFIG_FILE, FORMAT, FORMAT_VERSION, ModelInfo

WEIGHTS_FILE = "weights.safetensors"
VOCABULARY_FILE = "vocab.txt"
TFLITE_FILE = "model.tflite"  # beside the weights of a preset that is ready to use
TRAINING_FILE = "training.safetensors"  # while a model is being fine-tuned: what it takes to go on
REPORT_FILES = ("report.html", "report.json")  # how it was trained, and what it reached
VOCABULARY_SHA256 = "vocabulary_sha256"
# Weights that are bytes, by the end of their names; all others are floating point.
BYTE_WEIGHTS = {
    "lexicon/codes": "uint8",
    **dict.fromkeys(("lexical/tags", "lexical/table", "lexical/codes", "lexical/book"), "int8"),
}

PRESETS = Path(__file__).parent / "presets"
DRAFT = ".model"  # in a folder that holds more than a model: the one that takes its place, its configuration last


def preset_names() -> list[str]:
    """Names of the presets in the package."""
    return sorted(path.parent.name for path in PRESETS.glob(f"*/{CONFIG_FILE}"))


def preset_file(name: str) -> Path | None:
    """The TFLite file that comes with a preset, where one does."""
    path = PRESETS / name / TFLITE_FILE
    return path if is_preset(name) and path.is_file() else None


def is_preset(name: str | Path) -> bool:
    """Whether a name is that of a preset. A folder of the same name that holds a model hides the preset."""
    if str(name) not in preset_names():
        return False
    if (Path(name) / CONFIG_FILE).is_file() and not Path(name).samefile(PRESETS / str(name)):
        warnings.warn(f"{name}: the folder of this name is used, not the preset", InputWarning, stacklevel=3)
        return False
    return True


def find_model(name: str | Path) -> Path:
    """The directory of a preset, or of a model the user saved.

    Args:
        name: a preset's name, or a directory, which comes first.

    Returns:
        The directory; it has a configuration.

    Raises:
        InputError: there is neither.
    """  # noqa: DOC501, `read_error` makes an InputError
    if is_preset(name):
        return PRESETS / str(name)
    path = Path(name)
    try:
        if not path.exists():
            recover_directory(path, MODEL_FOLDER.names)
        finish_draft(path)
        if (path / CONFIG_FILE).is_file():
            return path
    except OSError as error:
        raise read_error(error, name) from None
    known = ", ".join(preset_names()) or "none in this installation"
    if path.is_dir():
        raise InputError(f"{path}: not a model directory: it has no {CONFIG_FILE}.")
    raise InputError(f"{name}: neither a directory nor a preset. Presets: {known}.")


def read_config(name: str) -> EelbertConfig:
    """A configuration by name, or from a JSON file: its fields, or a saved model's `config.json`.

    Raises:
        InputError: there is neither, or the file is no configuration.
    """  # noqa: DOC501, `read_error` makes an InputError
    if name in CONFIG_NAMES:
        return named_config(name)
    path = Path(name)
    if path.suffix != ".json" and not path.is_file():
        raise InputError(f"--config: {name}: neither a name ({', '.join(CONFIG_NAMES)}) nor a JSON file")
    try:
        fields = json.loads(path.read_text("utf-8"))
        return EelbertConfig.from_dict(fields.get("config", fields))
    except OSError as error:
        raise read_error(error, f"--config: {path}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--config: {path}: not a configuration: {error}") from None


def weights_digest(name: str) -> str:
    """The SHA-256 of a model's file of weights, as hexadecimal digits.

    Args:
        name: a preset's name, a model directory, or a folder in Hugging Face's layout.

    Raises:
        InputError: there is no such model.
    """  # noqa: DOC501, `read_error` makes an InputError
    foreign = Path(name, "model.safetensors")

    def read() -> str:
        path = foreign if foreign.is_file() else find_model(name) / WEIGHTS_FILE
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    try:
        return settled(Path(name), MODEL_FOLDER.names, read)
    except OSError as error:
        raise read_error(error, name, "a model") from None


def finish_draft(directory: Path) -> None:
    """Gives new weights their configuration, as the process that was replacing both does, or should have done."""
    draft = directory / DRAFT
    if (draft / CONFIG_FILE).is_file() and not (draft / WEIGHTS_FILE).exists():
        with contextlib.suppress(OSError):  # another process was faster, or a reader lacks the right
            os.replace(draft / CONFIG_FILE, directory / CONFIG_FILE)


def holds_model(directory: Path) -> bool:
    """Whether a directory holds a model of this library, which a newer one may replace.

    Raises:
        InputError: its configuration cannot be read.
    """
    content = read_if_any(directory / CONFIG_FILE) or b""
    try:
        fields = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("format") == FORMAT


MODEL_FOLDER = FolderKind(
    holds_model, frozenset({CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE, TRAINING_FILE, *REPORT_FILES})
)


def write_model(
    directory: str | Path,
    info: ModelInfo,
    arrays: dict[str, np.ndarray],
    vocabulary: Sequence[bytes] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Writes a model; the folder appears whole or not at all.

    Args:
        directory: where to; an older model there is replaced, other files in the folder stay.
        info: what the model is.
        arrays: its weights, by name.
        vocabulary: pieces by id, of a model that has a vocabulary.
        files: more files of the folder, by name: `TRAINING_FILE` and `REPORT_FILES`.

    Raises:
        InputError: the place cannot be written, or holds something else.
    """
    import safetensors.numpy

    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    pieces = b"".join(piece + b"\n" for piece in vocabulary or ())
    fields = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **dataclasses.asdict(info),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        **({VOCABULARY_SHA256: hashlib.sha256(pieces).hexdigest()} if pieces else {}),
    }
    with replace_directory(Path(directory), MODEL_FOLDER) as temporary:
        (temporary / WEIGHTS_FILE).write_bytes(data)
        (temporary / CONFIG_FILE).write_text(
            json.dumps(with_checksum(fields), indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        if pieces:
            (temporary / VOCABULARY_FILE).write_bytes(pieces)
        for name, content in (files or {}).items():
            (temporary / name).write_bytes(content)


def read_weights(directory: Path, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a model directory, by name.

    Raises:
        InputError: the file is missing, or differs from its checksum.
    """  # noqa: DOC501, `read_error` makes an InputError
    import safetensors
    import safetensors.numpy

    path = directory / WEIGHTS_FILE
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file.")  # a device may never end
    try:
        data = path.read_bytes()
    except OSError as error:
        raise read_error(error, path) from None
    except MemoryError:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes do not fit into memory.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: damaged: its checksum differs from the one in {CONFIG_FILE}.")
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file that NumPy can read: {error}") from None
    for name, array in arrays.items():
        expected = next((kind for end, kind in BYTE_WEIGHTS.items() if name.endswith(end)), "floating point")
        if array.dtype.name != expected and (expected != "floating point" or array.dtype.kind != "f"):
            raise InputError(f"{path}: weight {name!r} has the type {array.dtype}; expected {expected}.")
    return arrays


def read_vocabulary(directory: Path, config_file: str = CONFIG_FILE) -> list[bytes]:
    """The pieces of a model with a vocabulary, by id.

    Args:
        directory: the folder.
        config_file: the file in it that holds the checksum.

    Raises:
        InputError: the folder holds none, or a damaged one.
    """  # noqa: DOC501, `read_error` makes an InputError
    path = directory / VOCABULARY_FILE
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise read_error(error, path, "the pieces that a model with a vocabulary needs") from None
    expected = json.loads((directory / config_file).read_text("utf-8")).get(VOCABULARY_SHA256)
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:  # earlier versions wrote none
        raise InputError(f"{path}: damaged: its checksum differs from the one in {config_file}.")
    return data.removesuffix(b"\n").split(b"\n")
