"""Compares a converted file with its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.scores import Outputs
from eelbert_tf.text.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.runtimes.finite import check_logits
from eelbert_tf.tflite.runtimes.litert import Runtime

# Of texts that the model takes at once, padding included; what it computes for a byte takes some KiB.
_BYTES_AT_ONCE = 25_600
# With fewer decided texts than this, their share means nothing.
_FEWEST_DECIDED = 20


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the Keras model, as shares.

    The first two are shares of the largest logit where that is above 1, or of the spread of a regression's targets.

    Agreement counts only texts on which the model is decided, whose two best logits are well apart. Between classes
    that are nearly equal rounding decides; with many classes that is the case for most texts unlike the training texts.

    Args:
        difference: largest difference of a logit.
        margin: smallest distance of the two best logits for a text to count.
        agreement: smallest share of these texts that get the same class.
        cosine: smallest mean cosine of embeddings with the model's own.
    """

    difference: float
    margin: float
    agreement: float
    cosine: float


# For hard texts. Models were not trained for them and int8 was not calibrated on them, so only gross errors count.
TOLERANCES = {
    "none": Tolerance(1e-5, 1e-5, 0.995, 0.99999),
    "float16": Tolerance(0.02, 0.01, 0.98, 0.999),
    "dynamic": Tolerance(0.3, 0.1, 0.9, 0.95),
    "int8": Tolerance(1.0, 0.2, 0.8, 0.6),
}
# For the calibration texts, which are like those that the file will meet.
CALIBRATED = Tolerance(0.5, 0.1, 0.95, 0.8)


def compare(
    model: Any, runtime: Runtime, texts: Sequence[TextOrPair], tolerance: Tolerance, which: str = "hard texts"
) -> dict[str, Any]:
    """Runs a file and the Keras model it came from on some texts, as much of them as one window holds.

    Args:
        model: an `EelbertClassifier`.
        runtime: the file.
        texts: what both are run on.
        tolerance: how far they may be apart.
        which: the texts, for messages.

    Returns:
        `max_abs_diff` of the outputs, `argmax_agreement`, the share of all texts that get the same class, or of all
        labels that are given alike, and `texts_checked`.

    Raises:
        InputError: the model's logits are no numbers, or those of the file are too far from them.
    """
    expected = _outputs(model, texts)
    logits = runtime.predict_bytes(encode_texts(texts, model.backbone.config.max_bytes))  # one window each
    unit = _units(model, expected)
    decisions = _decisions(runtime.metadata.outputs, logits, expected)
    difference, same = _check(np.abs(logits - expected), unit, decisions, tolerance, f"{len(texts)} {which}")
    return {"max_abs_diff": difference, "argmax_agreement": same, "texts_checked": len(texts)}


def compare_embeddings(
    model: Any, runtime: Runtime, texts: Sequence[TextOrPair], tolerance: Tolerance, which: str = "hard texts"
) -> dict[str, Any]:
    """`compare` for a sentence encoder.

    Args:
        model: an `EelbertSentenceEncoder`.
        runtime: the file.
        texts: what both are run on.
        tolerance: how far they may be apart.
        which: the texts, for messages.

    Returns:
        `max_abs_diff` of the numbers, `mean_cosine` and `min_cosine` of the embeddings with the model's, and
        `texts_checked`.

    Raises:
        InputError: an embedding is no numbers, or the file's are too far from the model's.
    """
    expected = _outputs(model, texts)
    found = runtime.predict(texts)
    cosines = np.sum(expected * found, axis=1)
    mean = float(cosines.mean())
    if not mean >= tolerance.cosine:
        raise InputError(
            f"The converted file is not as good as its model: on {len(texts)} {which} its embeddings have a mean "
            f"cosine of {mean:.3f} with the model's (needed: {tolerance.cosine}). {_advice(tolerance)}"
        )
    return {
        "max_abs_diff": float(np.abs(expected - found).max()),
        "mean_cosine": mean,
        "min_cosine": float(cosines.min()),
        "texts_checked": len(texts),
    }


