"""What a tagger's outputs on tagged texts show: figures, each name of a span, calibration, and the worst mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eelbert_tf import metrics
from eelbert_tf.disk.tagged import TaggedText
from eelbert_tf.scores import softmax
from eelbert_tf.text.spans import OUTSIDE, by_characters, decode, tags_of_words
from eelbert_tf.text.strings import to_bytes

from .evaluation import MISTAKES, calibration, class_rows, evaluate_classes, show

Entity = tuple[str, int, int]  # name, first word, and the one behind the last


class Answer(NamedTuple):
    """One text, and what a tagger says of it."""

    row: TaggedText
    truth: list[str]  # BIO tags of the words
    predicted: list[str]
    wanted: set[Entity]
    found: dict[Entity, float]  # with their scores
    intents: np.ndarray | None  # probabilities

    @property
    def is_right(self) -> bool:
        """Whether every span was found, and no other."""
        return self.wanted == set(self.found)

    def label(self) -> str:
        """The true spans, as a reader sees them."""
        return self._in_words(self.wanted)

    def said(self) -> str:
        """The spans that were found."""
        return self._in_words(self.found)

    def _in_words(self, entities: Iterable[Entity]) -> str:
        parts = sorted(entities, key=lambda entity: entity[1])
        return "; ".join(f"{name}: {' '.join(self.row.words[a:b])}" for name, a, b in parts) or OUTSIDE


class TagReading:
    """A tagger's outputs for tagged texts, beside what the texts hold.

    Args:
        names: of spans.
        labels: the classes of whole texts, or `None`.
    """

    def __init__(self, names: Sequence[str], labels: Sequence[str | None] | None) -> None:
        self.names, self.labels = list(names), [label or "" for label in labels or ()]
        self.answers: list[Answer] = []

    def add(self, row: TaggedText, outputs: Mapping[str, np.ndarray]) -> None:
        """Reads the outputs of one text, as `spans.answer` takes them."""
        data = to_bytes(row.text)
        spans = by_characters(decode(outputs["tags"], outputs["positions"], self.names, data), data)
        truth, predicted = (tags_of_words(row.text, row.words, given) for given in (row.spans, spans))
        found = {
            entity: span.score
            for span in spans
            for entity in metrics.entities(tags_of_words(row.text, row.words, [span]))
        }
        intents = softmax(outputs["label"]) if self.labels else None
        self.answers.append(Answer(row, truth, predicted, metrics.entities(truth), found, intents))

    @property
    def has_intents(self) -> bool:
        """Whether model and texts have classes of whole texts."""
        return bool(self.labels and self.answers and self.answers[0].row.intent is not None)

    def figures(self) -> dict[str, float]:
        """F1, precision and recall of whole entities, the share of words with the right tag; `accuracy` of intents."""
        found = metrics.tagging_figures(
            [answer.truth for answer in self.answers], [answer.predicted for answer in self.answers]
        )
        if self.has_intents:
            said = self._intents().argmax(axis=1).tolist()
            right = [self.labels[i] == answer.row.intent for i, answer in zip(said, self.answers, strict=True)]
            found["accuracy"] = float(np.mean(right))
        return found

    def evaluate(self) -> dict[str, Any]:
        """What is shown of the texts.

        Returns:
            `n`, `figures`, `classes` (the names of spans), `calibration` of spans, `mistakes`, and where there are
            intents, what `evaluate_classes` says of them as `intents`.
        """
        scored = [(score, entity in one.wanted) for one in self.answers for entity, score in one.found.items()]
        confidence, right = np.array([score for score, _ in scored]), np.array([hit for _, hit in scored], bool)
        return {
            "n": len(self.answers),
            "figures": {name: round(value, 4) for name, value in self.figures().items()},
            "classes": self._classes(),
            "calibration": calibration(right, confidence),
            "mistakes": self._mistakes(),
            **({"intents": self._evaluate_intents()} if self.has_intents else {}),
        }

    def _classes(self) -> list[dict[str, Any]]:
        there = Counter(name for answer in self.answers for name, _, _ in answer.wanted)
        given = Counter(name for answer in self.answers for name, _, _ in answer.found)
        hits = Counter(e[0] for answer in self.answers for e in answer.found if e in answer.wanted)
        names = [*self.names, *sorted(set(there) - set(self.names))]
        return class_rows(names, *([counts[name] for name in names] for counts in (hits, given, there)))

    def _mistakes(self) -> list[dict[str, Any]]:
        """Texts with a wrong or a missing span; the surest answers come first, and missing ones last."""
        wrong = [
            (max((score for entity, score in answer.found.items() if entity not in answer.wanted), default=0.0), answer)
            for answer in self.answers
            if not answer.is_right
        ]
        return [
            {
                "row": answer.row.line,
                "text": show(answer.row.text),
                "label": answer.label(),
                "predicted": answer.said(),
                "confidence": round(score, 4),
            }
            for score, answer in sorted(wrong, key=lambda item: -item[0])[:MISTAKES]
        ]

    def _evaluate_intents(self) -> dict[str, Any]:
        rows = [answer.row for answer in self.answers]
        names = [*self.labels, *sorted({str(row.intent) for row in rows} - set(self.labels))]
        truth = np.array([names.index(str(row.intent)) for row in rows])
        texts, lines = [row.text for row in rows], [row.line for row in rows]
        return evaluate_classes(names, truth, self._intents(), texts, lines)

    def _intents(self) -> np.ndarray:
        return np.stack([answer.intents for answer in self.answers if answer.intents is not None])
