"""GLUE: its files, its metrics, and tables that go on where they stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tables import Table
from eelbert_tf.errors import InputError
from eelbert_tf.training.finetune.candidates import BASELINES, Candidate
from eelbert_tf.training.finetune.held_out import hold_out
from eelbert_tf.training.glue.tasks import TASKS, Task, read_task, scores
from tests.configs import TINY

HEADERS = {
    "SST-2": "sentence\tlabel",
    "MRPC": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "STS-B": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
    "QQP": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "MNLI": "index\tsentence1\tsentence2\tgold_label",
    "QNLI": "index\tquestion\tsentence\tlabel",
    "RTE": "index\tsentence1\tsentence2\tlabel",
    "WNLI": "index\tsentence1\tsentence2\tlabel",
}
NOUNS = ("cat", "tree", "boat", "song", "lamp", "road")


def write_set(path: Path, task: Task, count: int, seed: int) -> None:
    """A set in the official layout: a text with "good" or equal sides has the last label or a high score."""
    rng = np.random.default_rng(seed)
    header = task.header or HEADERS[task.name].split("\t")
    lines = [] if task.header else ["\t".join(header)]
    for _ in range(count):
        kind = int(rng.integers(len(task.classes) or 2))
        first = f'the "{rng.choice(NOUNS)}" is ' + ("bad", "good", "odd")[kind]
        second = first if kind else f"a {rng.choice(NOUNS)}"
        label = f"{5 * kind:.3f}" if task.regression else task.classes[kind]
        fields = {task.texts[0]: first, task.texts[-1]: second, task.label: label}
        if not task.pair:
            fields[task.texts[0]] = first
        lines.append("\t".join(fields.get(name, "7") for name in header))
    mark = "\ufeff" if task.name == "MRPC" else ""  # as the official file has it
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(mark + "\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all nine tasks."""
    folder = tmp_path_factory.mktemp("glue")
    for task in TASKS.values():
        for seed, name in enumerate(("train", *task.dev)):
            write_set(folder / task.name / f"{name}.tsv", task, 40, seed)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_official_files(data: Path, name: str) -> None:
    """Each task is read from the official layout, quotes, byte order mark and missing headers included."""
    task = TASKS[name]
    found = read_task(task, str(data))
    assert set(found.dev) == set(task.dev)
    for table in (found.train, *found.dev.values()):
        assert len(table) == 40
        first = table.texts[0]
        assert (first[0] if isinstance(first, tuple) else first).startswith('the "')
        assert isinstance(first, tuple) == task.pair
        assert set(table.labels) <= ({0.0, 5.0} if task.regression else set(task.classes))


def test_bad_files(tmp_path: Path) -> None:
    """A missing folder, a missing set, and a foreign label are named."""
    with pytest.raises(InputError, match=r"RTE: no such folder; expected train.tsv and dev.tsv"):
        read_task(TASKS["RTE"], str(tmp_path))
    write_set(tmp_path / "RTE" / "train.tsv", TASKS["RTE"], 5, 0)
    with pytest.raises(InputError, match="dev.tsv: no such file"):
        read_task(TASKS["RTE"], str(tmp_path))
    (tmp_path / "RTE" / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n")
    with pytest.raises(InputError, match="row 2: the label 'maybe' is none of RTE's: entailment, not_entailment"):
        read_task(TASKS["RTE"], str(tmp_path))


@pytest.mark.parametrize("name", TASKS)
def test_tensorflow_datasets(name: str) -> None:
    """The same tasks come from tensorflow-datasets, by its own mocking."""
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=6):
        found = read_task(TASKS[name], "tfds")
    assert [len(found.train), *(len(table) for table in found.dev.values())] == [6] * (1 + len(TASKS[name].dev))
    assert isinstance(found.train.texts[0], tuple) == TASKS[name].pair


