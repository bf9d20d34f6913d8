"""Labelled texts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eelbert_tf.disk.tagged import TaggedText


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels: class names or float `[n, classes]` of probabilities, tuples of names, or numbers.

    Args:
        texts: strings, or pairs.
        labels: one for each.
        rows: the line of its file at which each begins, for reports; numbers from 1 where there is no file.
        ready: the same texts ready for batching, once they are.
    """

    texts: Any
    labels: Any
    rows: Sequence[int] | None = None
    ready: Any = None

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, chosen: np.ndarray) -> Labelled:
        """Some of the texts, by their indices."""
        soft = isinstance(self.labels, np.ndarray)
        labels: Any = self.labels[chosen] if soft else [self.labels[i] for i in chosen]
        rows = None if self.rows is None else [self.rows[i] for i in chosen]
        ready = self.ready.part(chosen) if hasattr(self.ready, "part") else None
        return replace(self, texts=[self.texts[i] for i in chosen], labels=labels, rows=rows, ready=ready)

    @property
    def strata(self) -> Any:
        """What parts of the texts are to hold in proportion."""
        return self.labels

    def fit_labels(self, model: Any) -> Any:
        """The labels as the `fit` of a model takes them: no numbers, which may be the names of classes."""
        return self.labels


@dataclass(frozen=True)
class Tagged(Labelled):
    """Texts whose labels are `disk.tagged.TaggedText`s: what has names in them, and perhaps what they are as wholes."""

    @classmethod
    def of(cls, rows: Sequence[TaggedText]) -> Labelled:
        """The texts of a file."""
        return cls([row.text for row in rows], list(rows), [row.line for row in rows])

    @property
    def strata(self) -> list[tuple[str, ...]]:
        return [tuple(sorted({*(part.label for part in row.spans), row.intent or ""} - {""})) for row in self.labels]

    def fit_labels(self, model: Any) -> np.ndarray:
        """int32 `[n, 1 + max_tokens]`, as `EelbertTagger.encode_answers` gives them.

        Held-out texts may have an intent that the model does not know, which is left out, or such spans: these are no
        part of what it can learn.
        """
        answers = [row.as_answer() for row in self.labels]
        unknown = [bool(model.labels) and row.intent not in model.labels for row in self.labels]
        for answer, is_unknown in zip(answers, unknown, strict=True):
            answer["spans"] = [span for span in answer["spans"] if span["label"] in model.names]
            if is_unknown:
                answer["label"] = model.labels[0]
        found: np.ndarray = model.encode_answers(self.texts, answers)
        found[np.array(unknown, bool), 0] = -1
        return found
