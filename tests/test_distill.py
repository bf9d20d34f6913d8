"""Learning from a sentence teacher: foreign weights, sentences, the teacher's embeddings, and a student."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.preprocessing.wordpiece import WordPiece
from eelbert_tf.saving.huggingface import is_foreign
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.corpus.sentences import sample
from eelbert_tf.training.distill import teachers
from eelbert_tf.training.objectives.teacher import TeacherTargets
from eelbert_tf.training.pretrain import settings
from eelbert_tf.training.tokens.masking import Specials
from tests.configs import STUDENT
from tests.conftest import randomize
from tests.small_berts import BERT, PIECES, write_bert
from tests.small_corpora import shared

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights."""
    keras.utils.set_random_seed(0)
    return write_bert(tmp_path_factory.mktemp("teacher") / "bert", randomize(EelbertBackbone(BERT)))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Some thousand sentences of a few words each."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 4)) for _ in range(60)]

    def sentence() -> str:
        return " ".join(rng.choice(words, rng.integers(2, 12))) + str(rng.choice([" .", " ?", ' !"', ""]))

    documents = ["\n".join(" ".join(sentence() for _ in range(8)) for _ in range(3)) for _ in range(60)]
    return shared("sentences", lambda: "\n\n".join(documents).encode())


def test_foreign_weights(teacher: Path) -> None:
    """A model in Hugging Face's layout gives what the model gave that it was written from."""
    keras.utils.set_random_seed(0)
    original = randomize(EelbertBackbone(BERT))
    loaded = EelbertBackbone.from_preset(teacher, max_tokens=16)
    assert loaded.config.max_tokens == 16
    batch = WordPiece(PIECES, max_tokens=16)(["abc de. f", "gh"])
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_allclose(loaded(batch)[name], original(batch)[name], rtol=0, atol=1e-6)


def test_foreign_weights_are_checked(teacher: Path, tmp_path: Path) -> None:
    """Something else than BERT, a cut-off file, a missing weight and a foreign vocabulary are refused by name."""
    config = json.loads((teacher / "config.json").read_text())
    weights = (teacher / "model.safetensors").read_bytes()
    cases = (
        ({**config, "model_type": "roberta"}, weights, "found roberta"),
        (config, weights[:1000], "not a BERT model in Hugging Face's layout"),
        ({**config, "num_hidden_layers": 3}, weights, "has no encoder.layer.2"),
        (
            {**config, "intermediate_size": 41},
            weights,
            r"intermediate/kernel.* has shape \(24, 40\), .* asks for \(24, 41\)",
        ),
        ({**config, "vocab_size": 10}, weights, "58 pieces"),
    )
    for fields, data, message in cases:
        (tmp_path / "config.json").write_text(json.dumps(fields))
        (tmp_path / "model.safetensors").write_bytes(data)
        (tmp_path / "vocab.txt").write_bytes((teacher / "vocab.txt").read_bytes())
        with pytest.raises(InputError, match=message):
            EelbertBackbone.from_preset(tmp_path)
    assert is_foreign(teacher)
    assert not is_foreign(tmp_path / "none")


def test_sentences(corpus: Corpus) -> None:
    """The sentences are those that plain Python finds in each document, every one at most once."""
    expected = []
    for number in range(corpus.num_documents):
        text = b" ".join(corpus.words[i] for i in corpus.document(number))
        expected += [part.strip() for part in re.findall(rb'.+?(?: [.?!](?: ")?(?= |$)|$)', text)]
    found = sample(corpus, 10**9, 30, least=1)
    rows = [b" ".join(corpus.words[i] for i in row if i >= 0) for row in found.rows(np.arange(len(found)))]
    assert sorted(rows) == sorted(s for s in expected if s and len(s.split()) <= 30)
    few = sample(corpus, 100, 10, least=4)
    assert len(few) == len(set(few.starts)) == 100
    assert 4 <= few.lengths.min() <= few.lengths.max() <= 10


def test_epochs(corpus: Corpus) -> None:
    """Each epoch has every sentence once, in an order of its own, and any step can be had alone."""
    train, held_out = sample(corpus, 96, 12).split(16)
    assert len(train) == 80
    assert len(held_out) == 16
    epochs = [np.concatenate([train.batch(step, 16)[:, 0] for step in range(5 * e, 5 * e + 5)]) for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(80))
    assert not np.array_equal(*epochs)
    np.testing.assert_array_equal(train.batch(7, 16), train.batch(7, 16))
    numbers = train.batch(3, 16)[:, 0]
    np.testing.assert_array_equal(train.batch(3, 16)[:, 1:], train.rows(numbers))
    assert set(held_out.batch(0, 16)[:, 0]) == set(range(80, 96))


