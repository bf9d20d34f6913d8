"""What a step learns from: every objective learns a corpus with structure, and computes what it says."""

from __future__ import annotations

import numpy as np
import pytest

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.wordpiece import encode_word
from eelbert_tf.training.pretrain.run import build_model, pretrain
from eelbert_tf.training.pretrain.settings import RunOptions, Settings
from eelbert_tf.training.tokens.pieces import corpus_pieces
from tests.configs import TINY
from tests.small_corpora import build, topical

pytestmark = pytest.mark.usefixtures("undrawn")

OPTIONS = RunOptions(log_every=50, eval_every=1000, jit_compile=False, quiet=True)
SMALL = TINY.replace(hidden_size=32, intermediate_size=32, hash=HashConfig(widths=(11, 11, 10)))
# Everything that a hashed model can have: its hash narrower than the encoder, a lexicon, boundaries.
RICH = SMALL.replace(
    hash=HashConfig(widths=(8, 8), boundaries=True, word_width=4, pooling="sqrtn"), lexicon_size=64, lexicon_width=4
)
BERT = SMALL.replace(hash=None, vocab_size=80)


def unigram_entropy(counts: np.ndarray) -> float:
    """The loss of a model that knows words' frequencies and nothing else, in nats."""
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (SMALL, {"objective": "mlm"}),
        (RICH, {"objective": "open"}),
        (BERT, {"objective": "mlm"}),
    ],
    ids=["mlm", "open-rich", "wordpiece"],
)
def test_masked_words_are_learned(tmp_path, config, options):
    """Loss and held-out loss fall well below what word frequencies alone give."""
    settings = Settings(steps=250, batch_size=32, sequence_length=16, learning_rate=1e-2, **options)
    report = pretrain(topical(), config, settings, tmp_path / "run", OPTIONS)
    baseline = unigram_entropy(topical().counts)
    assert 2.5 < baseline < 3
    assert report["loss"] < 0.8 * baseline
    assert report["held_out"]["loss"] < 0.8 * baseline
    assert report["held_out"]["accuracy"] > 0.33  # "of", every third word
    if config is BERT:  # the folder holds what the rows of its table stand for
        vocabulary = (tmp_path / "run" / "vocab.txt").read_bytes().splitlines()
        assert vocabulary == corpus_pieces(topical(), 80).vocabulary


def test_replaced_words_are_found(tmp_path):
    """The loss falls below that of a model that knows the share of replaced words alone."""
    settings = Settings(
        steps=300,
        batch_size=32,
        sequence_length=16,
        learning_rate=5e-3,
        objective="replaced",
        mask_rate=0.3,
    )
    report = pretrain(topical(), SMALL, settings, tmp_path / "run", OPTIONS)
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert log[0].endswith("loss,accuracy,recall,held_out_loss,held_out_accuracy,held_out_recall")
    recall = float(log[-1].split(",")[7])
    assert recall > 0.03  # a model that knows the share alone never says "replaced"
    assert report["loss"] < 0.48  # and has a loss of 0.52


def reference_softmax_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """The mean negative log probability of the targets, -1 left out, in double precision."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-np.mean([row[target] for row, target in zip(log, targets, strict=True) if target >= 0]))


def batch_and_model(config: EelbertConfig, **options):
    from keras import ops

    settings = Settings(steps=10, batch_size=4, sequence_length=16, output_words=20, mask_rate=0.3, **options)
    model = build_model(topical(), config, settings)
    tokens = model.objective.tokens
    rows = topical().sequences(tokens.words_per_row(16) + 2, 0).batch(0, 4)
    batch = model.objective.corruption(16)(rows, np.random.default_rng(0))
    return model, {name: ops.convert_to_tensor(array) for name, array in batch.items()}


def test_mlm_loss_is_the_cross_entropy():
    """By the plain formula, from the vectors of the words and the encoder's whole output."""
    from keras import ops

    model, batch = batch_and_model(RICH, objective="mlm")
    objective, backbone = model.objective, model.backbone
    objective.output_bias.assign(np.linspace(-1, 1, 20))
    whole = backbone(objective.tokens(batch["token_ids"]))["sequence_output"]  # every position
    x = ops.take_along_axis(whole, ops.expand_dims(batch["positions"], -1), axis=1)
    x = objective.transform_norm(ops.gelu(objective.transform(x), approximate=False))
    embeddings, rows = objective.tokens.first(20)
    vectors = (objective.projection(embeddings) + backbone.lexicon.look_up(rows)) * 32**-0.5
    logits = np.asarray(ops.matmul(x, ops.transpose(vectors)) + objective.output_bias).reshape(-1, 20)
    expected = reference_softmax_loss(logits, np.asarray(batch["targets"]).ravel())
    assert float(model(batch)["loss"]) == pytest.approx(expected, abs=1e-5)


