"""A classifier's two heads, dense and lexical, fitted at once: a convex problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.config import HashConfig, LexicalConfig

from .features import ScaledFeatures, TextFeatures
from .solver import Problem
from .strengths import Choice, choose_strength, penalties
from .tables import LexicalTable, largest_table, max_ngrams, place_ngrams, to_bytes

_FOLDS = 4  # parts of which each is once left out


@dataclass(frozen=True)
class Heads:
    """The weights of both heads.

    Args:
        kernel: float32 `[d, C]`, of the dense layer.
        bias: float32 `[C]`.
        lexical: the lexical head; `None` for none.
        held_out: float32 `[n, C]`, what words say of each text where it was not among those they were learned from;
            `None` where that was not asked for, or there are none.
    """

    kernel: np.ndarray
    bias: np.ndarray
    lexical: LexicalTable | None
    held_out: np.ndarray | None = None


@dataclass(frozen=True)
class _Fit:
    """Features, what is to be made of them, and what suits that."""

    features: TextFeatures
    scaled: ScaledFeatures
    problem: Problem
    choice: Choice
    largest: LexicalConfig

    def solve(self, problem: Problem, start: np.ndarray | None = None) -> np.ndarray:
        """The weights for all texts, before they are scaled."""
        return problem.solve(penalties(self.choice.dense, len(problem.targets)), start)

    def held_out_words(self, problem: Problem, seed: int) -> np.ndarray:
        """The words' part of the logits of each text, from a fit on other texts: float32 `[n, C]`."""
        logits = np.zeros_like(problem.targets)
        fold = np.random.default_rng(seed).permutation(len(logits)) % _FOLDS
        solution = None
        for i in range(_FOLDS):
            learned = np.flatnonzero(fold != i)
            if len(learned):
                solution = self.solve(problem.part(learned), solution)
                logits[fold == i] = problem.words[fold == i] @ solution[: problem.words.shape[1]]
        return logits * np.float32(self.choice.scale)

    def heads(self, hash: HashConfig | None, held_out: int | None = None) -> Heads:
        """The weights of both heads; with a seed, also what words say of each text where it is held out."""
        solution, problem = self.solve(self.problem), self.problem
        keys, frequency = self.features.keys, self.features.frequency()
        if hash is None or not len(keys):
            return Heads(*self.scaled.dense_weights(solution * self.choice.scale), None)
        # The n-grams that matter most and have a row; all is fitted to these again.
        order = np.argsort(-np.linalg.norm(solution[: len(keys)], axis=1) * np.sqrt(frequency), kind="stable")
        rows = min(self.largest.rows, 1 << max(1, (len(keys) - 1).bit_length()))
        found, placed, tags = place_ngrams(keys[order], rows, hash)
        kept = order[found]
        solution = solution[[*kept, *range(len(keys), len(solution))]]
        if len(kept) < len(keys):
            problem = dataclasses.replace(self.problem, words=self.scaled.words[:, kept].tocsr())
            solution = self.solve(problem, solution)
        said = None if held_out is None else self.held_out_words(problem, held_out)
        solution *= self.choice.scale
        config = dataclasses.replace(self.largest, rows=rows)
        weights = to_bytes(self.scaled.word_weights(solution, kept), frequency[kept], config)
        table = LexicalTable(config, placed, tags, *weights)
        return Heads(*self.scaled.dense_weights(solution), table, said)


def fit_heads(
    features: TextFeatures,
    targets: np.ndarray,
    hash: HashConfig | None,
    loss: str = "softmax",
    sample_weight: np.ndarray | None = None,
    lexical: bool | None = None,
    seed: int = 0,
    held_out: bool = False,
    on_step: Callable[[], Any] | None = None,
) -> tuple[Heads, dict[str, Any]]:
    """Fits both heads at once.

    Args:
        features: of the texts.
        targets: float32 `[n, C]`: probabilities of classes, or numbers.
        hash: what the keys were made by; `None` where there are no n-grams.
        loss: "softmax", "sigmoid" or "squares".
        sample_weight: float32 `[n]`, of the texts in the loss.
        lexical: whether there is a lexical head; by default where the loss on held-out texts is less with it.
        seed: fixes these.
        held_out: whether what words say of each text, learned from others, is wanted: for an encoder that is trained
            beside them. With their own answers on texts they have learned there would be nothing left to learn.
        on_step: called after each step.

    Returns:
        The weights, and what `EelbertClassifier.fit_head` reports.
    """
    largest = largest_table(targets.shape[1], loss == "softmax")
    weights = np.ones(len(targets), np.float32) if sample_weight is None else sample_weight

    def choose(chosen: TextFeatures) -> _Fit:
        scaled = ScaledFeatures(chosen)
        problem = Problem(scaled.words, scaled.dense, targets, weights / weights.sum(), loss, on_step)
        classes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0]
        return _Fit(chosen, scaled, problem, choose_strength(problem, classes, seed), largest)

    report: dict[str, Any] = {}
    best = None
    if lexical is not False and hash is not None:
        best = choose(features.choose_ngrams(targets, max_ngrams(largest, targets.shape[1])))
        report["held_out_loss_with_words"] = _rounded(best.choice.loss)
    if lexical is not True or best is None:
        alone = choose(features.without_ngrams())
        report["held_out_loss_of_encoder"] = _rounded(alone.choice.loss)
        best = alone if best is None or alone.choice.loss <= best.choice.loss else best
    heads = best.heads(hash, seed if held_out else None)
    found = {} if heads.lexical is None else {"ngrams": len(heads.lexical.rows)}
    return heads, {"lexical": heads.lexical is not None, **found, "strength": best.choice.dense, **report}


def _rounded(loss: float) -> float | None:
    """A loss for a report, where there is one."""
    return round(loss, 4) if np.isfinite(loss) else None
