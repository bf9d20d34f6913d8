"""How much the encoder counts beside the words: chosen on held-out texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .solver import Problem

# The inverse of the penalty of a text's share. That of words is fixed: accuracy depends on how the two compare.
WORDS = 10.0
DENSE = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_START = DENSE.index(3.0)

# Texts that are looked at, at most: words help the more, the more texts there are. Of fewer than _FEW each is held out
# once, of more one part of _FOLDS.
_MOST = 20_000
_FEW = 500
_FOLDS = 4

# Logits are scored at their best scale, which depends on the penalties and says nothing of the classes.
_SCALES = 2.0 ** np.arange(-2, 5.1, 0.5, dtype=np.float32)


@dataclass(frozen=True)
class Choice:
    """What suits a problem.

    Args:
        dense: strength of the encoder's output.
        scale: what logits are to be multiplied by.
        loss: on held-out texts, with both.
    """

    dense: float
    scale: float
    loss: float


def penalties(dense: float, texts: int) -> tuple[float, float]:
    """Penalties for `Problem.solve`, of words and of the encoder's output."""
    return 1 / (WORDS * texts), 1 / (dense * texts)


def choose_strength(problem: Problem, classes: np.ndarray, seed: int) -> Choice:
    """The strength with the least loss on held-out texts, found by steps to the better neighbour.

    Of fewer texts than there are parts none can be held out: the loss is then infinite.

    Args:
        problem: all texts.
        classes: `[n]`; parts have like shares of them.
        seed: fixes the parts.
    """
    if len(classes) < _FOLDS:
        return Choice(DENSE[_START], 1.0, np.inf)
    parts = [(problem.part(learned), problem.part(held_out)) for learned, held_out in _folds(classes, seed)]
    solutions: list[np.ndarray | None] = [None] * len(parts)
    scales = _SCALES if problem.loss != "squares" else np.ones(1, np.float32)

    def choice_at(index: int) -> Choice:
        losses = np.zeros(len(scales))
        for i, (learned, held_out) in enumerate(parts):
            solution = learned.solve(penalties(DENSE[index], len(learned.targets)), solutions[i])
            solutions[i], logits = solution, held_out.logits(solution)
            losses += [held_out.loss_of(logits * scale)[0] / len(parts) for scale in scales]
        return Choice(DENSE[index], float(scales[losses.argmin()]), float(losses.min()))

    best = choice_at(_START)
    for step in (1, -1):
        index = _START
        while 0 <= (index := index + step) < len(DENSE) and (found := choice_at(index)).loss < best.loss:
            best = found
        if best.dense != DENSE[_START]:
            break
    return best


def _folds(classes: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Texts to learn from and texts held out, several times or once."""
    chosen = np.random.default_rng(seed).permutation(len(classes))[:_MOST]
    chosen = chosen[np.argsort(classes[chosen], kind="stable")]
    fold = np.arange(len(chosen)) % _FOLDS
    folds = [(chosen[fold != i], chosen[fold == i]) for i in range(_FOLDS)]
    return folds if len(chosen) < _FEW else folds[:1]