def test_targets(teacher: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean-pooled embeddings but for a rotation, and those of words; an interrupted teacher goes on."""
    monkeypatch.setattr(teachers, "_PART", 32)
    few = sample(corpus, 100, 12)
    texts = [b" ".join(corpus.words[i] for i in row if i >= 0).decode() for row in few.rows(np.arange(100))]
    encoder = EelbertSentenceEncoder.from_preset(teacher)
    expected = encoder.predict(texts, verbose=0)
    with pytest.raises(ValueError, match=r"build it with `preprocessor=WordPiece\(vocabulary\)`"):
        EelbertSentenceEncoder(encoder.backbone).predict(texts)

    asked: list[int] = []
    load = teachers.load_teacher

    def tired(*args: Any) -> teachers.Embed:
        embed = load(*args)

        def answer(rows: np.ndarray) -> np.ndarray:
            asked.append(len(rows))
            if len(asked) == 3:  # the projection, a part, and then no more
                raise KeyboardInterrupt
            return embed(rows)

        return answer

    monkeypatch.setattr(teachers, "load_teacher", tired)
    with pytest.raises(KeyboardInterrupt):
        teachers.teacher_targets(str(teacher), few, 24)
    found = teachers.teacher_targets(str(teacher), few, 24)
    assert asked == [100, 32, 32, 32, 32, 4]
    sentences = found[:, 0].astype(np.float32)
    np.testing.assert_allclose(sentences @ sentences.T, expected @ expected.T, rtol=0, atol=3e-3)
    row = int(few.lengths.argmax())
    assert encoder.preprocessor is not None
    first = encoder.preprocessor([texts[row]])
    output = np.asarray(encoder.backbone(first)["sequence_output"])[0]
    counts = [1 if word == "." else len(word) for word in texts[row].split()]  # pieces: one a letter
    ends = 1 + np.cumsum(counts)
    means = np.stack([output[end - count : end].mean(axis=0) for end, count in zip(ends, counts, strict=True)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    words = found[row, 1 : 1 + len(counts)].astype(np.float32)
    np.testing.assert_allclose(words @ words.T, means @ means.T, rtol=0, atol=3e-3)
    assert not found[row, 1 + len(counts) :].any()
    again = teachers.teacher_targets(str(teacher), few, 24)
    np.testing.assert_array_equal(again, found)
    assert len(asked) == 6


@pytest.mark.parametrize("paired", [0.0, 1.0])
def test_batches(paired: float) -> None:
    """Each word stands once with what the teacher says of it; a second sentence follows the first one's [SEP]."""
    rng = np.random.default_rng(0)
    lengths = np.array([2, 6, 3, 4])
    targets = rng.normal(size=(9, 1 + 6, 4)).astype(np.float16)
    rows = np.full((4, 1 + 6), -1, np.int32)
    for i, length in enumerate(lengths):
        rows[i, 0] = 4 + i
        rows[i, 1 : 1 + length] = 10 * i + np.arange(length)
        targets[4 + i, 1 + length :] = 0
    batch = TeacherTargets(Specials(100, 101, 102, 103), targets, paired)(rows, rng)
    ids, sides = batch["token_ids"], batch["sides"]
    shape = (2, 16, 2) if paired else (4, 8, 1)
    assert sides.shape == shape
    np.testing.assert_array_equal(sides.sum(axis=2), ids != 103)
    np.testing.assert_array_equal(batch["segment_ids"], sides[..., 1] if paired else 0 * ids)
    for i, length in enumerate(lengths):
        row, side = (i % 2, i // 2) if paired else (i, 0)
        words = [10 * i + k for k in range(length)]
        expected = [*([] if side else [100]), *words, 101]
        assert ids[row][sides[row, :, side] > 0].tolist() == expected
        np.testing.assert_array_equal(batch["targets"][row, side], targets[4 + i, 0])
        for k, word in enumerate(words):
            (place,) = np.flatnonzero(ids[row] == word)
            np.testing.assert_array_equal(batch["word_targets"][row, place], targets[4 + i, 1 + k])
    there = np.square(batch["word_targets"]).sum(axis=2) > 0
    np.testing.assert_array_equal(there, ids < 100)


def distill(*words: object) -> int:
    return main(["distill", *map(str, words)])


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without XLA, which would compile every width of the sentences; `test_compiled` has one width."""
    monkeypatch.setattr(settings, "RunOptions", functools.partial(settings.RunOptions, jit_compile=False))


def test_compiled(teacher: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With XLA it computes the same."""
    (tmp_path / "student.json").write_text(json.dumps(STUDENT.to_dict()))
    words = ["--teacher", teacher, "--corpus", corpus.directory, "--sentences", 48, "--batch-size", 16]
    words += ["--epochs", 1, "--sequence-length", 8, "--config", tmp_path / "student.json"]
    assert distill(*words, "--output", tmp_path / "compiled") == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "RunOptions", functools.partial(settings.RunOptions, jit_compile=False))
        assert distill(*words, "--output", tmp_path / "interpreted") == 0
    compiled, interpreted = (json.loads(line)["held_out"] for line in capsys.readouterr().out.splitlines())
    assert compiled == pytest.approx(interpreted, rel=1e-3)


@pytest.mark.usefixtures("interpreted")
def test_student(teacher: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A student comes to give the teacher's embeddings, resumes, and can itself be a preset and a teacher."""
    (tmp_path / "student.json").write_text(json.dumps(STUDENT.to_dict()))
    common = ["--teacher", teacher, "--corpus", corpus.directory, "--sentences", 1000, "--batch-size", 32]
    words = [*common, "--config", tmp_path / "student.json", "--output", tmp_path / "student", "--learning-rate", 5e-3]
    assert distill(*words, "--epochs", 4) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["objective"] == "teacher"
    assert report["head_parameters"] == 0
    untrained = [*words[:-4], "--output", tmp_path / "fresh", "--learning-rate", 1e-9]
    assert distill(*untrained, "--epochs", 1) == 0
    before = json.loads(capsys.readouterr().out.splitlines()[-1])["held_out"]
    for name in ("cosine", "word_cosine", "pooled_cosine"):
        assert report["held_out"][name] > before[name] + 0.1
    assert EelbertBackbone.from_preset(tmp_path / "student").config == STUDENT
    assert distill(*words, "--epochs", 5, "--resume") == 2
    assert "was started with settings steps" in capsys.readouterr().err

    small = [tmp_path / "student" if word == teacher else word for word in common]
    assert distill(*small, "--preset", tmp_path / "student", "--output", tmp_path / "second", "--epochs", 1) == 0
    second = json.loads(capsys.readouterr().out.splitlines()[-1])["held_out"]
    assert second["cosine"] > 0.9  # it began as its teacher


@pytest.mark.usefixtures("interpreted")
def test_pairs_of_sentences(teacher: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An encoder that pools by means learns from sentences two at a time as well; others do not."""
    shape = tmp_path / "mean.json"
    shape.write_text(json.dumps(STUDENT.replace(pooling="mean", max_position_embeddings=64).to_dict()))
    words = ["--corpus", corpus.directory, "--sequence-length", 16, "--sentences", 40, "--batch-size", 8]
    options = ["--teacher", teacher, "--config", shape, "--epochs", 30, "--learning-rate", 1e-2]
    assert distill(*words, *options, "--output", tmp_path / "run") == 0
    held_out = json.loads(capsys.readouterr().out.splitlines()[-1])["held_out"]
    assert held_out["cosine"] > 0.5
    backbone = EelbertBackbone.from_preset(tmp_path / "run", pair=True)
    fresh = EelbertBackbone(backbone.config)
    assert not np.allclose(
        backbone.position_embedding[20], fresh.position_embedding[20], atol=0.05
    )  # behind a first text
    assert not np.allclose(backbone.segment_embedding[1], fresh.segment_embedding[1], atol=0.05)


def test_bad_input(teacher: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No teacher, a teacher that is too narrow, a shape given twice: one line each, and nothing is written."""
    common = ["--corpus", corpus.directory, "--output", tmp_path / "out"]
    assert distill(*common, "--teacher", tmp_path / "none") == 2
    assert "none: neither a directory nor a preset" in capsys.readouterr().err
    assert distill(*common, "--teacher", teacher, "--preset", "a", "--config", "eelbert_uno") == 2
    assert "give one of the two" in capsys.readouterr().err
    assert distill(*common, "--teacher", teacher, "--sentences", 200) == 2
    assert "24 dimensions, fewer than the 128" in capsys.readouterr().err
    assert distill(*common, "--teacher", teacher, "--cached-predictions", tmp_path / "answers.npz") == 2
    assert "--cached-predictions: goes with --train, not with --corpus" in capsys.readouterr().err
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.usefixtures("untraced")
def test_sentence_encoder(tmp_path: Path) -> None:
    """Embeddings have length 1, do not depend on the batch, and survive saving."""
    backbone = randomize(EelbertBackbone(STUDENT))
    encoder = EelbertSentenceEncoder(backbone)
    texts = ["a long sentence with many words in it, more than sixteen of them, I should think", "short", ""]
    found = encoder.predict(texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    for text, row in zip(texts, found, strict=True):
        np.testing.assert_allclose(encoder.predict([text])[0], row, rtol=0, atol=1e-6)
    assert encoder.predict([]).shape == (0, 16)
    backbone.save_to_preset(tmp_path / "model")
    again = EelbertSentenceEncoder.from_preset(str(tmp_path / "model"))
    np.testing.assert_allclose(again.predict(texts), found, rtol=0, atol=1e-6)
