"""Labelled files: what is read, and which line an error names."""

from __future__ import annotations

import csv
import io
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eelbert_tf.disk.tables import check_labels, check_seen, iter_rows, read_table
from eelbert_tf.errors import InputError, InputWarning

pytestmark = pytest.mark.filterwarnings("ignore::eelbert_tf.errors.InputWarning")


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


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.txt"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_that_fits_the_header_is_taken(write, name, separator):
    """Plain, quoted, and with the names that were asked for."""
    plain = f"text{separator}label\nfine day{separator}good\n"
    assert read_table(write(plain, name)).texts == ["fine day"]
    quoted = f'"body"{separator}"kind"\n"a, b; c | d"{separator}"good"\n'
    table = read_table(write(quoted, name), ["body"], "kind")
    assert (table.texts, table.labels) == (["a, b; c | d"], ["good"])
    assert [row.text for row in iter_rows(write(f"id{separator}text\n1{separator}a\n", name), None, None)] == ["a"]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;\r", "sep=;,,"])
def test_the_line_of_excel_that_names_the_separator(write, first):
    table = read_table(write(first + '\ntext;label\n"a;b";x\n'))
    assert (table.texts, table.labels, table.lines) == (["a;b"], ["x"], [3])
    with pytest.raises(InputError, match="row 2: no column `label`.*'text', 'class'"):
        read_table(write(first + "\ntext;class\na;b\n"))
    with pytest.raises(InputError, match="row 1: sep=x names no separator"):
        read_table(write("sep=x\ntextxlabel\naxb\n"))
    with pytest.raises(InputError, match="the file ends after sep="):
        read_table(write(first + "\n"))


PANDAS = {
    "a quote": 'text\tlabel\nplain, too\t0\n"say ""hi"""\t1\nmore\t0\n',
    "a tab": 'text\tlabel\nplain, too\t0\n"say\thi"\t1\nmore\t0\n',
    "a line end": 'text\tlabel\nplain, too\t0\n"say\nhi"\t1\nmore\t0\n',
    "all quoted": '"text"\t"label"\n"plain, too"\t"0"\n"say hi"\t"1"\n"more"\t"0"\n',
    "a comma, as Excel has it": 'text\tlabel\r\n"plain, too"\t0\r\n"say, hi"\t1\r\nmore\t0\r\n',
}


@pytest.mark.parametrize("kind", PANDAS)
def test_tsv_as_pandas_and_excel_quote_it(write, kind):
    table = read_table(write(PANDAS[kind], "data.tsv"))
    assert (table.texts[0], table.texts[2], table.labels) == ("plain, too", "more", ["0", "1", "0"])
    assert table.texts[1] in ('say "hi"', "say\thi", "say\nhi", "say hi", "say, hi")


GLUE = {
    "inside": 'a 5" pipe\t0\n"say ""hi"""\t1\n',
    "never closed": '"a\t0\nb\t1\n',
    "for no reason": '"a b"\t0\n"say ""hi"""\t1\n',
    "over two lines that are rows": '"a\t0\nb"\t1\n',
    "round commas, and commas elsewhere": '"a, b"\t0\nc, d\t1\n',
    "behind": 'a "b"\t0\nb\t1\n',
}


@pytest.mark.parametrize("kind", GLUE)
def test_tsv_with_quotes_that_quote_nothing(write, kind):
    expected = [line.split("\t")[0] for line in GLUE[kind].splitlines()]
    assert read_table(write("text\tlabel\n" + GLUE[kind], "data.tsv")).texts == expected


def test_tsv_that_is_quoted_far_behind(write):
    """Memory stays bounded: the first quote and some kilobytes behind it decide."""
    quoted = '"say ""hi"""\t1\n'
    path = write("text\tlabel\n" + "plain\t0\n" * 50_000 + quoted + "plain\t0\n" * 50_000, "data.tsv")
    assert read_table(path).texts[49_999:50_002] == ["plain", 'say "hi"', "plain"]
    path = write("text\tlabel\n" + quoted + "plain\t0\n" * 50_000 + '"open\t1\n', "data.tsv")
    with pytest.raises(InputError, match="row 50003: a double quote is never closed"):
        read_table(path)