def test_open_loss_excludes_copies_and_unused_positions():
    """Each masked word against the other masked words of the batch, by a loop."""
    from keras import ops

    model, batch = batch_and_model(SMALL, objective="open")
    objective = model.objective
    x = np.asarray(objective.predictions(batch, model.backbone, False))
    targets = np.asarray(batch["targets"]).ravel()
    embeddings, _ = objective.tokens.look_up(ops.convert_to_tensor(np.maximum(targets, 0)))
    logits = x @ np.asarray(embeddings).T * 32**-0.5
    losses = []
    for i in np.flatnonzero(targets >= 0):
        words = [j for j in range(len(targets)) if j == i or (targets[j] >= 0 and targets[j] != targets[i])]
        losses.append(reference_softmax_loss(logits[i : i + 1, words], np.array([words.index(i)])))
    assert len(set(targets[targets >= 0])) < (targets >= 0).sum()  # there are copies
    assert float(model(batch, training=True)["loss"]) == pytest.approx(np.mean(losses), abs=1e-5)


def test_generator_fills_in_masked_words():
    """Its words are masked words of the batch, labelled where they differ from the text's; the rest stays."""
    model, batch = batch_and_model(SMALL, objective="replaced", generator="network")
    generator = model.objective.generator
    _, filled = generator.fill_in(batch)
    targets, positions = np.asarray(batch["targets"]), np.asarray(batch["positions"])
    original, changed = np.asarray(batch["token_ids"]).copy(), np.asarray(filled["token_ids"])
    masked = np.zeros(original.shape, bool)
    for row, slot in zip(*np.nonzero(targets >= 0), strict=True):
        original[row, positions[row, slot]] = targets[row, slot]
        masked[row, positions[row, slot]] = True
    np.testing.assert_array_equal(changed[~masked], original[~masked])
    assert set(changed[masked]) <= set(targets[targets >= 0])
    labels = np.where(original < model.objective.specials.cls, changed != original, -1)
    np.testing.assert_array_equal(filled["replaced"], labels)
    again = generator.fill_in(batch)[1]["token_ids"]
    np.testing.assert_array_equal(again, changed)  # scoring draws no new words, and so moves no random state


def test_wordpieces_spell_their_words():
    """Every word of the corpus is the concatenation of its pieces, and frequent pieces come first."""
    pytest.importorskip("tensorflow_text")
    corpus = topical()
    pieces = corpus_pieces(corpus, 80)
    assert pieces.vocabulary[:5] == [b"[PAD]", b"[UNK]", b"[CLS]", b"[SEP]", b"[MASK]"]
    assert len(set(pieces.vocabulary)) == len(pieces.vocabulary) <= 80
    numbers = {piece: i for i, piece in enumerate(pieces.vocabulary)}
    starts = pieces.ends - pieces.lengths
    for word, start, end in zip(corpus.words, starts, pieces.ends, strict=True):
        ids = pieces.ids[start:end]
        assert ids.tolist() == encode_word(word, numbers)
        spelled = [pieces.vocabulary[i] for i in ids]
        assert not spelled[0].startswith(b"##")
        assert b"".join(piece.removeprefix(b"##") for piece in spelled) == word
    counts = np.bincount(pieces.ids, np.repeat(corpus.counts, pieces.lengths), len(pieces.vocabulary))[5:]
    assert (np.diff(counts) <= 0).all()
    assert encode_word(b"\xff" * 3, numbers) == encode_word(b"of" * 80, numbers) == [1]


def test_wordpieces_without_their_package(tmp_path, monkeypatch):
    """A sentence that says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"eelbert-tf\[text\]"):
        corpus_pieces(build(tmp_path, b"some words\n\nand others"), 30)


def test_replaced_needs_whole_words(tmp_path):
    settings = Settings(steps=1, batch_size=4, sequence_length=16, objective="replaced")
    with pytest.raises(InputError, match="--objective replaced"):
        pretrain(topical(), BERT, settings, tmp_path / "run", OPTIONS)
