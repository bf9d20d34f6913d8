"""Labelled files: what is read, and which line an error names."""

from __future__ import annotations

import csv
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eelbert_tf.disk.tables import check_labels, check_seen, iter_rows, read_table
from eelbert_tf.errors import InputError


@pytest.fixture
def write(tmp_path: Path):
    """Writes text or bytes to a file and returns its path."""

    def _write(content: str | bytes, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


def test_csv(write):
    """Quoted commas, quotes and line ends; the line of a row is where it begins."""
    table = read_table(write('text,label\r\n"a, ""b""\nc",x\r\nd é,y\r\n\r\n,x\r\n'))
    assert table.texts == ['a, "b"\nc', "d é", ""]
    assert table.labels == ["x", "y", "x"]
    assert table.lines == [2, 4, 6]


def test_tsv_takes_quotes_as_they_stand(write):
    """GLUE's files hold unbalanced quotes."""
    table = read_table(write('text\tlabel\n" a "b\t0\nc "\t1\n', "data.tsv"))
    assert table.texts == ['" a "b', 'c "']


@pytest.mark.parametrize("name", ["data.txt", "data"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_without_a_known_extension_the_header_decides(write, name, separator):
    assert read_table(write(f"text{separator}label\na{separator}b\n", name)).texts == ["a"]


def test_byte_order_mark_and_missing_last_line_end(write):
    table = read_table(write(b"\xef\xbb\xbftext,label\na,b"))
    assert (table.texts, table.labels) == (["a"], ["b"])


def test_pairs_and_other_columns(write):
    path = write("id,question, answer ,verdict\n1,q,a, yes \n")
    assert read_table(path, ["question", "answer"], "verdict").texts == [("q", "a")]
    assert read_table(path, ["answer"], "verdict").labels == ["yes"]
    assert read_table(write("text_a,text_b,label\nx,y,0\n")).texts == [("x", "y")]


def test_regression(write):
    assert read_table(write("text,label\na,0.5\nb,-1e2\n"), regression=True).labels == [0.5, -100.0]
    for bad in ("high", "nan", "inf"):
        with pytest.raises(InputError, match="row 3: the label .* is not a number"):
            read_table(write(f"text,label\na,1\nb,{bad}\n"), regression=True)


def test_texts_without_labels(write):
    assert [row.text for row in iter_rows(write("text\na\n\nb\n"), label_column=None)] == ["a", "", "b"]
    assert [row.label for row in iter_rows(write("text,label\na,\n"), label_column=None)] == [None]


BAD = {
    "the file is empty": b"",
    "row 1 is blank": b"\ntext,label\na,b\n",
    "row 1: no header with a column `text`.*'fine day', 'good'.*--text-columns": b"fine day,good\nbad day,bad\n",
    "row 1: no column `label`.*'text', 'class'.*--label-column": b"text,class\na,b\n",
    "row 1: no column `text_b`.*--text-columns": b"text_a,label\na,b\n",
    "row 1: no column `label` in the header; columns found: 'text', 'class'": b'"text";"class"\na;b\n',
    "there are no rows": b"text,label\n\n",
    "row 3: 3 columns; expected 2": b"text,label\na,b\nc,d,e\n",
    "row 2: 1 column; expected 2": b"text,label\na\n",
    "row 4: the label in column `label` is empty": b'text,label\n"a\nb",x\nc, \n',
    "row 3: a NUL byte at byte offset 16": b"text,label\na,b\nc\x00,d\n",
    "row 3: not UTF-8: byte 0xe9 at byte offset 18; .*iconv": b"text,label\na,b\ncaf\xe9,d\n",
    "UTF-16": "text,label\na,b\n".encode("utf-16"),
    "row 2: a double quote is never closed": b'text,label\n"a,b\nc,d\n',
    "row 3: quoting is broken": b'text,label\na,b\n"c" d,e\n',
    "row 2: a field is longer than 131,072 characters": b"text,label\n" + b"a" * 131_073 + b",b\n",
    "row 2: a field is longer": b'text,label\n"' + b"a,b\n" * 40_000,
    "row 2: longer than 16,777,216 bytes": b"text,label\n" + b"a" * (2**24 + 1),
    "row 1: 2 columns are called `text`": b"text,text,label\na,b,c\n",
    "row 1: a carriage return": b"text,label\ra,b\rc,d\r",
}


@pytest.mark.parametrize("message", BAD)
def test_bad_csv(write, message):
    path = write(BAD[message])
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bad_tsv(write):
    for content, message in (
        ("text\tlabel\na\tb\tc\n", "row 2: 3 columns; expected 2"),
        ("text,class\na,b\n", "columns found: 'text', 'class'"),
        ("text\tlabel\ra\tb\r", "row 1: a carriage return"),
        ("text\tlabel\n" + "a" * 131_073 + "\tb\n", "row 2: a field is longer"),
    ):
        with pytest.raises(InputError, match=message):
            read_table(write(content, "data.tsv"))


def test_duplicates_that_are_not_asked_for(write):
    assert read_table(write("id,id,text,label\n1,2,a,b\n")).texts == ["a"]


def test_not_a_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "file" / "data.csv")


def test_three_text_columns(write):
    with pytest.raises(InputError, match="takes one name, or two"):
        read_table(write("text,label\na,b\n"), ["text", "text", "text"])


def test_labels(write):
    """Numbers sort as numbers; one class is too few; unseen ones are named with their row."""
    train = read_table(write("text,label\na,10\nb,9\nc,z\nd,9\n"))
    assert check_labels(train) == ["9", "10", "z"]
    dev = read_table(write('text,label\n"a\nb",9\nc,11\n', "dev.csv"))
    with pytest.raises(
        InputError, match=r"dev.csv, row 4: the label '11' does not occur in training; .*'10', '9', 'z'"
    ):
        check_seen(dev, check_labels(train))
    check_seen(train, check_labels(train))
    with pytest.raises(InputError, match="all 2 rows have the label 'x'"):
        check_labels(read_table(write("text,label\na,x\nb,x\n")))


def test_memory_does_not_grow_with_the_file(write):
    path = write("text,label\n" + "a text of no great length,label\n" * 100_000)
    tracemalloc.start()
    assert sum(1 for _ in iter_rows(path)) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18 < path.stat().st_size


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
LABEL = FIELD.map(str.strip).filter(bool)


@given(st.lists(st.tuples(FIELD, LABEL), min_size=1), st.booleans())
def test_csv_round_trip(tmp_path_factory, rows, quote_all):
    """Whatever the csv module writes is read back as it was, save a carriage return that some versions do not quote."""
    style = {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"} if quote_all else {"lineterminator": "\r\n"}
    path = tmp_path_factory.mktemp("round") / "data.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, **style).writerows([("text", "label"), *rows])
    table = read_table(path)
    assert list(zip(table.texts, table.labels, strict=True)) == rows


@given(st.binary(max_size=200), st.sampled_from(["csv", "tsv", "txt"]), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, extension, header):
    """No input raises anything but InputError, and its message is one line."""
    path = tmp_path_factory.mktemp("any") / f"data.{extension}"
    path.write_bytes((b"text\tlabel\n" if extension == "tsv" else b"text,label\n") * header + content)
    try:
        table = read_table(path)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(table) == len(table.labels) > 0
        assert not any(isinstance(label, float) and math.isnan(label) for label in table.labels)
