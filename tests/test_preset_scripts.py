"""The scripts that `uno_en` was made with: the teacher's blend, and the texts that it is asked about."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.presets import weight_names
from eelbert_tf.saving.stored import read_stored
from tests.conftest import randomize
from tests.pages import script
from tests.small_berts import BERT, PIECES, write_bert
from tests.small_corpora import build
from tests.small_models import saved


def run(name: str, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """A script of experiments/, with these words after its name."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    script(name).main()


def test_blend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight lies between that of the BERT and that of the tuned one, by the share that was asked for."""
    keras.utils.set_random_seed(0)
    folder = write_bert(tmp_path / "bert", randomize(EelbertBackbone(BERT)))
    tuned = EelbertClassifier.from_preset(folder, labels=["no", "yes"])
    first = {name: variable.numpy() for name, variable in weight_names(tuned.backbone).items()}
    for variable in weight_names(tuned.backbone).values():
        variable.assign(1.5 - variable)
    last = {name: variable.numpy() for name, variable in weight_names(tuned.backbone).items()}
    tuned.save_to_preset(tmp_path / "tuned")
    words = ["--bert", folder, "--share", 0.25, "--output", tmp_path / "blend"]
    run("blend", monkeypatch, *words, "--tuned", tmp_path / "tuned")
    assert read_stored(tmp_path / "blend").vocabulary == PIECES
    found = weight_names(EelbertBackbone.from_preset(tmp_path / "blend"))
    assert set(found) == set(first)
    for name, variable in found.items():
        np.testing.assert_allclose(variable.numpy(), 0.75 * first[name] + 0.25 * last[name], atol=1e-6, err_msg=name)
    with pytest.raises(InputError, match="is no BERT"):
        run("blend", monkeypatch, *words, "--tuned", saved("small"))


def test_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences of the corpus and texts of the tables, each once, and none that stands in a held-out table."""
    corpus = build(tmp_path / "corpus", b"A cat sat here. The dog ran off!\n\nIt rained all day.")
    tables = {
        "SST-2/train.tsv": "sentence\tlabel\na fine film\t1\na dull film\t0\n",
        "RTE/train.tsv": "index\tsentence1\tsentence2\tlabel\n0\tIt rained.\tA fine film\tentailment\n",
        "SST-2/dev.tsv": "sentence\tlabel\na dull film\t0\n",
        "others/test.csv": "text,label\nthe dog ran off!,x\n",
    }
    for name, rows in tables.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(rows)
    learned, held_out = (sorted(tmp_path.glob(f"*/{name}")) for name in ("train.tsv", "[dt]e*.[ct]sv"))
    output = tmp_path / "texts.txt"
    words = ["--corpus", corpus.directory, "--tables", *learned, "--except", *held_out, "--output", output]
    run("preset_texts", monkeypatch, *words)
    wanted = ["a fine film", "it rained .", "a cat sat here .", "it rained all day ."]
    assert sorted(output.read_text().splitlines()) == sorted(wanted)
    assert "4 texts, 3 of tables; 2 are in held-out sets" in capsys.readouterr().out
