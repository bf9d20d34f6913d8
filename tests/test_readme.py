"""The README and the tutorial run: the README by its blocks of Python and its commands, in its order.

They work in a folder of small made-up data. Models are tiny ones with the names that the README uses, and `SMALLER`
adds options that shorten the work: of an option given twice the last counts. A command that stands in no table here
fails the test.
"""

from __future__ import annotations

import json
import lzma
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eelbert_tf.__main__ import COMMANDS, main
from eelbert_tf.saving import folders as saving
from eelbert_tf.training.finetune.device_commands import device_commands
from tests.configs import STUDENT
from tests.forms import ROOT
from tests.pages import Block, blocks, commands
from tests.small_corpora import topical_text

README = ROOT / "README.md"
PRESETS = ("uno_en", "uno_en_sst2")
TINY = STUDENT.replace(max_bytes=128)

# What a command begins with, and what is added to it.
SMALLER = {
    "eelbert corpus": "--workers 1",
    "eelbert demo": "--epochs 1",
    "eelbert distill --teacher reviews": "--epochs 1 --made-up 0",
    "eelbert distill --teacher all-MiniLM-L6-v2": "--epochs 1 --sentences 64 --batch-size 8 --sequence-length 16",
    "eelbert finetune": "--epochs 1 --batch-size 64",
    "eelbert glue": "--epochs 1 --seeds 1",
    "eelbert pretrain": "--config tiny.json --steps 2 --batch-size 8 --sequence-length 16 --no-jit --eval-every 0",
}
# Targets of make, and what they run in the end: the command that is run here in their place, or "" for none.
MAKE = {"demo": "eelbert demo", "test": "", "web": ""}
# Commands that another file of tests runs.
ELSEWHERE = {"pip install .": "test_packaging.py"}


def write_table(path: Path, header: str, rows: Sequence[Sequence[str]]) -> None:
    """A CSV or TSV file; the texts hold neither tabs nor quotes."""
    between = "\t" if path.suffix == ".tsv" else ","
    fields = ([f'"{field}"' if "," in field else field for field in row] for row in rows)
    path.write_text("\n".join([header, *(between.join(row) for row in fields)]) + "\n", "utf-8")


