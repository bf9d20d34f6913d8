"""Sentences of a corpus with random access, for learning from a sentence teacher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eelbert_tf.preprocessing.order import sort_within_windows

from .reader import Corpus
from .sequences import SPECIAL_TOKENS

_ENDS = (b".", b"!", b"?")
_CLOSING = (b'"', b"'", b")", b"]", "\u201d".encode(), "\u2019".encode())  # they belong to the sentence before them
_FREQUENT = 1 << 16  # the marks above are looked for among this many most frequent words


@dataclass(frozen=True, eq=False)
class Sentences:
    """Some sentences, in an order that a seed fixes.

    Args:
        corpus: holds their words.
        numbers: int64 `[n]`, the number of each sentence in the teacher's table.
        starts: int64 `[n]`, position of each sentence's first word.
        lengths: int64 `[n]`, words of each.
        width: W, the most words that a sentence may have.
        seed: fixes the order of training.
    """

    corpus: Corpus
    numbers: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    width: int
    seed: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def fill(self) -> float:
        """The share of slots that hold a word."""
        return float(self.lengths.mean()) / self.width

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Some sentences by index: int32 `[n, width]` of word ids, -1 after the end of each."""
        return self.corpus.take(self.starts[indices], self.lengths[indices], self.width)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """The sentences of one training step: int32 `[batch_size, 1 + w]`, the number of each, then its words.

        Every epoch has its own order, in which sentences of like length stand together. w is as small as the sentences
        of the batch allow. Epochs follow each other without a gap.
        """
        epochs, inside = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(self))
        indices = np.empty(batch_size, np.int64)
        for epoch in np.unique(epochs).tolist():
            indices[epochs == epoch] = self._order(epoch, batch_size)[inside[epochs == epoch]]
        longest = int(self.lengths[indices].max())
        width = min(self.width, (longest + SPECIAL_TOKENS + 7) // 8 * 8 - SPECIAL_TOKENS)  # few widths to compile
        rows = self.corpus.take(self.starts[indices], self.lengths[indices], width)
        return np.concatenate([self.numbers[indices, None].astype(np.int32), rows], axis=1)

    @lru_cache(maxsize=2)  # noqa: B019 - two epochs at most are in use, and few such objects live
    def _order(self, epoch: int, batch_size: int) -> np.ndarray:
        """The indices of an epoch: shuffled, sorted by length within windows, and the batches shuffled again."""
        rng = np.random.default_rng((self.seed, epoch))
        ordered = sort_within_windows(rng.permutation(len(self)), self.lengths, batch_size)
        batches = np.split(ordered, range(batch_size, len(self), batch_size))
        whole, rest = (batches, []) if len(batches[-1]) == batch_size else (batches[:-1], batches[-1:])
        return np.concatenate([*(whole[i] for i in rng.permutation(len(whole))), *rest])

    def split(self, held_out: int) -> tuple[Sentences, Sentences]:
        """Splits off the last `held_out` sentences: the others, and these."""

        def part(which: slice) -> Sentences:
            chosen = self.numbers[which], self.starts[which], self.lengths[which]
            return Sentences(self.corpus, *chosen, self.width, self.seed)

        return part(slice(None, -held_out)), part(slice(-held_out, None))


def sample(corpus: Corpus, count: int, width: int, least: int = 3, seed: int = 0) -> Sentences:
    """Draws sentences of a corpus at random, each at most once.

    A sentence ends at the end of its document, or with a full stop, an exclamation mark or a question mark and the
    closing quote or bracket after it.

    Args:
        corpus: the corpus.
        count: the number of sentences. If fewer fit, all of these.
        width: the most words that a sentence may have.
        least: the fewest words that it may have.
        seed: fixes the sample and the order of training.
    """
    starts, lengths = _find_sentences(corpus)
    fits = np.flatnonzero((lengths >= least) & (lengths <= width))
    chosen = np.random.default_rng(seed).permutation(fits)[:count]
    return Sentences(corpus, np.arange(len(chosen)), starts[chosen], lengths[chosen], width, seed)


def _find_sentences(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of every sentence: int64 `[n]` each."""
    ids = {word: i for i, word in enumerate(corpus.words[: min(len(corpus.words), _FREQUENT)])}
    is_end, is_closing = np.zeros((2, len(corpus.words)), bool)
    is_end[[ids[word] for word in _ENDS if word in ids]] = True
    is_closing[[ids[word] for word in _CLOSING if word in ids]] = True
    boundaries, begin = [corpus.documents], 0
    for shard in corpus.shards:
        last = is_end[shard]
        after = last[:-1] & is_closing[shard[1:]]  # a closing mark after the end becomes the sentence's last word
        last[:-1] &= ~after
        last[1:] |= after
        boundaries.append(np.flatnonzero(last) + 1 + begin)
        begin += len(shard)
    ends = np.unique(np.concatenate(boundaries))
    return ends[:-1], np.diff(ends)