def test_official_metrics() -> None:
    """Each task has the metrics of the benchmark, here against values worked out by hand."""
    assert scores(TASKS["SST-2"], ["1", "1", "0", "0"], ["1", "0", "0", "0"]) == {"accuracy": 75.0}
    found = scores(TASKS["MRPC"], ["1", "1", "0", "0"], ["1", "0", "0", "0"])
    assert found == {"f1": pytest.approx(100 * 2 / 3), "accuracy": 75.0}
    assert scores(TASKS["CoLA"], ["1", "1", "0", "0"], ["1", "0", "0", "0"])["matthews"] == pytest.approx(100 / 3**0.5)
    found = scores(TASKS["STS-B"], [1.0, 2.0, 3.0], [1.0, 4.0, 9.0])
    assert found == {"pearson": pytest.approx(100 * 8 / (2 * 294 / 9) ** 0.5), "spearman": 100.0}


def test_split_off(data: Path) -> None:
    """The texts to choose by are a tenth, are not trained on, and depend on the seed alone."""
    table = read_task(TASKS["SST-2"], str(data)).train
    train, held_out = hold_out(table)
    assert (len(train), len(held_out)) == (36, 4)
    assert sorted(train.lines + held_out.lines) == table.lines
    assert hold_out(table)[1].lines == held_out.lines
    assert len(hold_out(table, most=2)[1]) == 2


def test_phrases_are_split_off_with_their_sentence(tmp_path: Path) -> None:
    """Only whole sentences are drawn, and what stands within one of them is not learned from."""
    sentences = [f"the {noun} is {word} , and so it goes" for noun in NOUNS for word in ("good", "bad")]
    phrases = [sentence.split(" ,")[0] for sentence in sentences]
    texts = [*phrases, *sentences, "goods", "so it goes"]
    table = Table(tmp_path / "train.tsv", texts, ["1"] * len(texts), list(range(len(texts))))
    left, held_out = hold_out(table, share=0.2)
    assert len(held_out) == 5
    assert set(held_out.texts) <= {*sentences, "goods"}
    within = {text for text in texts if any(f" {text} " in f" {sentence} " for sentence in held_out.texts)}
    assert set(left.texts) == set(texts) - within


def run(*words: str) -> int:
    return main(["glue", *words])


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a small configuration."""
    path = tmp_path_factory.mktemp("shape") / "tiny.json"
    path.write_text(json.dumps(TINY.to_dict()))
    return str(path)


def test_baselines_need_neither_tensorflow_nor_keras(data: Path, tmp_path: Path) -> None:
    """So they start at once, in this process and in those that `--jobs` starts."""
    pytest.importorskip("sklearn")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'jax']))\n"
        "from eelbert_tf.__main__ import main\n"
        "sys.exit(main(['glue', *sys.argv[1:]]))"
    )
    words = ["--data", str(data), "--model", "tfidf", "--tasks", "SST-2", "--output", str(tmp_path / "scores.json")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("untraced")
def test_command(data: Path, shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores are kept run by run and gone on with; a table and a plot lie beside them; other settings are refused."""
    pytest.importorskip("sklearn")
    output = tmp_path / "scores.json"
    common = ["--data", str(data), "--model", "tfidf", "--output", str(output)]
    assert run(*common, "--tasks", "SST-2") == 0
    first = json.loads(output.read_text())["results"]
    assert run(*common, "--tasks", "SST-2", "STS-B", "MNLI", "--jobs", "2") == 0
    captured = capsys.readouterr()
    reported: dict[str, Any] = json.loads(captured.out.splitlines()[-1])
    (row,) = reported["models"]
    assert row["tasks"]["SST-2"]["sets"]["dev"]["accuracy"] == 100.0
    assert set(row["tasks"]["MNLI"]["sets"]) == {"dev_matched", "dev_mismatched"}
    assert row["tasks"]["STS-B"]["sets"]["dev"]["pearson"] > 90
    results = json.loads(output.read_text())["results"]
    assert len(results) == 3
    assert all(results[name] == result for name, result in first.items())  # not done again: the seconds are the same
    assert "| tfidf | 100.0 |" in output.with_suffix(".md").read_text()
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert (
        run(
            *common,
            "--model",
            "tfidf",
            "scratch",
            "--config",
            shape,
            "--tasks",
            "SST-2",
            "--epochs",
            "1",
            "--seeds",
            "1",
        )
        == 0
    )
    assert set(first) < set(json.loads(output.read_text())["results"])  # a model that joins later
    capsys.readouterr()
    assert run(*common, "--tasks", "SST-2", "--batch-size", "8") == 2
    assert "was begun with candidate tfidf" in capsys.readouterr().err


