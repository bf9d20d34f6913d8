"""Masking on the host: shares, whole words, budgets, and that (seed, step) alone decides."""

from __future__ import annotations

import numpy as np
import pytest

from eelbert_tf.training.tokens.masking import (
    PieceMasking,
    Specials,
    WordMasking,
    WordReplacing,
    add_specials,
    spread_pieces,
)
from eelbert_tf.training.tokens.stream import BatchStream
from tests.small_corpora import topical

WORDS, WIDTH = 500, 62
SPECIALS = Specials.after(WORDS)
RATE = 0.15
MAX_MASKED = round(RATE * (WIDTH + 2))


def rows_of_words(count: int = 400, seed: int = 0) -> np.ndarray:
    """Rows of 1 to 62 words, a quarter of them full: int32 `[count, 62]`."""
    rng = np.random.default_rng(seed)
    lengths = np.where(rng.random(count) < 0.25, WIDTH, rng.integers(1, WIDTH + 1, count))
    rows = rng.integers(0, WORDS, (count, WIDTH)).astype(np.int32)
    rows[np.arange(WIDTH) >= lengths[:, None]] = -1
    return rows


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def restore(batch: dict[str, np.ndarray]) -> np.ndarray:
    """The ids before masking."""
    ids = batch["token_ids"].copy()
    row, slot = np.nonzero(batch["targets"] >= 0)
    ids[row, batch["positions"][row, slot]] = batch["targets"][row, slot]
    return ids


def test_specials_frame_each_row():
    ids = add_specials(np.array([[5, 6, 7], [8, -1, -1]], np.int32), SPECIALS)
    cls, sep, pad = SPECIALS.cls, SPECIALS.sep, SPECIALS.pad
    np.testing.assert_array_equal(ids, [[cls, 5, 6, 7, sep], [cls, 8, sep, pad, pad]])


def test_targets_are_the_words_that_were_there():
    """What was masked can be put back, and nothing else was touched."""
    rows = rows_of_words()
    batch = WordMasking(SPECIALS, RATE, MAX_MASKED, WORDS)(rows, rng())
    np.testing.assert_array_equal(restore(batch), add_specials(rows, SPECIALS))
    assert batch["positions"].shape == batch["targets"].shape == (len(rows), MAX_MASKED)
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}
    used = batch["targets"] >= 0
    assert (batch["positions"][~used] == 0).all()
    for positions, row in zip(batch["positions"], used, strict=True):
        assert len(set(positions[row])) == row.sum()  # no position twice


def test_budget_follows_the_length_of_each_row():
    """A share of the words of each row, rounded; one at least, the number of max_masked at most."""
    rows = rows_of_words()
    batch = WordMasking(SPECIALS, RATE, MAX_MASKED, WORDS)(rows, rng())
    wanted = np.clip(np.rint((rows >= 0).sum(axis=1) * RATE), 1, MAX_MASKED)
    np.testing.assert_array_equal((batch["targets"] >= 0).sum(axis=1), wanted)
    few = WordMasking(SPECIALS, 0.5, 3, WORDS)(rows, rng())
    assert (few["targets"] >= 0).sum(axis=1).max() == 3


def test_eighty_ten_ten():
    rows = rows_of_words(6000)
    batch = WordMasking(SPECIALS, RATE, MAX_MASKED, WORDS)(rows, rng())
    row, slot = np.nonzero(batch["targets"] >= 0)
    put, there = batch["token_ids"][row, batch["positions"][row, slot]], batch["targets"][row, slot]
    count = len(there)
    spread = 4 * np.sqrt(0.25 / count)  # four standard deviations at most
    assert abs((put == SPECIALS.mask).mean() - 0.8) < spread
    assert abs((put == there).mean() - 0.1 - 0.1 / WORDS) < spread
    other = put[(put != SPECIALS.mask) & (put != there)]
    assert abs(len(other) / count - 0.1) < spread
    assert other.max() < WORDS
    assert len(np.unique(other)) > 0.9 * WORDS


def test_every_position_is_as_likely():
    rows = np.zeros((20_000, 20), np.int32)
    batch = WordMasking(SPECIALS, 0.2, 4, WORDS)(rows, rng())
    counts = np.bincount(batch["positions"].ravel(), minlength=22)
    assert counts[0] == counts[21] == 0
    assert abs(counts[1:21] / len(rows) - 0.2).max() < 0.015


def test_only_words_below_the_limit_are_masked_or_drawn():
    """A row without any such word has no target, and stays as it is."""
    rows = rows_of_words()
    rows[0] = WORDS - 1
    batch = WordMasking(SPECIALS, 0.3, 30, 50)(rows, rng())
    assert batch["targets"].max() < 50
    assert (batch["targets"][0] == -1).all()
    np.testing.assert_array_equal(restore(batch), add_specials(rows, SPECIALS))
    changed = batch["token_ids"] != add_specials(rows, SPECIALS)
    put = batch["token_ids"][changed]
    assert ((put < 50) | (put == SPECIALS.mask)).all()


