"""A preprocessor alone on disk: `preprocessor.json`, and `vocab.txt` where it has a vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import FolderKind, replace_directory
from eelbert_tf.errors import InputError

from .checksum import has_valid_checksum, with_checksum
from .folders import VOCABULARY_FILE, VOCABULARY_SHA256, read_vocabulary
from .info import CONFIG_FILE, FORMAT, FORMAT_VERSION

PREPROCESSOR_FILE = "preprocessor.json"


def write_preprocessor(
    folder: str | Path, name: str, arguments: dict[str, Any], vocabulary: Sequence[bytes] | None = None
) -> None:
    """Writes a preprocessor; the folder appears whole or not at all.

    Args:
        folder: where to; an older preprocessor there is replaced.
        name: of its class.
        arguments: of its constructor, without the vocabulary.
        vocabulary: pieces by id, of one that has a vocabulary.

    Raises:
        InputError: the place cannot be written, or holds something else.
    """
    pieces = b"".join(piece + b"\n" for piece in vocabulary or ())
    fields = {"format": FORMAT, "format_version": FORMAT_VERSION, "preprocessor": name, "arguments": arguments}
    if pieces:
        fields[VOCABULARY_SHA256] = hashlib.sha256(pieces).hexdigest()
    with replace_directory(Path(folder), PREPROCESSOR_FOLDER) as temporary:
        (temporary / PREPROCESSOR_FILE).write_text(json.dumps(with_checksum(fields), indent=1) + "\n", "utf-8")
        if pieces:
            (temporary / VOCABULARY_FILE).write_bytes(pieces)


def _holds_preprocessor(folder: Path) -> bool:
    """Whether a folder holds a preprocessor; the vocabulary beside a model's configuration is the model's."""
    return (folder / PREPROCESSOR_FILE).is_file() and not (folder / CONFIG_FILE).exists()


PREPROCESSOR_FOLDER = FolderKind(_holds_preprocessor, (PREPROCESSOR_FILE, VOCABULARY_FILE))


def read_preprocessor(name: str | Path) -> tuple[str, dict[str, Any], list[bytes] | None] | None:
    """What `write_preprocessor` wrote.

    Args:
        name: a folder, or anything else that names a model.

    Returns:
        The name of the class, its arguments, and its vocabulary; `None` where there is no preprocessor by itself.

    Raises:
        InputError: it is damaged.
    """
    path = Path(name, PREPROCESSOR_FILE)
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text("utf-8"))
        kind, arguments, version = str(fields["preprocessor"]), dict(fields["arguments"]), fields["format_version"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: damaged: {error!r}. Save it again.") from None
    if version != FORMAT_VERSION or not has_valid_checksum(fields):
        raise InputError(f"{path}: damaged, or of another version than {FORMAT_VERSION}. Save it again.")
    vocabulary = read_vocabulary(path.parent, PREPROCESSOR_FILE) if VOCABULARY_SHA256 in fields else None
    return kind, arguments, vocabulary
