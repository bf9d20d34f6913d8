"""From a model directory to one TFLite file, tried before it is left to anyone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eelbert_tf.disk.files import check_directory, replace_directory, replace_file
from eelbert_tf.errors import InputError
from eelbert_tf.text.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.flatbuffer.file import operators
from eelbert_tf.tflite.flatbuffer.finish import finish
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.kits.firmware import is_kit, with_margin, write_kit
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.models import Model, check_classifier, load_keras, metadata_of
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime

from .calibrate import LEAST_CALIBRATION_TEXTS, MOST_CALIBRATION_TEXTS
from .copies import copy_of
from .export import to_tflite
from .micro import to_micro
from .quantize import to_dynamic, to_float16, to_int8_weights

TEXTS_CHECKED = 600
TEXTS_CHECKED_IN_TFLM = 100


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the Keras model.

    Args:
        difference: largest difference of a logit, as a share of the largest logit where that is above 1.
        agreement: smallest share of texts that get the same class.
    """

    difference: float
    agreement: float


# Hard texts are harder on int8 than what it was calibrated on: the bound there is for blunders.
TOLERANCES = {
    "none": Tolerance(1e-5, 0.995),
    "float16": Tolerance(0.02, 0.98),
    "dynamic": Tolerance(0.3, 0.9),
    "int8": Tolerance(1.0, 0.8),
}


def _as_it_is(graph: Graph) -> None:
    """Leaves a graph in float32."""


MOBILE: dict[str, Callable[[Graph], None]] = {
    "none": _as_it_is,
    "float16": to_float16,
    "dynamic": to_dynamic,
    "int8": to_int8_weights,
}