def test_byte_order_mark_and_missing_last_line_end(write):
    table = read_table(write(b"\xef\xbb\xbftext,label\na,b"))
    assert (table.texts, table.labels) == (["a"], ["b"])


def test_pairs_and_other_columns(write):
    path = write("id,question, answer ,verdict\n1,q,a, yes \n")
    assert read_table(path, ["question", "answer"], "verdict").texts == [("q", "a")]
    assert read_table(path, ["answer"], "verdict").labels == ["yes"]
    assert read_table(write("text_a,text_b,label\nx,y,0\n")).texts == [("x", "y")]


def test_regression(write):
    assert read_table(write("text,label\na,0.5\nb,-1e2\n"), task="regression").labels == [0.5, -100.0]
    for bad in ("high", "nan", "inf"):
        with pytest.raises(InputError, match="row 3: the label .* is not a number"):
            read_table(write(f"text,label\na,1\nb,{bad}\n"), task="regression")


def test_texts_without_labels(write):
    assert [row.text for row in iter_rows(write("text\na\n\nb\n"), label_column=None)] == ["a", "", "b"]
    assert [row.label for row in iter_rows(write("text,label\na,\n"), label_column=None)] == [None]


def test_rows_of_empty_cells_behind_the_last_one(write):
    """Spreadsheets leave them; between rows they are rows."""
    assert read_table(write("id,text,label\n1,a,x\n,,\n,,\n")).texts == ["a"]
    with pytest.raises(InputError, match="row 3: the label in column `label` is empty"):
        read_table(write("id,text,label\n1,a,x\n,,\n2,b,y\n"))
    found = iter_rows(write("id,text\n1,a\n,\n\n,\n2,b\n,\n"), label_column=None)
    assert [(row.line, row.text) for row in found] == [(2, "a"), (3, ""), (5, ""), (6, "b")]


def test_empty_texts_are_named(write):
    path = write("text,label\n,x\na,y\n \t,y\n" + ",y\n" * 9)
    with pytest.warns(InputWarning, match=r"data.csv: 11 rows have empty texts \(row 2, 4, 5, 6, 7, ...\)"):
        assert len(read_table(path)) == 12
    with pytest.warns(InputWarning, match=r"1 row has an empty text \(row 3\)"):
        read_table(write("text_a,text_b,label\na,b,x\nc,,y\n"))


@pytest.mark.parametrize("second", ["text_b", "text2", "Text_2", "text b", "textb", "text_a", "text_pair"])
def test_two_text_columns_are_never_read_as_one(write, second):
    path = write(f"text,{second},label\na,b,0\n")
    with pytest.raises(InputError, match=f"--text-columns text for one, or --text-columns text '?{second}'? for pairs"):
        read_table(path)
    assert read_table(path, ["text"]).texts == ["a"]
    assert read_table(path, ["text", second]).texts == [("a", "b")]
    assert read_table(write("text,text_id,text_length,label\na,b,c,0\n")).texts == ["a"]


def test_json_lines(write):
    lines = r"""{"text": "a, \"b\"\nc", "label": "x", "id": 1}
{"label": " y ", "text": "grün \ud83d\ude00", "more": [1, {}]}

{"text": "", "label": 3}
{"text": "d", "label": true}
{"text": "e", "label": 0.50}"""
    for name in ("data.jsonl", "data.ndjson", "data.json"):
        table = read_table(write(lines, name))
        assert table.texts == ['a, "b"\nc', "grün \U0001f600", "", "d", "e"]
        assert table.labels == ["x", "y", "3", "true", "0.5"]
        assert table.lines == [1, 2, 4, 5, 6]
    two = '{"text_a": "a", "text_b": "b", "label": 1.5}\n{"text_b": "d", "text_a": "c", "label": 2}'
    pairs = write(two, "pairs.jsonl")
    assert read_table(pairs, task="regression").labels == [1.5, 2.0]
    assert [row.text for row in iter_rows(pairs, label_column=None)] == [("a", "b"), ("c", "d")]
    assert read_table(write('{"q": "a", "kind": "x"}\n', "q.jsonl"), ["q"], "kind").texts == ["a"]


