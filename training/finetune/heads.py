"""Fitting the heads alone, on a frozen encoder: what suits few texts, and takes seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from eelbert_tf.models.classifier import EelbertClassifier

from .labelled import Labelled
from .run import Trained

METHODS = ("auto", "convex", "full")
LEXICAL = {"auto": None, "on": True, "off": False}

# Letters of a class's name that are a word: "joy", not "A1" or "LOC-3".
_NAME = re.compile(r"[^\W\d_]{3,}")
_WORD_BEGINS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|[_\W]+")

# Up to so many texts a frozen encoder beside the words is better than one that is trained (experiments/lexical.py).
FEW_TEXTS = 1000


def suited_method(method: str, texts: int, pretrained: bool, classes: bool, asks_for_passes: bool) -> str:
    """What "auto" stands for: "convex" where a pretrained encoder has few texts and classes to tell apart.

    Args:
        method: as it was asked for.
        texts: number of texts to learn from.
        pretrained: whether the encoder is worth keeping as it is.
        classes: whether labels are classes.
        asks_for_passes: whether there are settings that only a training of the encoder has.
    """
    if method != "auto":
        return method
    return "convex" if pretrained and classes and texts <= FEW_TEXTS and not asks_for_passes else "full"


def fit_heads(
    model: EelbertClassifier,
    train: Labelled,
    lexical: bool | None = None,
    seed: int = 0,
    class_weight: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Fits the dense layer and the lexical head of a classifier; class names count as an example each.

    Args:
        model: whose heads change.
        train: texts to learn from.
        lexical: whether there is a lexical head; by default where it helps on parts of `train` that are held out.
        seed: fixes these.
        class_weight: as in `Recipe`.
        quiet: whether to show no progress.

    Returns:
        What `eelbert finetune` reports.
    """
    begin = time.perf_counter()
    names = {}
    if model.task == "classification" and not isinstance(train.labels, np.ndarray) and isinstance(train.texts[0], str):
        names = names_as_texts(model.labels or ())
    texts, labels = [*train.texts, *names.values()], [*train.labels, *names]
    found = model.fit_head(texts, labels, lexical=lexical, seed=seed, class_weight=class_weight, verbose=not quiet)
    return {
        "method": "convex",
        "train_texts": len(train.texts),
        "class_names_read": len(names),
        "parameters": model.count_params(),
        "seconds": round(time.perf_counter() - begin, 1),
        **found,
    }


def names_as_texts(names: Iterable[str | None]) -> dict[str, str]:
    """What names of classes say: `BookRestaurant` says "Book Restaurant", `not_happy` "not happy".

    From ten examples a class, one more that is its name gains 1 to 3 points where names are words (emotions), and
    hardly anything where they are not (experiments/lexical.py).

    Returns:
        Names and texts; none where any of them has no word of three letters.
    """
    known = [name for name in names if name is not None]
    return {name: _WORD_BEGINS.sub(" ", name).strip() for name in known if all(map(_NAME.search, known))}


def in_words(fitted: dict[str, Any] | None, trained: Trained, criterion: str) -> str:
    """One line on the heads of a model, and on what the training of the encoder brought.

    Args:
        fitted: what `fit_heads` reports, where the heads alone were fitted.
        trained: how the model was made.
        criterion: the figure that passes were compared by.

    Returns:
        Nothing where there is nothing to say: the training started from fresh heads.
    """
    if fitted is not None:
        names = ", class names read as examples" if fitted["class_names_read"] else ""
        return f"few texts: a linear head on the encoder as it is, and {_words(fitted)}{names}; --method full trains it"
    if trained.heads is None:
        return ""
    if trained.method == "convex":
        return (
            f"a linear head on the encoder as it is, and {_words(trained.heads)}; no pass was better on held-out texts"
        )
    said, start = f"the encoder was trained, and has {_words(trained.heads)}", trained.passes.start
    compared = (
        "" if start is None else f": held-out {criterion} {trained.dev[criterion]:.4f}, {start[criterion]:.4f} before"
    )
    return said + compared


def _words(report: dict[str, Any]) -> str:
    """Which words there are beside an encoder, and why."""
    with_words, alone = (report.get(f"held_out_loss_{part}") for part in ("with_words", "of_encoder"))
    compared = "" if None in (with_words, alone) else f" (held-out loss {with_words} with words, {alone} without)"
    words = f"{report['ngrams']} words and word pairs" if report["lexical"] else "no words"
    return f"{words} beside it{compared}"