def test_scores_belong_to_texts(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same texts in another place go on with the same file; with another label they are refused."""
    pytest.importorskip("sklearn")
    output = tmp_path / "scores.json"
    words = ["--model", "tfidf", "--tasks", "RTE", "--output", str(output)]
    assert run("--data", str(data), *words) == 0
    first = output.read_text()
    copy = tmp_path / "copy"
    shutil.copytree(data / "RTE", copy / "RTE")
    assert run("--data", str(copy), *words) == 0
    assert output.read_text() == first
    write_set(copy / "RTE" / "dev.tsv", TASKS["RTE"], 40, 9)
    capsys.readouterr()
    assert run("--data", str(copy), *words) == 2
    assert "was begun with task RTE" in capsys.readouterr().err
    assert output.read_text() == first


def test_bad_output(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that holds something else is left alone."""
    other = tmp_path / "notes.json"
    other.write_text("[1]")
    assert run("--data", str(data), "--model", "tfidf", "--tasks", "SST-2", "--output", str(other)) == 2
    assert "holds something else than scores" in capsys.readouterr().err
    assert other.read_text() == "[1]"
    assert run("--data", str(data), "--model", "tfidf", "--tasks", "SST-2", "--output", str(tmp_path / "x")) == 2
    assert "expected a name that ends in .json" in capsys.readouterr().err


@pytest.mark.usefixtures("untraced")
def test_own_models(data: Path, shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is tuned on a tenth of the training texts only, baselines too, and scored with each seed."""
    pytest.importorskip("sklearn")
    output = tmp_path / "scores.json"
    words = ["--model", "scratch", "tfidf", "--config", shape, "--tasks", "MRPC", "--seeds", "2", "--epochs", "1", "2"]
    assert run("--data", str(data), *words, "--learning-rates", "1e-3", "1e-5", "--output", str(output)) == 0
    row, baseline = json.loads(capsys.readouterr().out.splitlines()[-1])["models"]
    assert row["model"] == "tiny from scratch"
    assert row["tasks"]["MRPC"]["seeds"] == 2
    results = json.loads(output.read_text())["results"]
    chosen = [name for name in results if "choosing" in name]
    assert len(chosen) == 4 + len(BASELINES["tfidf"])
    assert baseline["tasks"]["MRPC"]["rate"] in BASELINES["tfidf"]
    assert row["tasks"]["MRPC"]["epochs"] in (1, 2)
    assert all(set(results[name]["sets"]) == {"held-out"} for name in chosen)


def test_passes_are_checked(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No number of epochs may be 0."""
    words = ["--model", "scratch", "--epochs", "2", "0", "--output", str(tmp_path / "x.json")]
    assert run("--data", str(data), *words) == 2
    assert "--epochs: must be positive, not 0" in capsys.readouterr().err


def test_fasttext(data: Path) -> None:
    """FastText learns classes, and scores as means of classes."""
    pytest.importorskip("fasttext")
    for name in ("SST-2", "STS-B"):
        task = TASKS[name]
        found = read_task(task, str(data))
        predict = Candidate("fasttext").train(found.train, task.classes, 0.1, 0)
        predicted = predict(found.dev["dev"].texts)
        assert len(predicted) == 40
        assert set(map(type, predicted)) == {str if task.classes else float}