def compare_tags(
    model: Any, runtime: Runtime, texts: Sequence[Any], tolerance: Tolerance, which: str = "hard texts"
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
    batches = _batches(texts, model.backbone.config.max_bytes)
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
    figures = []
    for truth, row in pairs:
        unit = max(1.0, float(np.abs(check_logits(truth)).max()))
        decisions = _decisions(Outputs("classification", truth.shape[1]), row, truth)
        figures.append(_check(np.abs(row - truth), unit, decisions, tolerance, f"{len(texts)} {which}"))
    return {
        "max_abs_diff": max(difference for difference, _ in figures),
        "argmax_agreement": min(same for _, same in figures),
        "texts_checked": len(texts),
    }


def _batches(texts: Sequence[TextOrPair], max_bytes: int) -> list[np.ndarray]:
    """Texts as int32 `[n, L]`, as many at once as memory allows: every call of a Keras model takes long by itself."""
    data = encode_texts(texts, max_bytes)
    return np.array_split(data, min(len(data), -(-data.size // _BYTES_AT_ONCE)))


def _outputs(model: Any, texts: Sequence[TextOrPair]) -> np.ndarray:
    """What a Keras model gives for some texts: float32 `[n, num_outputs]`.

    Raises:
        InputError: some of it is no number.
    """
    batches = _batches(texts, model.backbone.config.max_bytes)
    return check_logits(np.concatenate([np.asarray(model(batch, training=False)) for batch in batches]))


def _check(
    difference: np.ndarray,
    unit: Any,
    decisions: tuple[np.ndarray, np.ndarray],
    tolerance: Tolerance,
    where: str,
) -> tuple[float, float]:
    """The largest difference of outputs `[n, C]`, and the share of equal decisions.

    Raises:
        InputError: they are too far apart.
    """
    share = float((difference / unit).max())
    same, margins = decisions
    decided = same[margins > tolerance.margin * unit] if len(same) else same
    agreement = float(decided.mean()) if len(decided) >= _FEWEST_DECIDED else 1.0
    if not share <= tolerance.difference or not agreement >= tolerance.agreement:
        raise InputError(
            f"The converted file is not as good as its model: on {where} outputs differ by up to {share:.2g} of their "
            f"size (allowed: {tolerance.difference:.2g}), and of the {len(decided)} with a clear class "
            f"{agreement:.1%} get the same (needed: {tolerance.agreement:.1%}). {_advice(tolerance)}"
        )
    return float(difference.max()), float(same.mean()) if len(same) else 1.0


def _advice(tolerance: Tolerance) -> str:
    """What to do where a file is refused."""
    advice = "Nothing was written. Try --quantize none"
    if tolerance in (TOLERANCES["int8"], CALIBRATED):
        advice += "; for int8 on micro, calibrate on more of the texts that the model will meet (--calibrate)"
    return advice


def _units(model: Any, expected: np.ndarray) -> Any:
    """What differences are measured in: the largest logit, or for each number of a regression its targets' spread."""
    if getattr(model, "target_unit", None) is None:
        return max(1.0, float(np.abs(expected).max()))
    scale = model.target_unit.values()[1] if model.target_unit.is_known else 1.0
    rounding = 64 * np.finfo(np.float32).eps * np.abs(expected).max(axis=0)  # of targets that are far from 0
    return np.maximum(np.maximum(scale, np.abs(expected - expected.mean(axis=0)).max(axis=0)), 1e5 * rounding)


def _decisions(outputs: Outputs, logits: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether two models decide the same, and how far the second is from deciding otherwise.

    Returns:
        bool and float, one for each text, or for each label of each text; none where the outputs are numbers.
    """
    if outputs.task == "regression":
        return np.ones(0, bool), np.zeros(0)
    same = outputs.decide(logits) == outputs.decide(expected)
    if outputs.task == "classification":
        best = np.partition(expected, -2, axis=1)
        return same, best[:, -1] - best[:, -2]
    least = np.clip(outputs.least, 1e-6, 1 - 1e-6)
    return same.reshape(-1), np.abs(expected - np.log(least / (1 - least))).reshape(-1)