def convert(
    model_directory: str | os.PathLike[str],
    output: str | os.PathLike[str],
    target: str = "mobile",
    quantize: str = "none",
    max_tokens: int | None = None,
    max_bytes: int | None = None,
    calibration: Sequence[TextOrPair] | None = None,
    kit: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Writes a classifier as a TFLite file and tries it; a file that fails is not left behind.

    Args:
        model_directory: what `save_to_preset` wrote, or the name of a preset.
        output: the file to write.
        target: "mobile" for LiteRT, or "micro" for TFLite Micro.
        quantize: "none", "float16", "dynamic" or "int8".
        max_tokens: token slots, [CLS] and [SEP] included; the model's own by default.
        max_bytes: bytes of a text; the model's own by default.
        calibration: texts like those that the file will meet, for 8-bit activations on the target "micro".
        kit: folder for the sources that firmware compiles, for the target "micro".

    Returns:
        The report: size, operators and how far the file is from the Keras model. For "micro" also `arena_bytes`, the
        memory that TFLite Micro needed on this 64-bit machine, and `arena_with_margin`, what to reserve.

    Raises:
        InputError: the model or an option does not allow it, or the file written is not as good as the model.
    """
    check_options(target, quantize, calibration, kit)
    check_classifier(os.fspath(model_directory), max_tokens, max_bytes)
    with replace_file(output) as temporary:
        model = load_keras(os.fspath(model_directory), max_tokens, max_bytes)
        metadata = metadata_of(model, target, quantize)
        to_export = copy_of(model)  # exporting changes layers
        if target == "mobile":
            graph = to_tflite(to_export)
            MOBILE[quantize](graph)
        else:
            graph = to_micro(to_export, quantize, calibration_rows(calibration, metadata))
        data = finish(graph, metadata)
        ops = check_operators(graph.model)
        temporary.write_bytes(data)
        report = compare(model, EelbertRuntime(temporary), TOLERANCES[quantize], TEXTS_CHECKED)
        if target == "micro":
            runtime = TflmRuntime(temporary)
            in_tflm = compare(model, runtime, TOLERANCES[quantize], TEXTS_CHECKED_IN_TFLM)
            report |= {f"tflm_{key}": value for key, value in in_tflm.items()}
            report["arena_bytes"] = runtime.arena_bytes()
            report["arena_with_margin"] = with_margin(report["arena_bytes"])
            TflmRuntime(temporary, report["arena_with_margin"])  # it does suffice
        if kit is not None:
            with replace_directory(kit, is_kit) as folder:
                write_kit(folder, data, metadata, ops, report["arena_bytes"])
            report["kit"] = os.fspath(kit)
    return {
        "output": os.fspath(output),
        "bytes": len(data),
        "target": target,
        "quantize": quantize,
        "input_shape": [1, metadata.max_bytes],
        "max_tokens": metadata.max_tokens,
        "labels": metadata.labels,
        "ops": ops,
        "custom_ops": [],
        "flex_ops": [],
        **report,
    }


def check_options(
    target: str,
    quantize: str,
    calibration: Sequence[TextOrPair] | None,
    kit: str | os.PathLike[str] | None = None,
) -> None:
    """Looks at the options before anything is loaded.

    Raises:
        InputError: they do not go together, or the kit's folder holds something else.
    """
    if kit is not None and target != "micro":
        raise InputError(f"--kit writes sources for TFLite Micro: it needs --target micro. Received: --target {target}")
    if kit is not None:
        check_directory(kit, is_kit)
    if target == "micro" and quantize in ("float16", "dynamic"):
        raise InputError(f"TFLite Micro cannot run --quantize {quantize}: for --target micro choose none or int8")
    if target == "micro" and quantize == "int8":
        given = len(calibration or ())
        if given < LEAST_CALIBRATION_TEXTS:
            raise InputError(
                "--target micro --quantize int8 is calibrated on texts like those that the model will meet: name a "
                f"file with a few hundred by --calibrate. Received: {given or 'no'} texts; the least is "
                f"{LEAST_CALIBRATION_TEXTS}"
            )


def calibration_rows(calibration: Sequence[TextOrPair] | None, metadata: Metadata) -> np.ndarray:
    """Bytes of texts to calibrate on, spread over those given: int32 `[n, L]`.

    Raises:
        InputError: they are pairs for a model of single texts, or the other way round.
    """
    texts = list(calibration or ())
    if any(isinstance(text, tuple) != metadata.pair for text in texts):
        kinds = ("pairs of texts", "single texts") if metadata.pair else ("single texts", "pairs of texts")
        raise InputError(f"The model takes {kinds[0]}; the calibration file holds {kinds[1]}")
    step = max(1, len(texts) // MOST_CALIBRATION_TEXTS)
    return encode_texts(texts[::step][:MOST_CALIBRATION_TEXTS], metadata.max_bytes)


def check_operators(model: Any) -> list[str]:
    """Names of the operators of a file (`schema.ModelT`), sorted.

    Raises:
        InputError: one of them is not built into TFLite.
    """
    ops = operators(model)
    foreign = [name for name in ops if name.startswith("CUSTOM")]
    if foreign:
        raise InputError(f"The converter used operators that are not built into TFLite: {', '.join(foreign)}")
    return ops


def compare(model: Any, runtime: Model, tolerance: Tolerance, count: int) -> dict[str, Any]:
    """Runs a file and the Keras model it came from on hard texts.

    Raises:
        InputError: the file's logits are too far from the model's.
    """
    texts = hard_inputs(model.backbone.pair, count)
    data = encode_texts(texts, model.backbone.config.max_bytes)
    batches = np.array_split(data, -(-len(data) // 50))
    expected = np.concatenate([np.asarray(model(batch, training=False)) for batch in batches])
    logits = runtime.predict(texts)
    difference = float(np.abs(logits - expected).max())
    agreement = float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean())
    limit = tolerance.difference * max(1.0, float(np.abs(expected).max()))
    if not difference <= limit or not agreement >= tolerance.agreement:
        raise InputError(
            f"The converted file is not as good as its model: logits differ by up to {difference:.2g} (allowed: "
            f"{limit:.2g}) and {agreement:.1%} of {len(texts)} texts get the same class (needed: "
            f"{tolerance.agreement:.1%}). Nothing was written"
        )
    return {"max_abs_diff": difference, "argmax_agreement": agreement, "texts_checked": len(texts)}
