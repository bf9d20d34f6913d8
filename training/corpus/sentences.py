"""Sentences of a corpus with random access: what a sentence teacher is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .reader import Corpus
from .sequences import SPECIAL_TOKENS

_ENDS = (b".", b"!", b"?")
_CLOSING = (b'"', b"'", b")", b"]", "\u201d".encode(), "\u2019".encode())  # belong to the sentence before them
_SORTED_TOGETHER = 64  # batches
_FREQUENT = 1 << 16  # such marks are among so many most frequent words


@dataclass(frozen=True, eq=False)
class Sentences:
    """Some sentences, in an order that a seed fixes.

    Args:
        corpus: holds their words.
        numbers: int64 `[n]`, the number by which each is known elsewhere.
        starts: int64 `[n]`, position of each sentence's first word.
        lengths: int64 `[n]`, words of each.
        width: W, the most words of any.
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

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Sentences by place: int32 `[n, width]` of word ids, -1 after the end of each."""
        return self.corpus.take(self.starts[places], self.lengths[places], self.width)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """The sentences of one training step, the number of each before its words: int32 `[batch_size, 1 + w]`.

        Every epoch has an order of its own, in which sentences of about one length stand together, and w is no more
        than they need. Epochs follow each other without a gap.
        """
        epochs, inside = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(self))
        places = np.empty(batch_size, np.int64)
        for epoch in np.unique(epochs).tolist():
            places[epochs == epoch] = self._order(epoch, batch_size)[inside[epochs == epoch]]
        longest = int(self.lengths[places].max())
        width = min(self.width, (longest + SPECIAL_TOKENS + 7) // 8 * 8 - SPECIAL_TOKENS)  # few widths to compile
        rows = self.corpus.take(self.starts[places], self.lengths[places], width)
        return np.concatenate([self.numbers[places, None].astype(np.int32), rows], axis=1)

    @lru_cache(maxsize=2)  # noqa: B019 - two epochs at most are in use, and few such objects live
    def _order(self, epoch: int, batch_size: int) -> np.ndarray:
        """The places of an epoch: shuffled, sorted by length within a window, and batches shuffled again."""
        rng = np.random.default_rng((self.seed, epoch))
        shuffled = rng.permutation(len(self))
        windows = np.arange(len(self)) // (batch_size * _SORTED_TOGETHER)
        batches = np.array_split(
            shuffled[np.lexsort((self.lengths[shuffled], windows))], range(batch_size, len(self), batch_size)
        )
        whole, rest = (batches, []) if len(batches[-1]) == batch_size else (batches[:-1], batches[-1:])
        return np.concatenate([*(whole[i] for i in rng.permutation(len(whole))), *rest])

    def split(self, held_out: int) -> tuple[Sentences, Sentences]:
        """All but the last `held_out` sentences, and those."""

        def part(which: slice) -> Sentences:
            chosen = self.numbers[which], self.starts[which], self.lengths[which]
            return Sentences(self.corpus, *chosen, self.width, self.seed)

        return part(slice(None, -held_out)), part(slice(-held_out, None))


def sample(corpus: Corpus, count: int, width: int, least: int = 3, seed: int = 0) -> Sentences:
    """A random sample of a corpus's sentences, without repetition.

    A sentence ends with a full stop, an exclamation or a question mark and what closes after it, or with its document.

    Args:
        corpus: the corpus.
        count: the number of sentences; all that fit, where there are fewer.
        width: the most words that a sentence may have.
        least: the fewest.
        seed: fixes the sample and the order of training.
    """
    starts, lengths = _find(corpus)
    fits = np.flatnonzero((lengths >= least) & (lengths <= width))
    chosen = np.random.default_rng(seed).permutation(fits)[:count]
    return Sentences(corpus, np.arange(len(chosen)), starts[chosen], lengths[chosen], width, seed)


def _find(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of every sentence: int64 `[n]` each."""
    ids = {word: i for i, word in enumerate(corpus.words[: min(len(corpus.words), _FREQUENT)])}
    is_end, is_closing = np.zeros((2, len(corpus.words)), bool)
    is_end[[ids[word] for word in _ENDS if word in ids]] = True
    is_closing[[ids[word] for word in _CLOSING if word in ids]] = True
    borders, begin = [corpus.documents], 0
    for shard in corpus.shards:
        last = is_end[shard]
        after = last[:-1] & is_closing[shard[1:]]  # a mark that closes directly after an end takes its place
        last[:-1] &= ~after
        last[1:] |= after
        borders.append(np.flatnonzero(last) + 1 + begin)
        begin += len(shard)
    all_borders = np.unique(np.concatenate(borders))
    return all_borders[:-1], np.diff(all_borders)
