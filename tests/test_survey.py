"""What `finetune` says of its files before it trains: the facts, and a warning with the fix for each likely mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eelbert_tf.config import named_config
from eelbert_tf.disk.tables import read_table
from eelbert_tf.disk.unused import unused_text_columns
from eelbert_tf.training.finetune.survey import Survey, survey

UNO = named_config("eelbert_uno").replace(max_tokens=128)
FINE = [(f"turn the {noun} {way}", way) for way in ("on", "off") for noun in ("lamp", "light", "radio", "tv", "fan")]


def look(
    tmp_path: Path, rows: list[tuple[Any, ...]], dev: Any = None, header: str = "text,label", **more: Any
) -> Survey:
    """The survey of a file of some rows."""
    tables = []
    for name, some in (("train.csv", rows), ("dev.csv", dev)):
        if some is not None:
            lines = [",".join(f'"{cell}"' for cell in row) for row in some]
            (tmp_path / name).write_text("\n".join([header, *lines]) + "\n")
            tables.append(read_table(tmp_path / name, **more))
    task = more.get("task", "classification")
    return survey(tables[0], tables[1] if dev is not None else None, task, UNO, ["text", "label"])


def test_facts(tmp_path: Path) -> None:
    """Rows, classes with their counts, lengths; nothing to warn of in a good file."""
    found = look(tmp_path, FINE, [("switch the lamp on", "on")])
    assert found.warnings == []
    assert found.facts["rows"] == 10
    assert found.facts["classes"] == {"off": 5, "on": 5}
    assert found.facts["words"] == {"median": 4, "most": 4}
    assert found.facts["tokens"] == {"median": 6, "most": 6, "read": 128}
    assert found.facts["truncated"] == found.facts["dev"]["truncated"] == 0
    assert found.lines() == [
        "train.csv: 10 rows; 2 classes: off 5, on 5; 4 words a text, 4 at most",
        "dev.csv: 1 rows; 4 words a text, 4 at most",
    ]
    numbers = look(tmp_path, [("a", 1.5), ("b", 2)], task="regression")
    assert numbers.facts["labels"] == {"least": 1.5, "greatest": 2.0, "mean": 1.75}
    assert "labels from 1.5 to 2, on average 1.75" in numbers.lines()[0]
    path = tmp_path / "houses.csv"
    path.write_text("text,price,size\na,1e6,0.003\nb,2e6,0.006\n")
    several = survey(read_table(path, None, ["price", "size"], "regression"), None, "regression", UNO)
    assert several.facts["labels"]["size"] == {"least": 0.003, "greatest": 0.006, "mean": 0.0045}
    assert "price from 1e+06 to 2e+06, on average 1.5e+06; size from 0.003 to 0.006, on" in several.lines()[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("buy", "order")] * 2, "1 class has fewer than 5 texts: 'order' 2; add some, or merge it"),
        ([(f"a {i}", "ON\u200b ") for i in range(5)], "labels that look like one class: 'on' 5, 'ON\\u200b' 5; write"),
        ([(f"a {i}", "cafe\u0301") for i in range(5)] + [(f"b {i}", "café") for i in range(5)], "look like one class"),
        ([(f"a {i}", "on,off") for i in range(5)], "look like several in one: 'on,off' 5; if they are, read them"),
        ([(f"a {i}", "NaN") for i in range(5)], "labels that look like none at all: 'NaN' 5; drop these rows"),
        ([("turn the lamp on", "off")], "1 text under two labels or more (rows 2, 12: 'turn the lamp on'); keep"),
        ([(f"{i}", f"id {i}") for i in range(12)], "nearly every row has a label of its own; is it the right column?"),
        ([("so " * 140 + "it is", "on")], "1 of 11 texts are longer than the 128 tokens and 512 bytes"),
    ],
)
def test_mistakes(tmp_path: Path, rows: list[tuple[str, str]], message: str) -> None:
    """Each is named once, with what to do."""
    found = [line for line in look(tmp_path, FINE + rows).warnings if "fewer than 5" not in line or "fewer" in message]
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{i / 7:.2f}" for i in range(4)] * 5, "the 4 labels are numbers with decimals: '0.00', '0.14'"),
        ([str(i) for i in range(24)] * 5, "the labels are 24 whole numbers"),
        (["1", "2", "3", "4", "5"] * 5, "the labels are the numbers from 1 to 5; if they are amounts or grades"),
        (["0", "1", "2", "3"] * 5, None),
        (["1", "2", "3", "4"] * 5, None),
    ],
)
def test_scales(tmp_path: Path, labels: list[str], message: str | None) -> None:
    """Numbers may be the numbers of classes, or a regression forgotten."""
    found = look(tmp_path, [(f"text {i}", label) for i, label in enumerate(labels)]).warnings
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


def test_development_file(tmp_path: Path) -> None:
    """Texts that were learned, labels that were not."""
    found = look(tmp_path, FINE, [("turn the lamp on", "on"), ("blink", "blink"), ("flash", "blink")])
    assert found.facts["dev"]["unseen"] == {"blink": 2}
    both, unseen = found.warnings
    assert "1 text also stand in" in both
    assert "(row 2)" in both
    assert "2 texts with a label that does not occur in training count as wrong: 'blink' 2; correct" in unseen


def test_unused_columns(tmp_path: Path) -> None:
    """Texts are found in another column; categories, dates and numbers are none."""
    rows = [
        (text, f"said by visitor {i}", "the same for all", "2026-01-01", i, label)
        for i, (text, label) in enumerate(FINE)
    ]
    header = "text,title,source,date,number,label"
    found = look(tmp_path, rows, header=header).warnings
    assert len(found) == 1
    assert "texts in a column that is not used: title; to read it too: --text-columns text title" in found[0]
    (tmp_path / "x.jsonl").write_text('{"text": "a", "note": "one two three", "label": "x"}\n')
    assert unused_text_columns(tmp_path / "x.jsonl", ["text", "label"]) == ["note"]
    assert unused_text_columns(tmp_path / "x.jsonl", ["text", "note", "label"]) == []
