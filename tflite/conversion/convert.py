"""Converts a model to a TFLite file, and checks the file against Keras before publishing it."""

from __future__ import annotations

import dataclasses
import functools
import os
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.strings import TextOrPair, encode_texts
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.flatbuffer.file import operators
from eelbert_tf.tflite.flatbuffer.finish import finish
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import Metadata, runtime_name
from eelbert_tf.tflite.flatbuffer.versions import min_runtime
from eelbert_tf.tflite.kits.c_sources import arena_of
from eelbert_tf.tflite.kits.firmware import PREFIX, write_kit
from eelbert_tf.tflite.runtimes.copies import check_finite, copy_of, is_float32
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime, Runtime
from eelbert_tf.tflite.runtimes.models import check_model, load_keras, metadata_of
from eelbert_tf.tflite.runtimes.onnx_file import OnnxRuntime
from eelbert_tf.tflite.runtimes.tflm import EncoderRuntime, TflmRuntime

from .calibrate import MOST_CALIBRATION_TEXTS
from .compare import CALIBRATED, TOLERANCES, compare, compare_embeddings, compare_tags
from .encoder import check_front_end, describe_encoder, to_encoder
from .export import check_exportable
from .instructions import predict_instructions
from .lengths import shorter_lengths, to_graphs
from .micro import to_micro
from .options import check_options, check_output, check_replaceable, check_runtime
from .quantize import to_dynamic, to_float16, to_int8_weights
from .self_test import expected
from .to_mediapipe import check_mediapipe, check_probabilities, to_mediapipe
from .to_onnx import OPSET, node_kinds, to_onnx

if TYPE_CHECKING:
    from eelbert_tf.tflite.runtimes.models import ModelOrName

TEXTS_CHECKED = 600
TEXTS_CHECKED_IN_TFLM = 100
CALIBRATION_TEXTS_CHECKED = 200


# What each way to quantize does to a float32 graph for the target "mobile".
MOBILE: dict[str, Callable[[Graph], None]] = {
    "none": lambda graph: None,
    "float16": to_float16,
    "dynamic": to_dynamic,
    "int8": to_int8_weights,
}
# The same for runtimes before TensorFlow Lite 2.17, which read one scale for all outputs of a dense layer.
MOBILE_BEFORE_2_17 = MOBILE | {
    "dynamic": functools.partial(to_dynamic, per_row=False),
    "int8": functools.partial(to_int8_weights, per_row=False),
}


