"""The words of a corpus: how text is split, which ones are kept, and the tables of their embeddings."""

import os
import random
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.errors import InputError
from eelbert_tf.text.reference import embed_token, lexicon_index, tokenize
from eelbert_tf.text.words import clean, split_words
from eelbert_tf.tflite.checks.hard_texts import PIECES
from eelbert_tf.training.corpus import counting as corpus_tokens
from eelbert_tf.training.corpus.counting import MAX_WORD_LENGTH, Segment, count_words
from eelbert_tf.training.corpus.reader import UNKNOWN
from eelbert_tf.training.tokens.tables import embedding_table, lexicon_table
from eelbert_tf.training.tokens.words import WordTables
from tests.small_corpora import build, documents_of, numbered_text

NASTY = [
    *(bytes([c]) for c in range(256)),
    *(
        s.encode()
        for s in ("Straße", "don’t", "漢字", "，", "。", "\u3000", "\u00a0", "\u2003", "…", "\u2064", "\u2070", "™")
    ),
    *(s.encode() for s in ("😀", "𝕆", "カタカナ", "한국", "豈", "ﬁ", "A.B", "naïve ", "\r\n\r\n", "Word")),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(NASTY), max_size=40).map(b"".join) | st.binary(max_size=60))
def test_words_are_those_of_the_reference(data):
    assert split_words(data) == tokenize(data, 10**9, 10**9).first


def test_words_are_those_of_the_reference_on_long_random_bytes():
    rng = np.random.default_rng(0)
    leads = np.array([0x20, 0x41, 0x80, 0x8F, 0x90, 0xA0, 0xBF, 0xC2, 0xE2, 0x81, 0xE3, 0xE4, 0xEF, 0xA4, 0xF0, 0x9F])
    for data in (rng.integers(0, 256, 200_000), rng.choice(leads, 200_000)):
        text = data.astype(np.uint8).tobytes()
        assert split_words(text) == tokenize(text, 10**9, 10**9).first


@pytest.mark.parametrize("slice_bytes", [1, 7, 64, 1 << 20])
def test_cutting_the_work_into_slices_changes_no_word(monkeypatch, slice_bytes):
    monkeypatch.setattr(corpus_tokens, "_SLICE_BYTES", slice_bytes)
    data = b"".join(random.Random(1).choices(NASTY, k=3000)).replace(b"\n", b" ")
    counted = count_words([Segment("documents", clean(data))])
    assert [counted.words[i] for i in counted.ids] == split_words(data)
    assert counted.lengths.sum() == counted.counts.sum() == len(counted.ids)


@pytest.mark.parametrize("slice_bytes", [7, 1 << 20])
def test_normalized_words_of_a_corpus(monkeypatch, tmp_path, slice_bytes):
    """With `normalization=1` they are the reference's, whatever the slices; an unfinished corpus of 0 is not reused."""
    monkeypatch.setattr(corpus_tokens, "_SLICE_BYTES", slice_bytes)
    pieces = [*NASTY, *PIECES, *(c.encode() for c in "É ß ﾊ Ａ ไม่ й \u00ad \u2028 ، 。 ₂ e\u0301")]
    data = b"".join(random.Random(1).choices(pieces, k=3000)).replace(b"\n", b" ")
    counted = count_words([Segment("documents", clean(data), 1)])
    expected = tokenize(data, 10**9, 10**9, normalization=1).first
    assert [counted.words[i] for i in counted.ids] == expected
    plain = build(tmp_path, "État d’ÉTAT".encode())
    with pytest.raises(InputError, match="a corpus of other inputs or options"):
        build(tmp_path, "État d’ÉTAT".encode(), normalization=1)
    corpus = build(tmp_path, "État d’ÉTAT".encode(), normalization=1, overwrite=True)
    assert documents_of(corpus) == ["etat d ’ etat".encode()]
    assert (plain.normalization, corpus.normalization) == (0, 1)
    config = EelbertConfig(hidden_size=8, hash=HashConfig(widths=(4, 4)))
    with pytest.raises(InputError, match=r"normalization 1, and the model's hash 0; .*--normalization 0"):
        WordTables(corpus, config)
    WordTables(corpus, config.replace(hash=HashConfig(widths=(4, 4), normalization=1)))


