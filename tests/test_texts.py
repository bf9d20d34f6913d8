"""Files of text, whatever they hold: read as what they are, or refused with the reason, by every reader alike."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import random
import resource
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eelbert_tf.disk import texts
from eelbert_tf.disk.inputs import read_texts, spread_texts
from eelbert_tf.disk.tables import iter_rows
from eelbert_tf.disk.texts import open_text
from eelbert_tf.errors import InputError
from eelbert_tf.training.corpus.sources import find_sources

TABLE = "text,label\ngrün,a\nblau,b\n".encode()


def from_table(path: Path) -> list[str]:
    """Train, dev and test tables."""
    return [f"{row.text},{row.label}" for row in iter_rows(path)]


def from_lines(path: Path) -> list[str]:
    """`--input`."""
    return [text.decode() for text in read_texts(str(path))][1:]


def from_stdin(path: Path) -> list[str]:
    """`--input -`."""
    with pytest.MonkeyPatch.context() as patch, open(path, "rb") as file:
        patch.setattr("sys.stdin", io.TextIOWrapper(file))
        return [text.decode() for text in read_texts("-")][1:]


def from_calibration(path: Path) -> list[str]:
    """`--calibrate`."""
    return [text.decode() for text in spread_texts(str(path), None, 100)][1:]


def from_corpus(path: Path) -> list[str]:
    """`eelbert corpus`."""
    (source,) = find_sources({"lines": [str(path)]})
    blocks = list(source.blocks())
    assert sum(block.read for block in blocks) == source.size == path.stat().st_size
    return b"".join(block.text for block in blocks).decode().split("\n")[1:-1]


READERS = [from_table, from_lines, from_stdin, from_calibration, from_corpus]
NAMES = {from_table: "t.csv"}


@pytest.fixture(params=READERS)
def read(request, tmp_path) -> Callable[[bytes], list[str]]:
    """Writes bytes to a file and reads it."""

    def _read(data: bytes, suffix: str = "") -> list[str]:
        path = tmp_path / (NAMES.get(request.param, "t.txt") + suffix)
        path.write_bytes(data)
        return request.param(path)

    return _read


HALVES = lzma.compress(TABLE[:20]), lzma.compress(TABLE[20:])
GOOD = {
    "plain": TABLE,
    "mark": b"\xef\xbb\xbf" + TABLE,
    "gzip": gzip.compress(TABLE),
    "gzip of a text with a mark": gzip.compress(b"\xef\xbb\xbf" + TABLE),
    "xz": lzma.compress(TABLE),
    "two gzip streams": gzip.compress(TABLE[:20]) + gzip.compress(TABLE[20:]),
    "two xz streams": HALVES[0] + HALVES[1],
    "padding between and behind xz streams": HALVES[0] + b"\0" * 4 + HALVES[1] + b"\0" * 8,
    "padding behind gzip": gzip.compress(TABLE) + b"\0" * 512,
}


@pytest.mark.parametrize("kind", GOOD)
def test_read(read, kind):
    assert read(GOOD[kind]) == ["grün,a", "blau,b"]


def _zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, TABLE)
    return file.getvalue()


LONG = b"text,label\n" + b"".join(b"%d times %d,%d\n" % (n, n * n, n % 2) for n in range(20_000))
BAD = {
    "UTF-16; save it as UTF-8": TABLE.decode().encode("utf-16"),
    r"UTF-16; .*iconv -f UTF-16 ": b"\xfe\xff" + TABLE.decode().encode("utf-16-be"),
    "the file is UTF-16; .*UTF-16LE": TABLE.decode().encode("utf-16-le"),
    "the file is UTF-16; .*UTF-16BE": TABLE.decode().encode("utf-16-be"),
    "UTF-32": TABLE.decode().encode("utf-32"),
    r"(row|line) 2: not UTF-8: byte 0xfc at byte offset 13; .*iconv": TABLE.decode().encode("cp1252"),
    r"(row|line) 3: not UTF-8: byte 0xc3 at byte offset 22; .*UTF-8 -c": TABLE[:22] + b"\xc3",
    r"(row|line) 2: a NUL byte at byte offset 12": TABLE.replace(b"r", b"\0"),
    "zip archive; unpack it": _zip("a.txt"),
    "Office document .*save it as CSV UTF-8": _zip("xl/workbook.xml"),
    "xls or .doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100,
    "bzip2": b"BZh91AY&SY\xd7",
    "Zstandard": b"\x28\xb5\x2f\xfd\x04",
    "7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "PDF": b"%PDF-1.7\n",
    "packed twice": gzip.compress(gzip.compress(TABLE)),
    "zip archive; unpack": gzip.compress(_zip("a.txt")),
    "cut off; fetch": gzip.compress(LONG)[:-3],
    "cut off; fetch it": lzma.compress(LONG)[:-3],
    r"not a whole .gz file": gzip.compress(LONG)[:-8] + b"damaged!",
    r"not a whole .xz file": HALVES[0] + HALVES[1][:-10] + b"damaged ..",
    r"not a whole .xz file .*; fetch": HALVES[0] + b"\xff" * 100,
    r"not a whole .gz file .*; fetch": gzip.compress(TABLE) + b"more",
    "cut off; fetch it again": HALVES[0] + HALVES[1][:-1],
    "more than 256 MB": lzma.compress(TABLE, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]),
}


@pytest.mark.parametrize("message", BAD)
def test_refused(read, message):
    with pytest.raises(InputError, match=message) as caught:
        read(BAD[message])
    assert len(str(caught.value).splitlines()) == 1


def test_a_name_that_promises_packing(tmp_path):
    for name, data, message in (
        ("t.txt.gz", b"plain", r"not a whole .gz file; .*rename"),
        ("t.csv.XZ", b"", "cut off"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=message):
            list(read_texts(str(tmp_path / name)))
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"text\na\n"))
    assert list(read_texts(str(tmp_path / "t.tsv.gz"))) == ["a"]


def test_what_stands_before_the_damage_is_read(tmp_path):
    """Results of a long file are not lost for its last line; what is wrong is said when it is reached."""
    path = tmp_path / "t.txt"
    path.write_bytes(b"good\n" * 3 + b"caf\xe9\n")
    found: list = []
    with pytest.raises(InputError, match="line 4: not UTF-8: byte 0xe9 at byte offset 18"):
        found += read_texts(str(path))
    lines = read_texts(str(path))
    assert [next(lines) for _ in range(3)] == [b"good"] * 3
    with pytest.raises(InputError), open_text(path) as file:
        file.read()
    with open_text(path) as file:
        for _ in range(3):
            file.readline()
        for _ in range(2):  # it does not look like an end for who reads on
            with pytest.raises(InputError, match="not UTF-8"):
                file.readline()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers(1, 7), st.booleans())
def test_characters_cut_by_blocks(text, size, packed):
    """Whatever the system gives at once, characters and lines come out whole."""
    data = "\ufeff".encode() * (size % 2) + text.encode()
    data = gzip.compress(data) if packed else data

    class Slow(io.BytesIO):
        def read1(self, _: int | None = -1, /) -> bytes:
            return super().read1(size)

    stream = texts.TextStream(texts._CheckedText(texts._File(Slow(data), "t"), "t", "line"))
    expected = text.removeprefix("\ufeff") if size % 2 == 0 else text
    assert stream.read() == expected.encode()
    assert stream.taken == len(data)


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b", b"\xfd7zXZ\0", b"PK\3\4", b"\xef\xbb\xbf", b"\xff\xfe"])
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, magic):
    path = tmp_path_factory.mktemp("any") / "t.txt"
    path.write_bytes(magic + data)
    try:
        with open_text(path) as file:
            found = file.read()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).startswith(str(path))
    else:
        assert found.decode() is not None
        assert 0 not in found


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_every_damage_of_a_packed_file_is_found(tmp_path, pack):
    """No flipped byte and no cut gives other text, or less, without a word; parts of headers that say nothing aside."""
    rng = random.Random(0)
    packed = pack(TABLE * 50) + pack(TABLE)
    path = tmp_path / "t.txt"
    refused = 0
    for _ in range(300):
        damaged = bytearray(packed)
        if rng.random() < 0.5:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(2, len(damaged)) :]
        path.write_bytes(damaged)
        try:
            with open_text(path) as file:
                found = file.read()
        except InputError:
            refused += 1
        else:
            assert found in (TABLE * 50, TABLE * 51)
    assert refused > 250


def test_memory_does_not_grow_with_lines_nor_with_what_is_packed(tmp_path):
    """64 MB without a line end, packed in 64 kB."""
    path = tmp_path / "bomb.txt"
    path.write_bytes(gzip.compress(b"x" * 2**26))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = read_texts(str(path))
    assert len(line) == 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**14  # kB


# What the system refuses


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
        (errno.ENAMETOOLONG, "name is too long"),
        (errno.ELOOP, "links lead in a circle"),
        (errno.ENOMEM, "cannot be read"),
        (errno.ESTALE, "cannot be read"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_errors_of_the_system(tmp_path, monkeypatch, read, code, message):
    """On opening, and in the middle of reading."""

    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(code, os.strerror(code))
            return super().read1(20)

    def refuse(name):
        raise OSError(code, os.strerror(code), name)

    path = tmp_path / NAMES.get(read, "t.txt")
    path.write_bytes(TABLE)
    for stand_in in (refuse, lambda name: Broken(TABLE)):
        monkeypatch.setattr(texts, "_open", stand_in)
        if read is from_stdin:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Broken(TABLE)))
            with pytest.raises(InputError, match=message):
                list(read_texts("-"))
        else:
            with pytest.raises(InputError, match=message) as caught:
                read(path)
            assert str(caught.value).startswith(str(path))
            assert "write" not in str(caught.value)


def test_what_is_no_file(tmp_path):
    def read_calibration(path):
        return spread_texts(path, None, 9)

    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("link")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, message in (
            ("none.txt", "no such file"),
            ("", "is a folder"),
            ("file/t.txt", "a part of the path is a file"),
            ("n" * 5000 + ".txt", "name is too long"),
            ("link", "circle"),
            ("socket", "socket"),
            ("/proc/self/mem", "input/output error"),
            ("a\0b.txt", "no file can have this name"),
        ):
            path = str(tmp_path / name)
            for read in (lambda path: open_text(path).read(), lambda path: list(iter_rows(path)), read_calibration):
                with pytest.raises(InputError, match=message) as caught:
                    read(path)
                assert len(str(caught.value).splitlines()) == 1


def test_files_without_end(tmp_path):
    """A device and a sparse file of a terabyte are refused at once."""
    with open(tmp_path / "sparse.txt", "wb") as file:
        file.truncate(2**40)
    for path in ("/dev/zero", str(tmp_path / "sparse.txt")):
        for read in (read_texts, iter_rows):
            with pytest.raises(InputError, match="a NUL byte at byte offset 0"):
                list(read(path))
    with pytest.raises(InputError, match="not UTF-8|NUL"):
        list(iter_rows("/dev/urandom"))


def test_pipes(tmp_path, monkeypatch):
    """A named pipe is read, however late its writer comes; where none comes, it is not waited for for ever."""
    path = tmp_path / "t.csv"
    os.mkfifo(path)
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import time; time.sleep(.3); f = open({str(path)!r}, 'w'); "
            "time.sleep(.3); f.write('text,label\\na,b\\n')",
        ]
    ):
        assert from_table(path) == ["a,b"]
    monkeypatch.setattr(texts, "WRITER_SECONDS", 0.1)
    with pytest.raises(InputError, match="is a pipe, and no process has written into it"):
        from_table(path)
    with pytest.raises(InputError, match="is a pipe or a device"):
        find_sources({"lines": [str(path)]})


def test_calibration_texts_of_a_pipe_are_bounded(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"".join(b"%d\n" % n for n in range(1203)))))
    found = [int(text) for text in spread_texts("-", None, 100)]
    assert 50 <= len(found) <= 100
    assert found == list(range(0, 1203, found[1]))


def test_closed_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        list(read_texts("-"))


def test_standard_input_that_does_not_wait():
    """Some programs hand on a pipe that says "nothing yet" instead of waiting: that is not its end."""
    program = "from eelbert_tf.disk.inputs import read_texts; print(list(read_texts('-')))"
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with subprocess.Popen([sys.executable, "-c", program], stdin=reader, stdout=subprocess.PIPE) as process:
        os.close(reader)
        for part in (b"one\ntw", b"o\n"):
            time.sleep(0.3)
            os.write(writer, part)
        os.close(writer)
        assert process.communicate()[0] == b"[b'one', b'two']\n"


def test_lines_are_given_out_as_they_come():
    """The first line of a pipe is not held back until more of it has come."""
    reader, writer = os.pipe()
    with open(reader, "rb") as file, open(writer, "wb", buffering=0) as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(file))
        lines = read_texts("-")
        for text in (b"B\n", b"\xc3\xa9\n"):
            out.write(text)
            assert next(lines) == text.rstrip()


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="closed: cannot be read: permission denied"):
        find_sources({"documents": [str(tmp_path)]})
