"""Distillation of a classifier: a small one learns what a larger one says, on more texts than have labels.

After Hinton et al. 2015 and, for the texts that are made up, Tang et al. 2019.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.progress import Progress
from eelbert_tf.disk.tables import Table, Text
from eelbert_tf.errors import InputError
from eelbert_tf.training.corpus.parts import read_arrays
from eelbert_tf.training.finetune.labelled import Labelled

# A made-up text: with these chances a stretch of another text follows it, and only a stretch of the whole is kept; then
# each word is left out, or replaced by a random one of the training texts.
_JOINED, _CUT = 0.25, 0.25
_DROPPED, _REPLACED = 0.05, 0.1

_PART = 4096  # texts between two looks at the progress


def make_up(texts: Sequence[Text], copies: int, seed: int = 0) -> list[Text]:
    """Variants of texts, for a teacher to label.

    Args:
        texts: strings, or pairs; of a pair one side changes, and nothing is joined to it.
        copies: variants of each.
        seed: fixes them.

    Returns:
        `copies * len(texts)` texts, without those that came out empty or unchanged.
    """
    rng = np.random.default_rng(seed)
    sides = [side.split() for text in texts for side in ([text] if isinstance(text, str) else text)]
    words = list(itertools.chain.from_iterable(sides))
    found: list[Text] = []
    for _ in range(copies):
        for text in texts:
            if isinstance(text, str):
                other = sides[rng.integers(len(sides))] if rng.random() < _JOINED else []
                variant: Text = _variant([*text.split(), *_stretch(other, rng)], words, rng)
            elif rng.random() < 0.5:
                variant = (_variant(text[0].split(), words, rng), text[1])
            else:
                variant = (text[0], _variant(text[1].split(), words, rng))
            if variant != text and all([variant] if isinstance(variant, str) else variant):
                found.append(variant)
    return found


def _variant(own: list[str], words: list[str], rng: np.random.Generator) -> str:
    if len(own) > 3 and rng.random() < _CUT:
        own = _stretch(own, rng)
    chances = rng.random(len(own))
    others = rng.integers(0, len(words), len(own))
    return " ".join(
        words[other] if chance < _DROPPED + _REPLACED else word
        for word, chance, other in zip(own, chances, others, strict=True)
        if chance >= _DROPPED
    )


def _stretch(words: list[str], rng: np.random.Generator) -> list[str]:
    """A random run of words, of any length."""
    start, stop = sorted(rng.integers(0, len(words) + 1, 2))
    return words[start:stop]


def teacher_predictions(
    teacher: Any, texts: Sequence[Text], kept: Path | None = None, identity: str = ""
) -> np.ndarray:
    """What a model makes of texts; shows its progress.

    Args:
        teacher: an `EelbertClassifier`.
        texts: each is asked about once.
        kept: a file that answers are read from and added to, so that an interrupt loses few; `None` for none.
        identity: the teacher's; answers of another are not taken.

    Returns:
        float32 `[n, classes]` of probabilities, `[n]` of those of a binary task's second class, or a regression's
        numbers.

    Raises:
        InputError: the file holds something else, or cannot be written.
    """
    keys = [_key(text) for text in texts]
    known = _read(kept, identity) if kept else {}
    waiting = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
    with Progress("teacher", len(waiting), "text") as progress:
        for start in range(0, len(waiting), _PART):
            part = waiting[start : start + _PART]
            found = teacher.predict([text for _, text in part], batch_size=64, verbose=0)
            known.update(zip((key for key, _ in part), found, strict=True))
            if kept:
                _write(kept, identity, known)
            progress.update(len(part))
    logits = np.stack([known[key] for key in keys])
    answers = logits if teacher.task == "regression" else teacher.outputs.probabilities(logits).astype(np.float32)
    return answers[:, -1] if teacher.num_classes == 1 else answers


def _key(text: Text) -> bytes:
    data = "\x1f".join([text] if isinstance(text, str) else text).encode()
    return hashlib.blake2b(data, digest_size=8).digest()


def _read(path: Path, identity: str) -> dict[bytes, np.ndarray]:
    """The logits of each text that a file holds, by the text's key.

    Raises:
        InputError: it holds something else.
    """
    if not path.is_file():
        return {}
    arrays = read_arrays(path)
    if arrays is None or not {"teacher", "keys", "logits"} <= set(arrays):
        raise InputError(f"--cached-predictions: {path}: holds something else than predictions; choose another file")
    if str(arrays["teacher"]) != identity:
        raise InputError(f"--cached-predictions: {path}: holds those of another teacher; choose another file")
    return dict(zip((key.tobytes() for key in arrays["keys"]), arrays["logits"], strict=True))


def _write(path: Path, identity: str, known: dict[bytes, np.ndarray]) -> None:
    keys = np.frombuffer(b"".join(known), np.uint64)
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, teacher=identity, keys=keys, logits=np.stack(list(known.values())))


def weighted_targets(truth: np.ndarray, predicted: np.ndarray, teacher_weight: float) -> np.ndarray:
    """Targets of labelled texts, between the label and what the teacher says.

    Args:
        truth: int32 `[n]` of class indices, or of the shape of `predicted`.
        predicted: float `[n, classes]`, the teacher's probabilities, or `[n]`, its scores.
        teacher_weight: share of the teacher's word, from 0 to 1.

    Returns:
        float32, of the shape of `predicted`.
    """
    if truth.ndim < predicted.ndim:
        truth = np.eye(predicted.shape[1], dtype=np.float32)[truth]
    return ((1 - teacher_weight) * truth + teacher_weight * predicted).astype(np.float32)


def distilled_targets(
    teacher: Any,
    train: Table,
    unlabelled: Sequence[Text],
    made_up: int,
    teacher_weight: float,
    seed: int = 0,
    held_out: Sequence[Text] = (),
    kept: Path | None = None,
    identity: str = "",
) -> Labelled:
    """All that a pupil learns: labelled texts, texts without labels, and made-up ones; shows the teacher's progress.

    Args:
        teacher: an `EelbertClassifier` that knows the names of its classes.
        train: the labelled texts, which come first.
        unlabelled: more texts; those of `train` are left out.
        made_up: variants of each labelled text.
        teacher_weight: share of the teacher's word where there is a label, from 0 to 1.
        seed: fixes the variants.
        held_out: texts that are to be scored on: neither an unlabelled text nor a variant is one of them.
        kept: of `teacher_predictions`.
        identity: of `teacher_predictions`.

    Returns:
        Texts with probabilities float32 `[n, classes]`, or scores `[n]`.

    Raises:
        InputError: the file of answers holds something else, or cannot be written.
    """
    known = {*train.texts, *held_out}
    more = [text for text in [*unlabelled, *make_up(train.texts, made_up, seed)] if text not in known]
    texts = [*train.texts, *more]
    predicted = teacher_predictions(teacher, texts, kept, identity)
    targets = weighted_targets(teacher.targets(train.labels), predicted[: len(train)], teacher_weight)
    return Labelled(texts, np.concatenate([targets, predicted[len(train) :]]))