def convert(
    model: ModelOrName,
    output: str | os.PathLike[str],
    target: str = "mobile",
    quantize: str = "none",
    max_tokens: int | None = None,
    max_bytes: int | None = None,
    calibration: Sequence[TextOrPair] | None = None,
    kit: str | os.PathLike[str] | None = None,
    compatible: str | None = None,
    task: str | None = None,
    kit_prefix: str = PREFIX,
    lengths: Sequence[int] | None = None,
    front_end: str = "model",
    measure: Callable[[Runtime], Any] | None = None,
) -> dict[str, Any]:
    """Writes a model as a TFLite or ONNX file and checks it; a file that fails the check is not written.

    Args:
        model: an `EelbertClassifier`, `EelbertTagger` or `EelbertSentenceEncoder`, which stays as it is, a model
            directory, or the name of a preset. A model of mixed precision is converted in float32. Of an encoder
            without a head the file gives embeddings.
        output: the file to write; an older file that `convert` wrote is replaced, any other is not.
        target: "mobile" for LiteRT, "micro" for TFLite Micro, "onnx" for ONNX Runtime, or "mediapipe" for MediaPipe's
            TextClassifier and TextEmbedder.
        quantize: "none", "float16", "dynamic" or "int8".
        max_tokens: token slots, [CLS] and [SEP] included; the model's own by default.
        max_bytes: bytes of a text; the model's own by default.
        calibration: texts like those that the file will meet, for 8-bit activations on the target "micro".
        kit: folder for the sources that firmware compiles, for the target "micro"; other files in it stay.
        compatible: "tflite-2.14" for a file that TensorFlow Lite 2.14 runs as well, for the targets "mobile" and
            "mediapipe"; int8 weights then have one scale for a whole layer, which costs some accuracy.
        task: "embedding" for the embeddings of the encoder in any model directory or preset; by default what the model
            is for.
        kit_prefix: what the names of files, functions and constants of the kit begin with; one of its own for each
            model of a firmware that has several.
        lengths: token slots of shorter graphs beside the whole, for the target "mobile": a text goes through the
            shortest that holds it. By default 16, 24, 32, 64, 128 and 256, those below `max_tokens`; `[max_tokens]` for
            none. Likewise of the encoder of a kit with a front end in C.
        front_end: "c" for a kit that makes numbers of a text in C, in integers, and whose model is the encoder alone;
            for int8 on "micro". The file is the whole model all the same.
        measure: is called with what runs the file on its target, in the end, and with what runs the encoder of a kit
            with a front end in C; what it returns is in the report, under `test`.

    Returns:
        The report: size, operators, `min_runtime`, the oldest TensorFlow Lite that has them, or `opset`, the version of
        ONNX's, and how far the file is from the Keras model. For "micro" also `arena_bytes`, the
        memory that TFLite Micro needed on this 64-bit machine, `arena_with_margin`, what to reserve, and
        `arena_bytes_32_bit`, what it needs with shorter pointers, predicted. For int8 on
        "micro" also the `instructions` of a run on Cortex-M cores, predicted, how far it is from the model on the texts
        for calibration, and the error of each layer there, as a
        share of the layer's own size (both as root mean squares). With a front end in C also `encoder`: the same of
        what is in the kit.

    Raises:
        InputError: the model or an option does not allow it, or the file written is not as good as the model.
    """
    check_options(target, quantize, calibration, kit, compatible, task, kit_prefix, lengths, front_end)
    check_output(output)
    check_model(model, max_tokens, max_bytes, task)
    with replace_file(output) as temporary:
        keras_model = load_keras(model, max_tokens, max_bytes, task)
        check_exportable(keras_model)
        check_finite(keras_model)
        if front_end == "c":
            check_front_end(keras_model)
        if not is_float32(keras_model):
            keras_model = copy_of(keras_model)
        metadata = metadata_of(keras_model, "micro" if target == "micro" else "mobile", quantize)
        if target == "mobile":
            metadata = dataclasses.replace(metadata, lengths=shorter_lengths(lengths, metadata.whole))
        if target == "mediapipe":
            check_mediapipe(metadata)
        calibration = calibration_texts(calibration, metadata)
        report: dict[str, Any] = {}
        to_export = _to_export(keras_model)
        if target != "micro":
            graph, *shorter = to_graphs(to_export, metadata.shorter)
            for one in (graph, *shorter):
                (MOBILE_BEFORE_2_17 if compatible else MOBILE)[quantize](one)
        else:
            graph, layer_errors = to_micro(to_export, quantize, encode_texts(calibration, metadata.max_bytes))
            shorter = []
            report |= {"layer_errors": layer_errors} if layer_errors else {}
        data = to_onnx(graph, metadata) if target == "onnx" else finish(graph, metadata, shorter)
        needed = min_runtime(graph, *shorter)
        check_runtime(needed, compatible)
        ops = check_operators(graph.model) if target != "onnx" else node_kinds(data)
        temporary.write_bytes(data)
        texts = hard_inputs(metadata.pair, TEXTS_CHECKED)
        runtime: Runtime = OnnxRuntime(temporary) if target == "onnx" else EelbertRuntime(temporary)
        compared = {"tagging": compare_tags, EMBEDDING: compare_embeddings}.get(metadata.task, compare)
        report |= compared(keras_model, runtime, texts, TOLERANCES[quantize])
        if target == "micro":
            tflm = TflmRuntime(temporary)
            in_tflm = compared(keras_model, tflm, texts[:TEXTS_CHECKED_IN_TFLM], TOLERANCES[quantize])
            report |= {f"tflm_{key}": value for key, value in in_tflm.items()}
            if quantize == "int8":
                report["instructions"] = predict_instructions(graph)
                own = calibration[:: max(1, len(calibration) // CALIBRATION_TEXTS_CHECKED)]
                on_own = compared(keras_model, runtime, own, CALIBRATED, "calibration texts")
                report |= {f"calibration_{key}": value for key, value in on_own.items()}
            arena = arena_of(tflm.arena_bytes(), len(graph.operators))
            report |= arena.report()
            TflmRuntime(temporary, report["arena_with_margin"])  # it does suffice
        if target == "mediapipe":
            data = to_mediapipe(data, metadata)
            temporary.write_bytes(data)
            report["max_abs_diff_probabilities"] = check_probabilities(data, runtime, texts)
        if kit is not None:
            parts, encoder = ops, None
            in_kit: TflmRuntime | EncoderRuntime = tflm
            if front_end == "c":
                encoder = to_encoder(_to_export(keras_model), calibration, shorter_lengths(lengths, metadata.whole))
                in_kit, parts = EncoderRuntime(encoder, metadata, zlib.crc32(data)), encoder.ops
                on_own = compared(keras_model, in_kit, own, CALIBRATED, "calibration texts")
                arena = arena_of(in_kit.arena_bytes(), encoder.operators)
                report["encoder"] = describe_encoder(encoder, arena) | on_own
            write_kit(kit, data, metadata, parts, arena, expected(in_kit), version("tflite-micro"), kit_prefix, encoder)
            report["kit"] = os.fspath(kit)
        check_replaceable(output)  # it may have come in the meantime
    if measure is not None:
        made: dict[str, Runtime] = (
            {"tflm": tflm} if target == "micro" else {"onnx" if target == "onnx" else "litert": runtime}
        )
        if front_end == "c":
            made["kit"] = in_kit
        report["test"] = {name: measure(one) for name, one in made.items()}
    return {
        "output": os.fspath(output),
        "bytes": len(data),
        "target": target,
        "quantize": quantize,
        "input_shape": [1, metadata.max_bytes],
        "max_tokens": metadata.max_tokens,
        "lengths": [length.tokens for length in (*metadata.shorter, metadata.whole)],
        **({"max_windows": metadata.max_windows} if metadata.windows else {}),
        "task": metadata.task,
        "labels": metadata.labels,
        **({"tags": metadata.tags} if metadata.tags else {}),
        **({"width": metadata.num_classes} if metadata.task == EMBEDDING else {}),
        "ops": ops,
        **({"opset": OPSET} if target == "onnx" else {"min_runtime": runtime_name(needed)}),
        "custom_ops": [],
        "flex_ops": [],
        **report,
    }


def _to_export(model: Any) -> Any:
    """A copy of a model, since exporting changes layers; a regression's has the unit of its targets in its weights."""
    copied = copy_of(model)
    if copied.task == "regression":
        copied.fold_unit()
    return copied


def calibration_texts(calibration: Sequence[TextOrPair] | None, metadata: Metadata) -> list[TextOrPair]:
    """At most as many texts to calibrate on as are of use, spread over those given.

    Raises:
        InputError: they are pairs for a model of single texts, or the other way round.
    """
    texts = list(calibration or ())
    if any(isinstance(text, tuple) != metadata.pair for text in texts):
        kinds = ("pairs of texts", "single texts") if metadata.pair else ("single texts", "pairs of texts")
        raise InputError(f"The model takes {kinds[0]}; the calibration file holds {kinds[1]}")
    step = max(1, len(texts) // MOST_CALIBRATION_TEXTS)
    return texts[::step][:MOST_CALIBRATION_TEXTS]


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
