"""The sequences that training reads from a corpus: each word once in an epoch, and the same ones for the same seed."""

import subprocess
import sys

import numpy as np
import pytest

from eelbert_tf.errors import InputError
from eelbert_tf.training.corpus.reader import Corpus
from tests.small_corpora import build, documents_of, numbered


@pytest.fixture(name="tagged")
def numbered_corpus() -> Corpus:
    """Many documents in many shards."""
    return numbered()


@pytest.mark.parametrize("sequence_length", [3, 10, 64, 1000])
def test_every_training_word_comes_once_in_an_epoch(tagged, sequence_length):
    train, held_out = tagged.sequences(sequence_length, seed=3), tagged.sequences(sequence_length, split="validation")
    assert len(held_out.documents) == 2
    assert not set(train.documents) & set(held_out.documents)
    assert len(train.documents) + len(held_out.documents) == tagged.num_documents
    for sequences in (train, held_out):
        words = np.concatenate([tagged.document(n) for n in sequences.documents])
        expected = np.bincount(words, minlength=len(tagged.words))
        for epoch in range(2):
            rows = sequences.rows(np.arange(len(sequences)) + epoch * len(sequences))
            assert rows.dtype == np.int32
            assert rows.shape == (len(sequences), sequence_length - 2)
            assert (np.bincount(rows[rows >= 0], minlength=len(tagged.words)) == expected).all()


def test_a_sequence_is_consecutive_words_of_one_document(tagged):
    sequences = tagged.sequences(34, seed=1)
    documents = documents_of(tagged)
    joined = b" | ".join(b" " + document + b" " for document in documents)
    short = 0
    for row in sequences.batch(0, len(sequences)):
        words = row[row >= 0]
        assert (row[len(words) :] == -1).all()
        text = b" ".join(tagged.words[i] for i in words)
        assert b" " + text + b" " in joined
        short += len(words) < 8 and all(len(document.split()) != len(words) for document in documents)
    assert short == 0


def test_random_access_repeats_and_seeds_differ(tagged):
    one, two = tagged.sequences(64, seed=5), Corpus(tagged.directory).sequences(64, seed=5)
    batches = [one.batch(step, 16) for step in range(200)]
    assert 2 * len(one) < 200 * 16  # over the borders of epochs
    for step in reversed(range(0, 200, 7)):
        assert (two.batch(step, 16) == batches[step]).all()
    assert (two.batch(3, 32) == np.concatenate(batches[6:8])).all()
    assert (two.rows(np.array([7 * 16 + 3]))[0] == batches[7][3]).all()
    assert not (tagged.sequences(64, seed=6).batch(0, 16) == batches[0]).all()
    n = len(one)
    assert not (one.rows(np.arange(n)) == one.rows(np.arange(n, 2 * n))).all()


def test_sequences_need_two_documents(tmp_path):
    corpus = build(tmp_path, b"one document")
    with pytest.raises(InputError, match="single document"):
        corpus.sequences(64)
    with pytest.raises(ValueError, match="sequence_length=2"):
        corpus.sequences(2)
    with pytest.raises(ValueError, match="split='test'"):
        corpus.sequences(64, split="test")


def test_reading_needs_neither_tensorflow_nor_keras(tagged):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'jax', 'tensorflow_datasets']))\n"
        "import pickle; from eelbert_tf.training.corpus.reader import Corpus\n"
        f"corpus = Corpus({str(tagged.directory)!r})\n"
        "assert pickle.loads(pickle.dumps(corpus)).sequences(64).batch(0, 8).shape == (8, 62)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
