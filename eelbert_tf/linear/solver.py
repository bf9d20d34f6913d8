"""Linear models on sparse and dense features at once, each with a penalty of its own: convex, by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LOSSES = ("softmax", "sigmoid", "squares")

_MOST_STEPS = 200
_TOLERANCE = 1e-6  # of the loss, relative: accuracies stand still long before


@dataclass(frozen=True)
class Problem:
    """Texts as features, with what is to be made of them.

    Args:
        words: sparse float32 `[n, V]`, SciPy's `csr_matrix`.
        dense: float32 `[n, d]`.
        targets: float32 `[n, C]`: probabilities of classes, or numbers.
        weights: float32 `[n]`, of the texts in the loss; their sum is 1.
        loss: "softmax", "sigmoid" or "squares".
        on_step: called after each step of a solution.
    """

    words: Any
    dense: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    loss: str = "softmax"
    on_step: Callable[[], Any] | None = None

    def part(self, rows: np.ndarray) -> Problem:
        """The same of some texts."""
        weights = self.weights[rows]
        return replace(
            self,
            words=self.words[rows],
            dense=self.dense[rows],
            targets=self.targets[rows],
            weights=weights / max(weights.sum(), 1e-9),
        )

    def logits(self, solution: np.ndarray) -> np.ndarray:
        """What a solution makes of the texts: float32 `[n, C]`."""
        width = self.words.shape[1]
        return self.words @ solution[:width] + self.dense @ solution[width:-1] + solution[-1]

    def loss_of(self, logits: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean loss, and its gradient by the logits: float32 `[n, C]`."""
        if self.loss == "squares":
            error = logits - self.targets
            each, slope = 0.5 * np.square(error).sum(axis=1), error
        elif self.loss == "sigmoid":
            each = (np.logaddexp(0, logits) - logits * self.targets).sum(axis=1)
            slope = 0.5 + 0.5 * np.tanh(0.5 * logits) - self.targets
        else:
            shifted = logits - logits.max(axis=1, keepdims=True)
            exponentials = np.exp(shifted)
            total = exponentials.sum(axis=1, keepdims=True)
            each = np.log(total[:, 0]) - (shifted * self.targets).sum(axis=1)
            slope = exponentials / total - self.targets
        return float(np.dot(each.astype(np.float64), self.weights)), slope * self.weights[:, None]

    def solve(self, penalties: tuple[float, float], start: np.ndarray | None = None) -> np.ndarray:
        """The weights of least loss with half the penalties times their squares; the bias has none.

        Args:
            penalties: for the weights of words, and for the dense ones.
            start: a solution nearby; zeros by default.

        Returns:
            float32 `[V + d + 1, C]`: of words, dense ones, and biases in the last row.
        """
        from scipy.optimize import minimize

        (width, depth), outputs = (self.words.shape[1], self.dense.shape[1]), self.targets.shape[1]
        transposed = self.words.T.tocsr()
        penalty = np.repeat(np.array([*penalties, 0], np.float32), [width, depth, 1])[:, None]

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            solution = flat.reshape(-1, outputs).astype(np.float32)
            loss, slope = self.loss_of(self.logits(solution))
            shrunk = penalty * solution
            gradient = np.concatenate([transposed @ slope, self.dense.T @ slope, slope.sum(axis=0, keepdims=True)])
            loss += 0.5 * float(np.dot(shrunk.ravel(), solution.ravel()))
            return loss, (gradient + shrunk).astype(np.float64).ravel()

        first = np.zeros((width + depth + 1, outputs)) if start is None else start.astype(np.float64)
        options = {"maxiter": _MOST_STEPS, "ftol": _TOLERANCE, "gtol": 1e-8}
        on_step = self.on_step
        after = None if on_step is None else lambda _: on_step()
        found = minimize(value, first.ravel(), jac=True, method="L-BFGS-B", options=options, callback=after)
        return found.x.reshape(-1, outputs).astype(np.float32)