def pieces(longest: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each word's pieces, one to four, with ids that tell words apart."""
    lengths = np.random.default_rng(3).integers(1, longest + 1, WORDS)
    ids = np.arange(lengths.sum(), dtype=np.int32) + 5
    return ids, lengths.cumsum(), lengths


PIECE_SPECIALS = Specials(2, 3, 4, 0)


def test_pieces_stand_for_their_words():
    """Rows hold the pieces of their words in order; a word that does not fit in whole is left out with all after it."""
    ids, ends, lengths = pieces()
    masking = PieceMasking(PIECE_SPECIALS, RATE, MAX_MASKED, len(ids) + 5, WIDTH, ids, ends)
    rows = rows_of_words()
    spread, owner = spread_pieces(rows, masking.pieces, masking.ends, masking.width)
    for row, got, owners in zip(rows, spread, owner, strict=True):
        words = row[row >= 0]
        fitting = words[lengths[words].cumsum() <= WIDTH]
        expected = [piece for word in fitting for piece in ids[ends[word] - lengths[word] : ends[word]]]
        assert got[got >= 0].tolist() == expected
        assert owners[owners >= 0].tolist() == np.repeat(np.arange(len(fitting)), lengths[fitting]).tolist()
        assert (got[len(expected) :] == -1).all()


def test_whole_words_of_pieces_are_masked():
    ids, ends, _ = pieces()
    masking = PieceMasking(PIECE_SPECIALS, RATE, MAX_MASKED, len(ids) + 5, WIDTH, ids, ends)
    rows = rows_of_words()
    batch = masking(rows, rng())
    spread, owner = spread_pieces(rows, masking.pieces, masking.ends, masking.width)
    np.testing.assert_array_equal(restore(batch), add_specials(spread, PIECE_SPECIALS))
    masked = 0
    for positions, targets, owners in zip(batch["positions"], batch["targets"], owner, strict=True):
        chosen = set(positions[targets >= 0] - 1)
        masked += len(chosen)
        assert len(chosen) <= max(1, round((owners >= 0).sum() * RATE))
        for word in {owners[place] for place in chosen}:
            assert set(np.flatnonzero(owners == word)) <= chosen
    assert masked > 0.8 * RATE * (spread >= 0).sum()


def test_words_with_a_rare_piece_are_not_masked():
    ids, ends, _ = pieces()
    limit = 300
    masking = PieceMasking(PIECE_SPECIALS, 0.3, 20, limit, WIDTH, ids, ends)
    rows = rows_of_words()
    batch = masking(rows, rng())
    assert batch["targets"][batch["targets"] >= 0].min() >= 5
    rare = set(np.flatnonzero(ids[ends - 1] >= limit))  # a word's last piece has its highest id
    _, owner = spread_pieces(rows, masking.pieces, masking.ends, masking.width)
    for row, positions, targets, owners in zip(rows, batch["positions"], batch["targets"], owner, strict=True):
        assert not rare & {int(row[owners[place]]) for place in positions[targets >= 0] - 1}


def test_replacements_are_labelled():
    """A label is 1 exactly where a word differs from the text's, 0 at other words, -1 elsewhere."""
    rows = rows_of_words()
    batch = WordReplacing(SPECIALS, RATE)(rows, rng())
    before = add_specials(rows, SPECIALS)
    is_word = before < SPECIALS.cls
    np.testing.assert_array_equal(batch["replaced"] == 1, before != batch["token_ids"])
    np.testing.assert_array_equal(batch["replaced"] == -1, ~is_word)
    assert batch["token_ids"][is_word].max() < WORDS
    assert 0.12 < (batch["replaced"] == 1).sum() / is_word.sum() < 0.17


def test_replacements_come_from_word_pairs():
    """Where words have one predecessor or successor class each, replacements keep to it."""
    generator = np.random.default_rng(0)
    low = generator.integers(0, 100, (300, 31))
    rows = np.stack([low, generator.integers(100, 200, (300, 31))], -1).reshape(300, 62).astype(np.int32)
    batch = WordReplacing(SPECIALS, RATE)(rows, rng())
    before, after = add_specials(rows, SPECIALS), batch["token_ids"]
    changed = batch["replaced"] == 1
    kept = (before < 100) == (after < 100)
    assert changed.sum() > 1000
    assert kept[changed].mean() > 0.97  # any word of the batch stands in for [CLS] and [SEP]


@pytest.mark.parametrize("corrupt", [WordMasking(SPECIALS, RATE, MAX_MASKED, 20), WordReplacing(SPECIALS, RATE)])
def test_seed_and_step_decide(corrupt):
    """The same batch by number, whoever asks and in whatever order; another seed or step gives other masks."""
    sequences = topical().sequences(WIDTH + 2, seed=4)
    first, second = (BatchStream(sequences, corrupt, 8, seed=4) for _ in range(2))
    there, back = [first.batch(i) for i in range(4)], [second.batch(i) for i in (3, 2, 1, 0)][::-1]
    for a, b in zip(there, back, strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    for a, b in zip(there, first.batches(0, 4), strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    other = BatchStream(sequences, corrupt, 8, seed=5).batch(0)
    assert not np.array_equal(other["token_ids"], there[0]["token_ids"])
    assert not np.array_equal(there[0]["token_ids"], there[1]["token_ids"])


def test_workers_and_micro_batches_share_a_batch():
    """All shares together are the batch that one worker sees without micro-batches."""
    sequences = topical().sequences(WIDTH + 2)
    corrupt = WordMasking(SPECIALS, RATE, MAX_MASKED, 20)
    whole = BatchStream(sequences, corrupt, 12).batch(3)
    shares = [
        BatchStream(sequences, corrupt, 12, micro_batches=3, worker=worker, workers=2).batch(3 * 3 + part)
        for part in range(3)
        for worker in range(2)
    ]
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([share[name] for share in shares]), array)
    with pytest.raises(ValueError, match="multiple of micro_batches"):
        BatchStream(sequences, corrupt, 10, micro_batches=3)
