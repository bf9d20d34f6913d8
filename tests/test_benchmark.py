"""The benchmark command: what the figures are, not how large."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tables import read_table
from eelbert_tf.tflite.benchmarks import size as benchmark_size
from eelbert_tf.tflite.benchmarks.memory import Classify, peak_growth
from eelbert_tf.tflite.benchmarks.timing import interleave, summary
from eelbert_tf.training.benchmarks import baselines as benchmark_baselines
from eelbert_tf.training.finetune.device_commands import device_commands
from tests.small_models import CONFIGS, LABELS, saved

MEGABYTE = 10**6


def write_table(path: Path, texts: list[str]) -> Path:
    """Labelled with the small models' labels, in turn."""
    lines = [f"{text}\t{LABELS[i % len(LABELS)]}\n" for i, text in enumerate(texts)]
    path.write_text("sentence\tkind\n" + "".join(lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Labelled texts."""
    folder = tmp_path_factory.mktemp("tables")
    train, test = ([text for text, _ in part] for part in device_commands())
    train = [f"{text} {' '.join(f'name{i}{letter}' for letter in 'abcde')}" for i, text in enumerate(train[:60])]
    return {"train": write_table(folder / "train.tsv", train), "test": write_table(folder / "test.tsv", test[:40])}


def size_options(tables: dict[str, Path], output: Path, *models: str) -> list[str]:
    """A run on small files."""
    files = ["--train", str(tables["train"]), "--test", str(tables["test"]), "--output", str(output)]
    columns = ["--text-columns", "sentence", "--label-column", "kind"]
    limits = ["--max-tokens", "12", "--max-bytes", "48", "--limit", "20", "--rounds", "1"]
    return ["benchmark", "--suite", "size", *files, *columns, *limits, "--model", *models]


def test_size(
    tables: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formats and baselines have a row each, in JSON and in the table, with what applies to it; plots are drawn."""
    from eelbert_tf.tflite.conversion.convert import convert  # here, since the fresh processes import this module

    pytest.importorskip("tflite_micro")
    assert len(benchmark_size.FORMATS) == 6
    some = (("mobile", "none"), ("mobile", "int8"), ("micro", "int8"))  # all six convert in other tests
    monkeypatch.setattr(benchmark_size, "FORMATS", some)
    monkeypatch.setattr(benchmark_baselines, "FASTTEXT", ((1, False), (1, True)))  # pairs take half a minute
    assert main(size_options(tables, tmp_path / "sizes.json", str(saved("small")))) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result == json.loads((tmp_path / "sizes.json").read_text())
    rows = result["rows"]
    ours = {row["format"]: row for row in rows if row["model"] == "small"}
    assert list(ours) == ["float32", "int8 weights", "micro int8"]
    report = convert(saved("small"), tmp_path / "small.tflite", max_tokens=12, max_bytes=48)
    assert ours["float32"]["bytes"] == report["bytes"]
    assert ours["micro int8"]["arena_bytes"] > 0
    assert all((row["arena_bytes"] is None) == (row["p50_ms"] is not None) for row in rows)
    assert all(row["p50_ms"] is None or 0 < row["p50_ms"] <= row["p95_ms"] for row in rows)
    assert all(row["arena_bytes"] or row["peak_bytes"] is None or row["peak_bytes"] >= 0 for row in rows)
    assert ours["float32"]["accuracy"] == pytest.approx(keras_accuracy(tables["test"]), abs=1e-4)

    baselines = Counter(row["model"] for row in rows if row["model"] != "small")
    expected = {"BERT-tiny, random weights": 1, "TF-IDF + logistic regression": 1}
    if importlib.util.find_spec("fasttext"):
        expected["fastText, words"] = 2
        float_bytes, quantized_bytes = (row["bytes"] for row in rows if row["model"].startswith("fastText"))
        assert float_bytes > quantized_bytes
    assert baselines == expected
    assert [row["model"] for row in rows if row["accuracy"] is None] == ["BERT-tiny, random weights"]

    table = (tmp_path / "sizes.md").read_text("utf-8").splitlines()
    assert len(table) == 2 + len(rows)
    for line, row in zip(table[2:], rows, strict=True):
        assert line.startswith(f"| {row['model']} | {row['format']} | {row['bytes']:,} |")
        assert line.count("|") == 9
    assert result["method"] in captured.err
    for name in ("accuracy", "latency"):
        assert (tmp_path / f"sizes-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_baselines_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few words to quantize, or a package that is missing, cost that row and no other."""
    pytest.importorskip("fasttext")
    table = read_table(write_table(tmp_path / "few.tsv", ["good", "bad", "so so"] * 5), ["sentence"], "kind")
    monkeypatch.setattr(benchmark_baselines, "FASTTEXT", ((1, False), (1, True)))
    found, left_out = benchmark_baselines.train_baselines(table, tmp_path)
    assert [(rival.name.split(",")[0], rival.format) for rival in found] == [
        ("TF-IDF + logistic regression", "float32"),
        ("fastText", "float32"),
    ]
    assert left_out == ["fastText, words, quantized: Matrix too small for quantization, must have at least 256 rows"]
    for rival in found:
        classify = rival.load()
        assert [classify(text) for text in ("good", "bad", "so so")] == LABELS
    monkeypatch.setitem(sys.modules, "fasttext", None)
    found, left_out = benchmark_baselines.train_baselines(table, tmp_path)
    assert [rival.name for rival in found] == ["TF-IDF + logistic regression"]
    assert left_out == ["the fastText baseline needs it: pip install 'eelbert-tf[bench]'"]


def test_fine_tuned_bert(tables: dict[str, Path], tmp_path: Path) -> None:
    """A model with a vocabulary takes the place of the one with random weights, and says what it says in Keras."""
    import keras

    from eelbert_tf import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.preprocessing.wordpiece import RESERVED, WordPiece
    from tests.conftest import randomize

    keras.utils.set_random_seed(7)
    words = ["turn", "the", "light", "##s", "##ing", "on", "off", "it", "is", "dark", "in", "blinds", "open", "close"]
    pieces = [*RESERVED, *(word.encode() for word in words)]
    config = CONFIGS["small"].replace(hash=None, vocab_size=len(pieces))
    preprocessor = WordPiece(pieces, max_tokens=config.max_tokens)
    model = randomize(EelbertClassifier(EelbertBackbone(config), labels=LABELS, preprocessor=preprocessor))
    table = read_table(tables["test"], ["sentence"], "kind")
    model.classifier.bias.assign_sub(model.predict(table.texts, verbose=0).mean(axis=0))  # else one class wins always
    model.save_to_preset(tmp_path / "bert")
    benchmark_size.check([str(tmp_path / "bert")], table, table, 12, 48)
    (file,), left_out = benchmark_size.our_files([str(tmp_path / "bert")], table, tmp_path, 12, 48)
    assert not left_out
    expected = np.asarray(
        EelbertClassifier.from_preset(tmp_path / "bert", max_tokens=12).predict(table.texts, verbose=0)
    )
    classify = file.load()
    assert [classify(str(text)) for text in table.texts] == [LABELS[i] for i in expected.argmax(axis=1)]
    assert len(set(expected.argmax(axis=1).tolist())) > 1


def keras_accuracy(path: Path) -> float:
    """Of the small model, at the limits of `size_options`."""
    from eelbert_tf.models.classifier import EelbertClassifier

    model = EelbertClassifier.from_preset(saved("small"), max_tokens=12, max_bytes=48)
    texts, labels = zip(*(line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]), strict=True)
    found = np.asarray(model.predict(list(texts), verbose=0)).argmax(axis=1)
    return float(np.mean([LABELS[i] == label for i, label in zip(found, labels, strict=True)]))


class Hungry:
    """Allocates while it is loaded and once more for a text, and keeps neither.

    Args:
        loading: bytes.
        classifying: bytes.
    """

    modules = ("numpy",)

    def __init__(self, loading: int, classifying: int) -> None:
        self.loading, self.classifying = loading, classifying

    def load(self) -> Classify:
        np.ones(self.loading, np.int8)
        return lambda text: text[: int(np.ones(self.classifying, np.int8)[0])]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of one program")
def test_peak_memory() -> None:
    """The largest moment counts, whether or not the memory is given back, and not this process's."""
    ballast = np.ones(200 * MEGABYTE, np.int8)
    for loading, classifying in ((60, 20), (20, 60)):
        found = peak_growth(Hungry(loading * MEGABYTE, classifying * MEGABYTE), ["a text"])
        assert found is not None
        assert 59 * MEGABYTE < found < 70 * MEGABYTE
    assert ballast.all()


def test_turns() -> None:
    """Calls alternate on every input, after a warm-up, and every call is timed."""
    seen: list[Any] = []
    calls = {name: lambda item, name=name: seen.append((name, item)) for name in "ab"}
    times = interleave(calls, [1, 2], rounds=3)
    assert seen == [("a", 1), ("b", 1), ("a", 2), ("b", 2)] * 4
    assert {name: values.shape for name, values in times.items()} == {"a": (6,), "b": (6,)}
    assert summary(np.arange(101.0)) == {"p50_ms": 50.0, "p95_ms": 95.0}


def test_bad_input(tables: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake is told in a line, before any work."""
    output = tmp_path / "sizes.json"
    small, pair, regression = (str(saved(name)) for name in ("small", "pair", "regression"))
    good = size_options(tables, output, small)
    other = tmp_path / "other.tsv"
    other.write_text("sentence\tkind\na\tunheard_of\n")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("sentence\tother\tkind\na\tb\tlights_on\n")
    for arguments, message in (
        (["benchmark", "--suite", "size"], "--suite size needs --model, --train, --test, --output"),
        (["benchmark", "--test", "test.tsv"], "--test is for --suite size, not for --suite latency"),
        ([*good, "--text", "texts.txt"], "measures on the texts of --test: leave out --text"),
        ([*good, "--output", "sizes.md"], "expected a name that ends in .json, not sizes.md"),
        (size_options(tables, output, small, small), "--model: small is the name of more than one"),
        (size_options(tables, output, pair), "pair: a classifier of pairs"),
        (
            size_options(tables, output, regression),
            "regression: a model of the task regression; the size suite compares",
        ),
        (size_options(tables, output, "nowhere"), "nowhere"),
        ([*good, "--max-tokens", "64"], "small: max_tokens: expected a whole number from 4 to 32"),
        ([*good, "--test", str(other)], "other.tsv, row 2: the label 'unheard_of' does not occur"),
        (
            [*good, "--test", str(pairs), "--train", str(pairs), "--text-columns", "sentence", "other"],
            "pairs.tsv: pairs",
        ),
        ([*good, "--limit", "3"], "--limit between 20 and"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not list(tmp_path.glob("sizes*"))