def save_tiny(folder: Path, labels: list[str] | None = None) -> None:
    """An encoder with random weights, or a classifier."""
    from eelbert_tf import EelbertBackbone, EelbertClassifier

    folder.parent.mkdir(exist_ok=True)
    backbone = EelbertBackbone(TINY)
    model = backbone if labels is None else EelbertClassifier(backbone, labels=labels)
    model.save_to_preset(folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: what the README takes for granted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(saving, "PRESETS", tmp_path / "presets")
    save_tiny(tmp_path / "presets" / PRESETS[0])
    save_tiny(tmp_path / "presets" / PRESETS[1], ["negative", "positive"])
    save_tiny(tmp_path / "all-MiniLM-L6-v2")
    train, test = device_commands(per_class=40)
    for name, rows in (("train", train), ("dev", test[:40]), ("test", test[40:])):
        write_table(tmp_path / f"{name}.csv", "text,label", rows)
    write_table(tmp_path / "more.csv", "text", [(text.upper(),) for text, _ in test])
    write_table(tmp_path / "stars.csv", "text,label", [(text, str(i % 5)) for i, (text, _) in enumerate(test)])
    pairs = [(text, text[::-1], "no" if i % 3 else "yes") for i, (text, _) in enumerate(test)]
    write_table(tmp_path / "pairs.tsv", "question\tanswer\tfits", pairs)
    faq = [("how do I pay?", "by card"), ("where are you?", "in the town")]
    write_table(tmp_path / "faq.csv", "question,answer", faq)
    (tmp_path / "GLUE" / "SST-2").mkdir(parents=True)
    for name in ("train", "dev"):
        rows = [(text, str(int("light" in text))) for text, _ in test]
        write_table(tmp_path / "GLUE" / "SST-2" / f"{name}.tsv", "sentence\tlabel", rows)
    (tmp_path / "wiki.txt.xz").write_bytes(lzma.compress(topical_text(200)))
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    return tmp_path


def run_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line of shell."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        target = words[1]
        assert target in MAKE, f"{line}: say in MAKE what `make {target}` runs"
        planned = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert planned.returncode == 0, planned.stderr
        if MAKE[target]:
            assert MAKE[target].replace("eelbert", "-m eelbert_tf") in planned.stdout
            run_command(MAKE[target], capsys)
        return
    if " ".join(words) in ELSEWHERE:
        assert (ROOT / "tests" / ELSEWHERE[" ".join(words)]).is_file()
        return
    assert words[0] == "eelbert", f"{line}: nothing here runs it"
    assert words[1] in COMMANDS
    added = [options for begin, options in SMALLER.items() if " ".join(words).startswith(begin)]
    status = main([*words[1:], *shlex.split(" ".join(added))])
    out, err = capsys.readouterr()
    assert status == 0, f"{line}:\n{err}"
    assert isinstance(json.loads(out.splitlines()[-1]), dict)


@pytest.mark.usefixtures("untraced")
def test_every_block_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the page, each on what those before it have left."""
    pytest.importorskip("sklearn")
    pytest.importorskip("tflite_micro")
    ran = 0
    for block in blocks(README):
        if block.language == "python":
            exec(compile(block.text, README.name, "exec"), {})
            ran += 1
        elif block.language == "shell":
            for line in lines_of(block):
                run_command(line, capsys)
                ran += 1
        else:
            assert block.language == "bibtex", f"nothing here runs blocks of {block.language!r}"
    assert ran > 20


def lines_of(block: Block) -> list[str]:
    """The commands of a block of shell."""
    return [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]


def test_tutorial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs from the table to the file, here for one epoch."""
    long, short = "\nepochs = 20\n", "\nepochs = 1\n"
    text = (ROOT / "examples" / "tutorial.py").read_text("utf-8")
    assert long in text
    exec(compile(text.replace(long, short), "tutorial.py", "exec"), {})
    made = {path.name for path in (folder / "tutorial").iterdir()}
    assert made == {"train.csv", "test.csv", "model", "none.tflite", "int8.tflite"}
    assert "'Turn the lamp on, please!': " in capsys.readouterr().out


def test_questions_are_answered(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """The example makes 1,000 different questions; its encoder and index are those that the command searches with."""
    monkeypatch.setattr(sys, "argv", ["faq.py", "--output", "faq", "--asked", "5"])
    runpy.run_path(str(ROOT / "examples" / "faq.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "1000 questions; encoder and index: " in printed
    assert printed.count("among five") == 8
    rows = [line.split(",") for line in (folder / "faq" / "faq.csv").read_text("utf-8").splitlines()[1:]]
    assert len({row[0] for row in rows}) == 1000
    search = ["search", "--model", "faq/encoder.tflite", "--index", "faq/faq.index", "--top", "1", "--query"]
    assert main([*search, "how loud is the kettle?"]) == 0
    (match,) = json.loads(capsys.readouterr().out)["matches"]
    assert match["text"] == "how loud is the kettle?"
    assert match["label"] == "The kettle has 45 decibels."


def test_every_block_is_found() -> None:
    """What looks like a command or a block of code is one, so that none is passed over."""
    text = README.read_text("utf-8")
    assert text.count("```") == 2 * sum(block.language != "shell" for block in blocks(README))
    starts = [line for line in text.splitlines() if line.startswith(("    eelbert ", "    make ", "    pip "))]
    assert len(starts) == len(commands(README)) > 15


@pytest.mark.parametrize("name", ["eelbert_uno", "eelbert_tiny", "eelbert_mini"])
def test_sizes_of_the_readme(name: str) -> None:
    """The table of sizes says what the models have; test_encoder.py knows the largest too."""
    from eelbert_tf import EelbertBackbone, EelbertClassifier

    (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", README.read_text("utf-8"), re.MULTILINE)
    layers, width, heads, inner, parameters, size = (cell.strip().replace(",", "") for cell in row.split("|"))
    model = EelbertClassifier(EelbertBackbone.from_name(name), num_classes=2)
    config = model.backbone.config
    shape = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    assert [int(cell) for cell in (layers, width, heads, inner)] == list(shape)
    assert model.count_params() == int(parameters)
    assert float(size.removesuffix(" MB")) == pytest.approx(4e-6 * int(parameters), rel=0.005)


def test_presets_of_the_readme_are_in_the_package() -> None:
    """Once any is: the README promises none that an installation lacks."""
    if not saving.preset_names():
        pytest.skip("this tree has no presets")
    text = README.read_text("utf-8")
    assert set(PRESETS) <= set(saving.preset_names())
    assert all(f"`{name}`" in text for name in saving.preset_names())
