"""Texts in WordPieces, and the baseline that reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tables import Table
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.preprocessing.wordpiece import RESERVED, BertClassifier, PieceTexts, read_vocabulary
from eelbert_tf.saving.folders import load_classifier, save_model
from eelbert_tf.training.finetune.candidates import Candidate
from tests.configs import TINY

PIECES = [*RESERVED, *b"the cat sat on mat ##s ##ting un ##known ! . good bad".split()]
VOCABULARY = {piece: i for i, piece in enumerate(PIECES)}
CONFIG = TINY.replace(
    hash=None,
    vocab_size=len(PIECES),
    intermediate_size=16,
    max_position_embeddings=32,
    max_tokens=24,
    max_bytes=512,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as a pretraining run leaves it."""
    save_model(EelbertBackbone(CONFIG), tmp_path / "bert")
    (tmp_path / "bert" / "vocab.txt").write_bytes(b"\n".join(PIECES) + b"\n")
    return tmp_path / "bert"


def test_same_pieces_as_tensorflow_text() -> None:
    """Words fall into the pieces that tensorflow-text's WordPiece finds."""
    text = pytest.importorskip("tensorflow_text")
    tf = pytest.importorskip("tensorflow")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(PIECES, np.arange(len(PIECES), dtype=np.int64)), 1
    )
    tokenizer = text.WordpieceTokenizer(table, token_out_type=tf.int64, unknown_token="[UNK]")
    words = [b"the", b"cats", b"sat", b"unknown", b"unknowns", b"dog", b"mating", b"matting", b"!"]
    expected = tokenizer.tokenize(words).flat_values.numpy()
    texts = PieceTexts([b" ".join(words)], CONFIG, VOCABULARY)
    np.testing.assert_array_equal(texts.ids[0][1:-1], expected)


def test_batches() -> None:
    """Pairs are cut on their longer side, and batches are as narrow as their texts allow."""
    texts = PieceTexts(["the cat", ("the cat sat", "the mat " * 20), ""], CONFIG, VOCABULARY)
    np.testing.assert_array_equal(texts.token_counts, [4, 24, 2])
    narrow = texts.batch(np.array([0, 2]))
    assert narrow["token_ids"].shape == (2, 16)
    np.testing.assert_array_equal(narrow["token_ids"][0, :5], [2, 5, 6, 3, 0])
    np.testing.assert_array_equal(narrow["padding_mask"].sum(axis=1), [4, 2])
    wide = texts.batch(np.array([0, 1]))
    assert wide["token_ids"].shape == (2, 24)
    np.testing.assert_array_equal(wide["segment_ids"][1], [0] * 5 + [1] * 19)
    np.testing.assert_array_equal(wide["token_ids"][1, :5], [2, 5, 6, 7, 3])
    assert wide["token_ids"][1, -1] == 3


def test_fine_tuned(folder: Path) -> None:
    """The baseline learns from strings through the same recipe as the hashed models."""
    texts = [f"the cat is {word} !" for word in ("good", "bad")] * 80
    train = Table(Path("train"), texts, ["1", "0"] * 80, list(range(160)))
    predict = Candidate(str(folder), batch_size=8).train(train, ("0", "1"), 5e-3, 0, epochs=12)
    assert predict(["the cat is good !", "the cat is bad !"]) == ["1", "0"]
    fresh = Candidate(f"scratch:{folder}", batch_size=8)
    assert fresh.name == "bert from scratch"
    assert fresh.train(train, ("0", "1"), 5e-3, 0, epochs=12)(["the cat is good !"]) == ["1"]


def test_vocabulary_is_checked(folder: Path) -> None:
    """A missing vocabulary and one of another model are refused."""
    assert read_vocabulary(folder, CONFIG) == VOCABULARY
    (folder / "vocab.txt").write_bytes(b"\n".join([*PIECES, b"more"]))
    with pytest.raises(InputError, match="19 pieces, more than the 18 of the model"):
        read_vocabulary(folder, CONFIG)
    (folder / "vocab.txt").write_bytes(b"\n".join(PIECES[:3] + PIECES[4:]))
    with pytest.raises(InputError, match=r"17 pieces, without \[SEP\]"):
        read_vocabulary(folder, CONFIG)
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match="needs its pieces"):
        read_vocabulary(folder, CONFIG)


def test_reserved_pieces_stand_anywhere(tmp_path: Path) -> None:
    """A vocabulary that others have made is kept and read as it is."""
    vocabulary = {piece: i for i, piece in enumerate(PIECES[5:] + PIECES[:5])}
    save_model(BertClassifier(EelbertBackbone(CONFIG), 2, vocabulary=vocabulary), tmp_path / "model")
    assert read_vocabulary(tmp_path / "model", CONFIG) == vocabulary


def test_a_damaged_vocabulary_is_seen(tmp_path: Path) -> None:
    """Another letter is another piece, and the model would read other texts than it was trained on."""
    save_model(BertClassifier(EelbertBackbone(CONFIG), 2, vocabulary=VOCABULARY), tmp_path / "model")
    assert load_classifier(tmp_path / "model").vocabulary == VOCABULARY
    path = tmp_path / "model" / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"cat", b"cau"))
    with pytest.raises(InputError, match="vocab.txt: damaged: its checksum differs"):
        load_classifier(tmp_path / "model")


def test_pads_do_not_matter() -> None:
    """The same text in batches of different widths has the same logits."""
    model = BertClassifier(EelbertBackbone(CONFIG), 2, vocabulary=VOCABULARY)
    alone = model.predict(["the cat sat"], verbose=0)
    beside = model.predict(["the cat sat", "the mat " * 20], batch_size=2, verbose=0)
    np.testing.assert_allclose(alone[0], beside[0], rtol=0, atol=1e-6)


def test_saved_with_its_vocabulary(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fine-tuned baseline is saved, evaluated and loaded like any model; only TFLite has no place for its pieces."""
    rows = [f"the cat is {word} !,{label}" for word, label in (("good", "yes"), ("bad", "no"))] * 8
    (tmp_path / "train.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    output = tmp_path / "model"
    words = ["--train", tmp_path / "train.csv", "--preset", folder, "--output", output, "--learning-rate", 5e-3]
    assert main(["finetune", *map(str, words), "--epochs", "30", "--batch-size", "8"]) == 0
    assert main(["evaluate", "--model", str(output), "--test", str(tmp_path / "train.csv")]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] == 1.0
    model = load_classifier(output)
    assert model.vocabulary == VOCABULARY
    assert main(["convert", "--model", str(output), "--output", str(tmp_path / "model.tflite")]) == 2
    assert "only hashed models can be converted" in capsys.readouterr().err
