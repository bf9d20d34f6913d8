"""The firmware kit: a folder of C sources with a model, for TFLite Micro, which build systems take as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from eelbert_tf import __version__
from eelbert_tf.disk.files import FolderKind, check_directory, check_file, replace_directory, replace_file
from eelbert_tf.disk.refusals import read_if_any
from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.metadata import Metadata

from .c_sources import (
    DATA,
    FIRST_LINE,
    HEADER,
    OPERATORS,
    TESTS,
    Arena,
    Expected,
    expected_lines,
    header,
    resolver_lines,
    source,
)
from .front_end import Encoder

PREFIX = "eelbert"
SOURCES = Path(__file__).parent / "c"
# The same for every model.
COPIED = tuple(
    f"eelbert_{name}"
    for name in (
        *("classifier.h", "classifier.cc", "arena.h", "self_test.h", "self_test.c", "truncation.h", "truncation.c"),
        *(
            "front_end.h",
            "front_end.c",
            "input.h",
            "input.c",
            "windows.h",
            "windows.c",
            "spans.h",
            "spans.c",
            "index.h",
            "index.c",
        ),
    )
)
WRITTEN = (HEADER, DATA, OPERATORS, TESTS)
# Names that a user's own files may have as well: in a folder with other files, such a one stays.
PROJECT = (
    *("README.md", "LICENSE", "CMakeLists.txt", "idf_component.yml", "library.properties"),
    *("zephyr/module.yml", "zephyr/Kconfig", "example/main.c"),
)
_MARK = b"ritten by `eelbert convert`"  # in the first lines of each but the licence


def renamed(text: str, prefix: str) -> str:
    """A source, or a file's name, in which everything of the kit begins with `prefix` instead of `eelbert`."""
    text = re.sub("eelbert_(?!tf)", f"{prefix}_", text)
    return text.replace("EELBERT_", f"{prefix.upper()}_")


def check_prefix(prefix: str) -> None:
    """Checks the beginning of all names in a kit.

    Raises:
        InputError: it does not make names of C.
    """
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", prefix):
        raise InputError(
            "--kit-prefix: expected small letters, digits and single underscores, a letter first, as in wake_words. "
            f"Received: {prefix!r:.100}"
        )


def check_kit(path: str | os.PathLike[str], prefix: str = PREFIX) -> None:
    """Refuses a folder that cannot be written, or that has other files with a kit's names.

    Raises:
        InputError: as `write_kit`.
    """
    check_prefix(prefix)
    folder = Path(os.path.realpath(path))
    if not _has_other_files(folder, prefix):
        check_directory(path, _kind(prefix))
        return
    names = [renamed(name, prefix) for name in (*COPIED, *WRITTEN)]
    taken = [] if _is_kit(folder, prefix) else [name for name in names if (folder / name).exists()]
    if taken:
        raise InputError(
            f"{os.fspath(path)}: holds {taken[0]}, which `eelbert convert` did not write; choose another folder"
        )
    check_file(folder / renamed(HEADER, prefix))


def _kind(prefix: str) -> FolderKind:
    names = {renamed(name, prefix).partition("/")[0] for name in (*COPIED, *WRITTEN, *PROJECT)}
    return FolderKind(lambda folder: _is_kit(folder, prefix), names)


def _is_kit(folder: Path, prefix: str) -> bool:
    """Whether a folder holds a kit, which a newer one may replace."""
    return _begins_with(folder / renamed(HEADER, prefix), FIRST_LINE.encode())


def _begins_with(path: Path, data: bytes) -> bool:
    return read_if_any(path, len(data)) == data


def _is_project_file(path: Path) -> bool:
    """Whether `eelbert convert` wrote a file whose name others may have, too."""
    return _MARK in (read_if_any(path, 200) or b"") or _begins_with(
        path, (SOURCES / "project" / "LICENSE").read_bytes()
    )


def _has_other_files(folder: Path, prefix: str) -> bool:
    """Whether a folder holds anything but files of a kit."""
    own = {renamed(name, prefix) for name in (*COPIED, *WRITTEN)}
    return any(name not in own and not (name in PROJECT and _is_project_file(folder / name)) for name in _files(folder))


def _files(folder: Path) -> Iterator[str]:
    """Paths below a folder, "zephyr/Kconfig" for example, of all that is no folder, and of empty folders."""
    for place, folders, names in os.walk(folder):
        for name in (*names, *([] if folders or names or Path(place) == folder else [""])):
            yield Path(place, name).relative_to(folder).as_posix()


def write_kit(
    path: str | os.PathLike[str],
    data: bytes,
    metadata: Metadata,
    ops: Sequence[str],
    arena: Arena,
    tests: Sequence[Expected],
    tflm: str,
    prefix: str = PREFIX,
    encoder: Encoder | None = None,
) -> None:
    """Fills a folder with the sources that firmware compiles; other files in it stay as they are.

    Args:
        path: the folder; an older kit in it is replaced.
        data: the TFLite file, for the target "micro".
        metadata: of the file.
        ops: names of its operators.
        arena: memory that it needs.
        tests: texts, at least one, and what the file gives for them.
        tflm: version of TFLite Micro in which it does.
        prefix: what all names of files, functions and constants begin with.
        encoder: stands in the kit in place of the file where the front end is to be C; `ops`, `arena` and `tests` are
            then its own.

    Raises:
        InputError: the folder cannot be written, holds files of these names that are not of a kit, or the prefix makes
            no names of C.
    """
    check_kit(path, prefix)
    files = {name: renamed((SOURCES / name).read_text("utf-8"), prefix) for name in COPIED}
    files[OPERATORS] = "\n".join((*resolver_lines(ops), ""))
    files[TESTS] = "\n".join((*expected_lines(tests), ""))
    files[DATA] = source(data, metadata, prefix, encoder)
    files[HEADER] = renamed(header(data, metadata, ops, arena, tests, tflm, encoder), prefix)
    project = {name: (SOURCES / "project" / name).read_text("utf-8") for name in PROJECT}
    files |= {name: renamed(text, prefix).replace("@VERSION@", __version__) for name, text in project.items()}
    contents = {renamed(name, prefix): text.encode("utf-8") for name, text in files.items()}
    folder = Path(path)
    if _has_other_files(folder, prefix):  # file by file: header and data show whether they belong together
        for name, content in contents.items():
            if name in PROJECT and (folder / name).exists() and not _is_project_file(folder / name):
                continue
            with replace_file(folder / name) as temporary:
                temporary.write_bytes(content)
    else:
        with replace_directory(path, _kind(prefix)) as draft:
            for name, content in contents.items():
                (draft / name).parent.mkdir(exist_ok=True)
                (draft / name).write_bytes(content)
