"""Texts in WordPieces, and the baseline that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.disk.tables import Table
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.models.task import Task
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.preprocessing.wordpiece import RESERVED, EncodedPieces, WordPiece
from eelbert_tf.saving.checksum import CHECKSUM_FIELD
from eelbert_tf.saving.folders import preset_names
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.training.finetune.candidates import Candidate
from tests.configs import TINY

PIECES = [*RESERVED, *b"the cat sat on mat ##s ##ting un ##known ! . good bad".split()]
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


def bert(pieces: list[bytes] = PIECES) -> EelbertClassifier:
    """A classifier with fresh weights."""
    preprocessor = WordPiece(pieces, max_tokens=CONFIG.max_tokens)
    return EelbertClassifier(EelbertBackbone(CONFIG), 2, preprocessor=preprocessor)


def encode(texts: list[Any]) -> EncodedPieces:
    """Texts as the model reads them."""
    return WordPiece(PIECES, max_tokens=CONFIG.max_tokens).encode(texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as a pretraining run leaves it."""
    EelbertBackbone(CONFIG).save_to_preset(tmp_path / "bert", vocabulary=PIECES)
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
    texts = encode([b" ".join(words)])
    np.testing.assert_array_equal(texts.ids[0][1:-1], expected)


def test_batches() -> None:
    """Pairs are cut on their longer side, and batches are as narrow as their texts allow."""
    texts = encode(["the cat", ("the cat sat", "the mat " * 20), ""])
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
    predict = Candidate(str(folder), batch_size=8).train(train, ("0", "1"), 5e-3, 0, epochs=6)
    assert predict(["the cat is good !", "the cat is bad !"]) == ["1", "0"]
    fresh = Candidate(f"scratch:{folder}", batch_size=8)
    assert fresh.name == "bert from scratch"
    assert fresh.train(train, ("0", "1"), 5e-3, 0, epochs=6)(["the cat is good !"]) == ["1"]


def test_vocabulary_is_checked(folder: Path) -> None:
    """A missing vocabulary and one of another model are refused, by every way to a model that reads texts."""

    def rewrite(pieces: list[bytes]) -> None:
        """As one does who knows of the checksum."""
        (folder / "vocab.txt").write_bytes(b"\n".join(pieces) + b"\n")
        fields = json.loads((folder / "config.json").read_text())
        for name in ("vocabulary_sha256", CHECKSUM_FIELD):
            fields.pop(name, None)
        (folder / "config.json").write_text(json.dumps(fields))

    loads: tuple[Callable[[], Task], ...] = (
        lambda: EelbertClassifier.from_preset(folder, num_classes=2),
        lambda: EelbertSentenceEncoder.from_preset(folder),
    )
    for pieces, message in (
        ([*PIECES, b"more"], "19 pieces, more than the 18 of the model"),
        (PIECES[:3] + PIECES[4:], r"Missing: \['\[SEP\]'\]"),
    ):
        rewrite(pieces)
        for load in loads:
            with pytest.raises(InputError, match=message) as caught:
                load()
            assert str(caught.value).startswith(f"{folder / 'vocab.txt'}: ")
            assert "\n" not in str(caught.value)
    (folder / "vocab.txt").unlink()
    for load in loads:
        with pytest.raises(InputError, match=r"vocab.txt: .*a model with a vocabulary needs its pieces"):
            load()
    EelbertBackbone.from_preset(folder)  # it takes ids of pieces


def test_reserved_pieces_stand_anywhere(tmp_path: Path) -> None:
    """A vocabulary that others have made is kept and read as it is."""
    pieces = PIECES[5:] + PIECES[:5]
    bert(pieces).save_to_preset(tmp_path / "model")
    assert read_stored(tmp_path / "model").vocabulary == pieces
    again = EelbertClassifier.from_preset(tmp_path / "model").preprocessor
    assert isinstance(again, WordPiece)
    assert again(["cat"])["token_ids"][0, :4].tolist() == [
        pieces.index(p) for p in (b"[CLS]", b"cat", b"[SEP]", b"[PAD]")
    ]


def test_a_damaged_vocabulary_is_seen(tmp_path: Path) -> None:
    """Another letter is another piece, and the model would read other texts than it was trained on."""
    bert().save_to_preset(tmp_path / "model")
    assert read_stored(tmp_path / "model").vocabulary == PIECES
    path = tmp_path / "model" / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"cat", b"cau"))
    with pytest.raises(InputError, match="vocab.txt: damaged: its checksum differs"):
        EelbertClassifier.from_preset(tmp_path / "model")


def test_preprocessors_from_presets_and_folders(tmp_path: Path) -> None:
    """Those of models, with other limits too, and such as were saved by themselves, bytes of any kind in the pieces."""
    assert sorted(HashedTexts.presets) == preset_names()
    assert WordPiece.presets == {}
    whole = HashedTexts.from_preset("uno_en")
    limits = {"max_tokens": 128, "max_bytes": 512, "max_windows": 1, "window_overlap": 0}
    assert whole.get_config() == {**limits, "pair": False, "normalization": 1}
    hashed = HashedTexts.from_preset("uno_en", pair=True, max_tokens=32)
    assert hashed.get_config() == {**whole.get_config(), "pair": True, "max_tokens": 32}
    bert([*PIECES[:-1], b"\xff"]).save_to_preset(tmp_path / "model")
    pieces = WordPiece.from_preset(tmp_path / "model", max_tokens=16)
    assert (pieces.max_tokens, pieces.vocabulary[-1]) == (16, b"\xff")
    for made, name in ((whole, "hashed"), (hashed, "hashed"), (pieces, "pieces")):
        made.save_to_preset(tmp_path / name)
        assert type(made).from_preset(tmp_path / name).get_config() == made.get_config()
    assert WordPiece.from_preset(tmp_path / "pieces", pair=True, max_tokens=8).get_config()["max_tokens"] == 8
    cases: tuple[tuple[Any, Any, str], ...] = (
        (WordPiece, "uno_en", "uno_en: is a model that does not read what a `WordPiece` makes"),
        (HashedTexts, tmp_path / "model", "does not read what a `HashedTexts` makes"),
        (HashedTexts, tmp_path / "pieces", "holds a `WordPiece`, no `HashedTexts`"),
        (HashedTexts, tmp_path / "none", "neither a directory nor a preset"),
    )
    for cls, place, message in cases:
        with pytest.raises(InputError, match=message):
            cls.from_preset(place)
    with pytest.raises(InputError, match="model"):
        pieces.save_to_preset(tmp_path / "model")
    assert read_stored(tmp_path / "model").vocabulary == [*PIECES[:-1], b"\xff"]
    path = tmp_path / "hashed" / "preprocessor.json"
    path.write_text(path.read_text().replace("32", "16"))
    with pytest.raises(InputError, match="preprocessor.json: damaged, or of another version than 1"):
        HashedTexts.from_preset(tmp_path / "hashed")


@pytest.mark.usefixtures("untraced")
def test_pads_do_not_matter() -> None:
    """The same text in batches of different widths has the same logits."""
    model = bert()
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
    assert read_stored(output).vocabulary == PIECES
    assert main(["convert", "--model", str(output), "--output", str(tmp_path / "model.tflite")]) == 2
    assert "only hashed models can be converted" in capsys.readouterr().err
