"""Objectives by name.

An objective is a Keras layer with its own head. Its `corruption` turns rows of words into the arrays of a step, on the
host; its `call` computes the loss. To add one, derive a class from `base.Objective` and name it in `OBJECTIVES`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Objective

GENERATORS = ("pairs", "network")

# Name, module, class and one line of help. Modules are named, not imported, because each of them imports this one.
OBJECTIVES = {
    "mlm": ("masked", "MaskedWords", "predict masked words among the most frequent ones"),
    "open": ("masked", "OpenWords", "tell each masked word from the other masked words of the batch"),
    "teacher": ("teacher", "TeacherEmbeddings", "predict a sentence teacher's embeddings of sentences and words"),
    "replaced": ("replaced", "ReplacedWords", "detect the words that were replaced"),
}


@dataclass(frozen=True)
class ObjectiveSettings:
    """Options of all objectives.

    Args:
        output_words: words that `mlm` can predict.
        mask_rate: share of the words that are predicted.
        generator: where the replacements of `replaced` come from: word "pairs" of the batch, or a "network".
        seed: of random draws on the device.
        teacher: folder of the model whose sentence embeddings `teacher` learns.
        sentences: the number of sentences of the corpus that `teacher` learns from.
        teacher_precision: the arithmetic of `teacher`'s model, a name in `config.POLICIES`.
    """

    output_words: int = 8192
    mask_rate: float = 0.15
    generator: str = "pairs"
    seed: int = 0
    teacher: str | None = None
    sentences: int | None = None
    teacher_precision: str = "none"


def make_objective(name: str, *args: Any, **kwargs: Any) -> Objective:
    """Makes an objective by name; the other arguments are those of `Objective`.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"Unknown objective {name!r}. Known: {', '.join(OBJECTIVES)}")
    module, cls, _ = OBJECTIVES[name]
    objective: Objective = getattr(importlib.import_module(f".{module}", __package__), cls)(*args, name=name, **kwargs)
    return objective