FIRST = '{"text": "a", "label": "b"}\n'
BAD_JSON = {
    "row 2: not one JSON object on one line": FIRST + '{"text": "a", \n"label": "b"}',
    "row 1: expected an object": '"a"\n',
    "one a line: jq -c": '[{"text": "a", "label": "b"}]\n',
    "row 1: not one JSON object .*jq": '[\n{"text": "a", "label": "b"}\n]\n',
    "row 2: no text under `text`; keys found: 'body', 'label'": FIRST + '{"body": "a", "label": "b"}',
    "row 2: no text under `text`; it is null": FIRST + '{"text": null, "label": "b"}',
    "row 1: no label under `label`; it is null.*--label-column": '{"text": "a", "label": null}',
    "row 1: the label under `label` is .*expected a string or a number": '{"text": "a", "label": {"b": 1}}',
    "row 1: the label under `label` is a list.*--task multilabel": '{"text": "a", "label": ["b"]}',
    "row 1: the label in column `label` is empty": '{"text": "a", "label": " "}',
    "row 1: the text under `text` is '3'; expected a string": '{"text": 3, "label": "b"}',
    "row 1: a NUL character": r'{"text": "a\u0000", "label": "b"}',
    "row 1: .*has the key 'text' twice": '{"text": "a", "text": "c", "label": "b"}',
    "row 1: .*nested too deep": '{"text": "a", "label": "b", "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "row 1: .*digits": '{"text": "a", "label": ' + "9" * 5_000 + "}",
    "row 1: .*--text-columns text text_b for pairs": '{"text": "a", "text_b": "c", "label": "b"}',
    "row 1: no key `text`, or `text_a` and `text_b`; keys found: 'body', 'label'": '{"body": "a", "label": "b"}',
    "the file is empty": "\n\n",
}


@pytest.mark.parametrize("message", BAD_JSON)
def test_bad_json_lines(write, message):
    with pytest.raises(InputError, match=message) as caught:
        read_table(write(BAD_JSON[message], "data.jsonl"))
    assert len(str(caught.value).splitlines()) == 1


def test_decimal_commas_are_named(write):
    with pytest.raises(InputError, match="the label '0,5' is not a number; expected one with a decimal point"):
        read_table(write("text;label\na;0,5\n"), task="regression")


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
    "row 3: longer than 16,777,216 characters; a double quote": b"text,label\na,b\n" + b'"a\n",' * 3_500_000,
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
    """Numbers sort as numbers, those with a point too; one class is too few; unseen ones are named with their row."""
    train = read_table(write("text,label\na,10\nb,9\nc,z\nd,9\n"))
    assert check_labels(train) == ["9", "10", "z"]
    points = read_table(write("text,label\na,10.0\nb,9\nc,-1\nd,2.5e0\n"))
    assert check_labels(points) == ["-1", "2.5e0", "9", "10.0"]
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


@given(st.lists(st.tuples(st.text('ab"\t\n', min_size=1, max_size=6), st.sampled_from("01")), min_size=1))
def test_tsv_round_trip(tmp_path_factory, rows):
    """What the csv module writes as TSV is read back, save where each line is a row as it stands, as in GLUE."""
    file = io.StringIO()
    csv.writer(file, "excel-tab", lineterminator="\n").writerows([("text", "label"), *rows])
    as_lines = all(line.count("\t") == 1 for line in file.getvalue().split("\n") if line)
    assume(not as_lines or not any(set(text) & set("\t\n") for text, _ in rows))
    path = tmp_path_factory.mktemp("round") / "data.tsv"
    path.write_bytes(file.getvalue().encode())
    table = read_table(path)
    assert list(zip(table.texts, table.labels, strict=True)) == rows


@given(st.binary(max_size=200), st.sampled_from(["csv", "tsv", "txt", "jsonl"]), st.booleans())
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