def test_a_very_long_word_is_cut(tmp_path):
    corpus = build(tmp_path, b"a " + b"x" * 2000 + b" b\n\nc " + b"x" * 3000)
    assert documents_of(corpus) == [b"a " + b"x" * MAX_WORD_LENGTH + b" b", b"c " + b"x" * MAX_WORD_LENGTH]
    assert len(corpus.words) == 4


def test_ids_follow_frequency_then_bytes(tmp_path):
    corpus = build(tmp_path, "b b c c a ÿ ÿ ÿ z".encode())
    assert list(corpus.words) == ["ÿ".encode(), b"b", b"c", b"a", b"z"]
    assert corpus.words[1:3] == [b"b", b"c"]
    assert corpus.counts.tolist() == [3, 2, 2, 1, 1]
    assert [corpus.vocabulary_size(n) for n in (1, 2, 3, 4)] == [5, 3, 1, 0]
    assert corpus.vocabulary_size(max_size=2) == 2


def test_rare_words_are_pruned_with_a_note_and_exact_counts(tmp_path):
    rng = random.Random(0)
    words = [f"w{int(rng.paretovariate(0.7)) % 5000}" for _ in range(20_000)]
    notes: list[str] = []
    listener = types.SimpleNamespace(add=lambda part: None, note=notes.append)
    corpus = build(tmp_path, "\n".join(words).encode(), part_bytes=3000, max_words=50, listener=listener)
    assert len(corpus.words) == 51
    assert corpus.words[50] == UNKNOWN
    assert corpus.counts.sum() == len(words)
    assert corpus.vocabulary_size() == 50
    for word, count in zip(corpus.words[:50], corpus.counts, strict=False):
        assert words.count(word.decode()) == count
    assert any("distinct words" in note for note in notes)


@pytest.mark.parametrize(
    "config", [HashConfig(widths=(5, 4)), HashConfig((3, 3, 2), boundaries=True, word_width=4, pooling="sqrtn")]
)
def test_the_tables_are_those_of_the_reference(tmp_path, config):
    words = [
        b"a is the Word straightforwardness \xc3\xbf\xc2\x80 \xf0\x9f\x98\x80",
        b"x" * 64,
        b"yz" * 50,
        b"longer" * 85,
    ]
    corpus = build(tmp_path, b" ".join([*words, numbered_text(5)]))
    table, rows = embedding_table(corpus, config), lexicon_table(corpus, config, 256)
    assert table.shape == (len(corpus.words), config.size)
    assert table.dtype == np.float32
    assert rows.dtype == np.int32
    np.testing.assert_allclose(table, np.stack([embed_token(w, config) for w in corpus.words]), 1e-5, 1e-6)
    assert rows.tolist() == [lexicon_index(w, config, 256) for w in corpus.words]


def test_a_table_is_kept_and_repaired(tmp_path):
    corpus, config = build(tmp_path, numbered_text(20)), HashConfig(widths=(4, 4))
    expected = np.array(embedding_table(corpus, config))
    (path,) = (corpus.directory / "cache").iterdir()
    written = path.stat().st_mtime_ns
    embedding_table(corpus, config)
    assert path.stat().st_mtime_ns == written
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 1
    for damaged in (good[:-4], bytes(len(good)), flipped):
        path.write_bytes(damaged)
        assert (embedding_table(corpus, config) == expected).all()
    embedding_table(corpus, HashConfig(widths=(4, 4), seed=1))
    assert len(list((corpus.directory / "cache").iterdir())) == 2


def test_a_full_disk_under_a_table(tmp_path, small_disk):
    """A write through a mapping would end the process: room is taken before."""
    corpus = build(tmp_path, numbered_text(20))
    with pytest.raises(InputError, match="cannot write: the disk is full"):
        embedding_table(corpus, HashConfig(), small_disk)
    assert os.listdir(small_disk) == []
