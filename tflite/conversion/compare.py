"""Compares a converted file with its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.runtimes.finite import check_logits
from eelbert_tf.tflite.runtimes.models import Model

_TEXTS_AT_ONCE = 50
# With fewer decided texts than this, their share means nothing.
_FEWEST_DECIDED = 20


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the Keras model. Differences are relative to the largest logit where that is above 1.

    Agreement counts only texts on which the model is decided, whose two best logits are well apart. Between classes
    that are nearly equal rounding decides; with many classes that is the case for most texts unlike the training texts.

    Args:
        difference: largest difference of a logit.
        margin: smallest distance of the two best logits for a text to count.
        agreement: smallest share of these texts that get the same class.
    """

    difference: float
    margin: float
    agreement: float


# For hard texts. Models were not trained for them and int8 was not calibrated on them, so only gross errors count.
TOLERANCES = {
    "none": Tolerance(1e-5, 1e-5, 0.995),
    "float16": Tolerance(0.02, 0.01, 0.98),
    "dynamic": Tolerance(0.3, 0.1, 0.9),
    "int8": Tolerance(1.0, 0.2, 0.8),
}
# For the calibration texts, which are like those that the file will meet.
CALIBRATED = Tolerance(0.5, 0.1, 0.95)


def compare(
    model: Any, runtime: Model, texts: Sequence[TextOrPair], tolerance: Tolerance, which: str = "hard texts"
) -> dict[str, Any]:
    """Runs a file and the Keras model it came from on some texts.

    Args:
        model: an `EelbertClassifier`.
        runtime: the file.
        texts: what both are run on.
        tolerance: how far they may be apart.
        which: the texts, for messages.

    Returns:
        `max_abs_diff` of the logits, `argmax_agreement`, the share of all texts that get the same class, and
        `texts_checked`.

    Raises:
        InputError: the model's logits are no numbers, or those of the file are too far from them.
    """
    data = encode_texts(texts, model.backbone.config.max_bytes)
    batches = np.array_split(data, -(-len(data) // _TEXTS_AT_ONCE))
    expected = check_logits(np.concatenate([np.asarray(model(batch, training=False)) for batch in batches]))
    logits = runtime.predict(texts)
    difference, same = _check(expected, logits, tolerance, f"{len(texts)} {which}")
    return {"max_abs_diff": difference, "argmax_agreement": same, "texts_checked": len(texts)}


def compare_tags(
    model: Any, runtime: Model, texts: Sequence[Any], tolerance: Tolerance, which: str = "hard texts"
) -> dict[str, Any]:
    """`compare` for a tagger: of its tags token by token, and of the classes of whole texts where there are some.

    Args:
        model: an `EelbertTagger`.
        runtime: the file.
        texts: what both are run on.
        tolerance: how far they may be apart.
        which: the texts, for messages.

    Returns:
        `max_abs_diff` of the logits, `argmax_agreement`, the share of tokens that get the same tag, and
        `texts_checked`.

    Raises:
        InputError: the model's logits are no numbers, or the file's differ too much, or tokens lie elsewhere.
    """
    data = encode_texts(texts, model.backbone.config.max_bytes)
    batches = np.array_split(data, -(-len(data) // _TEXTS_AT_ONCE))
    answers = [model(batch, training=False) for batch in batches]
    expected = {name: np.concatenate([np.asarray(batch[name]) for batch in answers]) for name in answers[0]}
    rows = runtime.tag_outputs(texts)
    found = {name: np.stack([row[name] for row in rows]) for name in expected}
    if not np.array_equal(expected["positions"], found["positions"]):
        raise InputError(f"The converted file finds tokens elsewhere than its model, on {which}. Nothing was written")
    there = expected["positions"][..., 1] > 0  # [n, T]
    pairs = [(expected["tags"][there], found["tags"][there])]
    if "label" in expected:
        pairs.append((expected["label"], found["label"]))
    figures = [_check(check_logits(truth), row, tolerance, f"{len(texts)} {which}") for truth, row in pairs]
    return {
        "max_abs_diff": max(difference for difference, _ in figures),
        "argmax_agreement": min(same for _, same in figures),
        "texts_checked": len(texts),
    }


def _check(expected: np.ndarray, logits: np.ndarray, tolerance: Tolerance, where: str) -> tuple[float, float]:
    """The largest difference of logits `[n, C]`, and the share of rows with the same best one.

    Raises:
        InputError: they are too far apart.
    """
    unit = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(logits - expected).max())
    same = logits.argmax(axis=1) == expected.argmax(axis=1)
    decided = same[_margins(expected) > tolerance.margin * unit]
    agreement = float(decided.mean()) if len(decided) >= _FEWEST_DECIDED else 1.0
    if not difference <= tolerance.difference * unit or not agreement >= tolerance.agreement:
        advice = "Nothing was written. Try --quantize none"
        if tolerance in (TOLERANCES["int8"], CALIBRATED):
            advice += "; for int8 on micro, calibrate on more of the texts that the model will meet (--calibrate)"
        raise InputError(
            f"The converted file is not as good as its model: on {where} logits differ by up to {difference:.2g} "
            f"(allowed: {tolerance.difference * unit:.2g}), and of the {len(decided)} with a clear class "
            f"{agreement:.1%} get the same (needed: {tolerance.agreement:.1%}). {advice}"
        )
    return difference, float(same.mean())


def _margins(logits: np.ndarray) -> np.ndarray:
    """The distance of the two best logits of each row; infinite for a single logit."""
    if logits.shape[1] < 2:
        return np.full(len(logits), np.inf)
    best = np.partition(logits, -2, axis=1)
    return best[:, -1] - best[:, -2]
