"""Checks that the options of a conversion go together, before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eelbert_tf.disk.files import check_file
from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.tflite.flatbuffer.metadata import QUANTIZE, TARGETS, is_ours, runtime_name
from eelbert_tf.tflite.kits.firmware import PREFIX, check_kit

from .calibrate import LEAST_CALIBRATION_TEXTS

# Runtimes that a file can be made for: the TensorFlow Lite in them.
COMPATIBLE = {"tflite-2.14": (2, 14)}
MICRO_QUANTIZE = ("none", "int8")
# For LiteRT and TFLite Micro, and for programs of others.
TARGETS_OF_FILES = (*TARGETS, "onnx", "mediapipe")
# What makes numbers of a text in a kit: operators of the model, or C.
FRONT_ENDS = ("model", "c")


def check_options(
    target: str,
    quantize: str,
    calibration: Sequence[TextOrPair] | None,
    kit: str | os.PathLike[str] | None = None,
    compatible: str | None = None,
    task: str | None = None,
    kit_prefix: str = PREFIX,
    lengths: Sequence[int] | None = None,
    front_end: str = "model",
) -> None:
    """Checks the options of a conversion.

    Raises:
        InputError: one of them is unknown, they do not go together, or the kit's folder holds something else.
    """
    check_choice("target", target, TARGETS_OF_FILES)
    check_choice("quantize", quantize, QUANTIZE)
    if task is not None:
        check_choice("task", task, (EMBEDDING,))
    if target == "micro" and quantize not in MICRO_QUANTIZE:
        raise InputError(f"TFLite Micro cannot run --quantize {quantize}: for --target micro choose none or int8")
    if target == "onnx" and quantize != "none":
        raise InputError(f"--target onnx writes float32: leave --quantize out. Received: --quantize {quantize}")
    if compatible is not None:
        check_choice("compatible", compatible, tuple(COMPATIBLE))
        if target not in ("mobile", "mediapipe"):
            raise InputError(f"--compatible is for --target mobile and mediapipe. Received: --target {target}")
    check_choice("front-end", front_end, FRONT_ENDS)
    if front_end == "c" and (kit is None or (target, quantize) != ("micro", "int8")):
        raise InputError("--front-end c writes a kit in 8 bits: it needs --target micro, --quantize int8 and --kit")
    if lengths is not None and target != "mobile" and front_end != "c":
        raise InputError(f"--lengths is for --target mobile, and for --front-end c. Received: --target {target}")
    if kit is not None:
        if target != "micro":
            raise InputError(
                f"--kit writes sources for TFLite Micro: it needs --target micro. Received: --target {target}"
            )
        check_kit(kit, kit_prefix)
    elif kit_prefix != PREFIX:
        raise InputError(f"--kit-prefix names what is in a kit: it needs --kit. Received: --kit-prefix {kit_prefix}")
    if target == "micro" and quantize == "int8":
        given = len(calibration or ())
        if given < LEAST_CALIBRATION_TEXTS:
            raise InputError(
                "--target micro --quantize int8 is calibrated on texts like those that the model will meet: name a "
                f"file with a few hundred by --calibrate. Received: {given or 'no'} texts; the least is "
                f"{LEAST_CALIBRATION_TEXTS}"
            )


def check_choice(option: str, value: object, allowed: Sequence[str]) -> None:
    """Checks an option that is one of a few words.

    Raises:
        InputError: it is another one; the message lists those allowed.
    """
    if value not in allowed:
        raise InputError(f"--{option}: expected one of {', '.join(allowed)}. Received: {value!r:.100}")


def check_runtime(needed: tuple[int, int], compatible: str | None) -> None:
    """Checks that the required runtime can run a file.

    Args:
        needed: the oldest TensorFlow Lite that has the operators of the file.
        compatible: a key of `COMPATIBLE`, or `None`.

    Raises:
        InputError: that runtime is too old for the file.
    """
    if compatible is not None and needed > COMPATIBLE[compatible]:
        raise InputError(f"The file needs TensorFlow Lite {runtime_name(needed)}: it cannot be made for {compatible}")


def check_output(output: str | os.PathLike[str]) -> None:
    """Refuses an output file that cannot be written, or must not be.

    Raises:
        InputError: it is such a file.
    """
    check_file(output)
    check_replaceable(output)


def check_replaceable(output: str | os.PathLike[str]) -> None:
    """Refuses to replace another file than a converted model.

    Raises:
        InputError: there is such a file.
    """
    path = Path(output)
    if path.is_file() and path.stat().st_size and not is_ours(path):
        raise InputError(
            f"{os.fspath(output)}: exists, and `eelbert convert` did not write it; choose another name, or move it away"
        )
