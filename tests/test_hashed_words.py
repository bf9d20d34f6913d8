"""Words that are hashed once for a training: the encoder gets what it would get from bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.preprocessing import hashed_words as module
from eelbert_tf.preprocessing.hashed_words import HashedBatches, WordHashes, batch_widths, hashed_words
from eelbert_tf.text.strings import encode_texts
from tests.forms import hard_texts

pytestmark = pytest.mark.usefixtures("untraced")

WORDS = ["turn", "the", "lamp", "radio", "on", "off", "please", "now", "again", "slowly"]
TEXTS = [f"{WORDS[i % 10]} {WORDS[i % 7]} {WORDS[i % 3]}" for i in range(40)]
LABELS = ["a" if i % 10 < 5 else "b" for i in range(40)]


@pytest.mark.parametrize("kind", ["single", "pair", "normalized"])
def test_the_encoder_gets_the_same(rich: EelbertConfig, kind: str) -> None:
    """Embeddings before positions, mask and segments of hard texts, cut ones among them."""
    config = rich.replace(hash=HashConfig(widths=(6, 5), normalization=1)) if kind == "normalized" else rich
    pair = kind == "pair"
    backbone = EelbertBackbone(config, pair=pair)
    texts: list[Any] = [text.rstrip(b"\0") for text in hard_texts(60)]
    texts += [
        b"",
        b"a",
        b"word " * 90,
        b"w" * 500,
        "naïve 漢字 ".encode() * 40,
        "x" * 396 + "漢字",
        "x " * 198 + "漢字",
    ]
    if pair:
        texts = [(text, texts[-1 - i]) for i, text in enumerate(texts)]
    hashes = WordHashes(config, pair)
    found = hashed_words(texts, hashes)
    order = np.arange(len(texts))
    expected, mask, segments = backbone.embed(encode_texts(texts, config.max_bytes))
    embeddings, our_mask, our_segments = backbone.embed(found.batch(order))
    width = our_mask.shape[1]
    assert not np.asarray(mask)[:, width:].any()
    np.testing.assert_array_equal(our_mask, np.asarray(mask)[:, :width])
    np.testing.assert_array_equal(np.asarray(our_segments), np.asarray(segments)[:, :width])
    np.testing.assert_allclose(embeddings, np.asarray(expected)[:, :width], atol=2e-6)
    assert found.token_counts.tolist() == np.asarray(mask).sum(axis=1).tolist()
    once = len(hashes.embeddings)
    stream = HashedBatches(hashes)(texts[:9])
    assert len(hashes.embeddings) == once
    np.testing.assert_array_equal(stream["embeddings"][:, :4], found.batch(order[:9])["embeddings"][:, :4])


def test_batch_widths() -> None:
    """One width for few texts; more where they save more than they take to compile; the last one holds all."""
    assert batch_widths(np.array([5, 9]), 128) == [16]
    assert batch_widths(np.array([5, 130]), 128) == [128]
    counts = np.array([12] * 9000 + [40] * 5000 + [100] * 2000)
    assert batch_widths(counts, 128) == [16, 40, 104]
    assert batch_widths(counts, 128, passes=30) == [16, 40, 104]
    assert batch_widths(counts[::200], 128) == [104]
    for n in (1, 50, 100_000):
        spread = np.random.default_rng(n).integers(1, 128, n)
        widths = batch_widths(spread, 128, 12)
        assert 1 <= len(widths) <= 4
        assert sorted(set(widths)) == widths
        assert widths[-1] >= spread.max()


def test_too_many_words(tiny: EelbertConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table gives way to bytes; in a stream it begins anew."""
    monkeypatch.setattr(module, "MOST_WORDS", 4)
    model = EelbertClassifier(EelbertBackbone(tiny), labels=["a", "b"])
    assert hashed_words(TEXTS, WordHashes(tiny)) is None
    assert set(model.ready(TEXTS, model.word_hashes()).batch(np.arange(2))) == {"bytes", "padding_mask"}
    stream = HashedBatches(WordHashes(tiny))
    for text in ("one two three", "four five six", "one two"):
        found = stream([text])
        expected = WordHashes(tiny).encode([text])
        assert found["padding_mask"].sum() == len(expected[0])
        assert np.abs(found["embeddings"][0, 1]).sum() > 0


def test_callbacks_and_a_backup(tiny: EelbertConfig, tmp_path: Path) -> None:
    """A training that was interrupted goes on as if it had not been, beside Keras's other callbacks."""
    config = tiny.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

    def fresh() -> EelbertClassifier:
        keras.utils.set_random_seed(1)
        return EelbertClassifier(EelbertBackbone(config), labels=["a", "b"], dropout=0.0)

    whole = fresh()
    whole.fit(TEXTS, LABELS, batch_size=8, epochs=3, verbose=0)

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    keep = tmp_path / "backup"
    stopped = fresh()
    callbacks = [keras.callbacks.BackupAndRestore(keep), Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(TEXTS, LABELS, batch_size=8, epochs=3, verbose=0, callbacks=callbacks)
    resumed = fresh()
    files = keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True)
    early = keras.callbacks.EarlyStopping("val_accuracy", patience=5, restore_best_weights=False)
    history = resumed.fit(
        TEXTS,
        LABELS,
        batch_size=8,
        epochs=3,
        verbose=0,
        validation_data=(TEXTS[:5], LABELS[:5]),
        callbacks=[keras.callbacks.BackupAndRestore(keep), files, early],
    )
    assert history.epoch == [2]
    assert (tmp_path / "best.weights.h5").is_file()
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_report_of_a_classifier(tiny: EelbertConfig, tmp_path: Path) -> None:
    """From Python: figures, and a page; labels that the model does not know count as wrong."""
    model = EelbertClassifier(EelbertBackbone(tiny), labels=["a", "b"])
    found = model.report(TEXTS[:4], ["a", "b", "new", 0], tmp_path / "test.html")
    assert found["n"] == 4
    assert found["unseen_labels"] == {"new": 1}
    assert (tmp_path / "test.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "test.json").is_file()
    with pytest.raises(ValueError, match="Expected texts and a label for each"):
        model.report(TEXTS, LABELS[:3])
