"""`eelbert convert`: a model directory in, one TFLite or ONNX file out."""

from __future__ import annotations

import argparse
from typing import Any

from eelbert_tf.disk.inputs import spread_texts
from eelbert_tf.disk.tagged import holds_tags, iter_tagged, read_tagged
from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.tflite.conversion.calibrate import MOST_CALIBRATION_TEXTS
from eelbert_tf.tflite.conversion.options import TARGETS_OF_FILES, check_choice, check_output
from eelbert_tf.tflite.flatbuffer.metadata import QUANTIZE, TARGETS
from eelbert_tf.tflite.kits.firmware import PREFIX
from eelbert_tf.tflite.runtimes.models import KerasModel, Model, check_model

from .evaluate import add_label_arguments, labelled, measure, measure_tags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", required=True, metavar="DIR", help="model directory or preset")
    parser.add_argument("--output", required=True, metavar="F.tflite", help="file to write; F.onnx for the target onnx")
    parser.add_argument("--task", metavar="T", help="embedding: the embeddings of its encoder (what the model is for)")
    parser.add_argument(
        "--target",
        metavar="T",
        default="mobile",
        help="mobile: LiteRT; micro: TFLite Micro; onnx: ONNX Runtime; mediapipe: its TextClassifier",
    )
    parser.add_argument(
        "--quantize",
        metavar="Q",
        default="none",
        help="none, float16, dynamic or int8: 16 or 8 bits for the weights; int8 on micro computes in 8 bits",
    )
    parser.add_argument(
        "--calibrate", metavar="F", help="a few hundred texts (CSV, TSV or .txt) for --target micro --quantize int8"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="token slots, with [CLS] and [SEP] (the model's)")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="bytes read of a text (the model's)")
    parser.add_argument(
        "--lengths",
        nargs="+",
        type=int,
        metavar="N",
        help="token slots of shorter graphs in the file, for short texts (16, 24, 32, 64, 128 and 256, those below "
        "--max-tokens); the number of --max-tokens for none; for mobile, and for --front-end c",
    )
    parser.add_argument("--kit", metavar="DIR", help="folder that gets C sources of the model, for --target micro")
    parser.add_argument(
        "--kit-prefix",
        default=PREFIX,
        metavar="NAME",
        help=f"what all names in the kit begin with, for several models in one firmware ({PREFIX})",
    )
    parser.add_argument(
        "--front-end",
        default="model",
        metavar="F",
        help="c: the kit makes numbers of a text in C and its model is the encoder alone: fewer instructions and less "
        "memory; for int8 (model: the model does all)",
    )
    parser.add_argument(
        "--compatible",
        metavar="R",
        help="tflite-2.14: a file that TensorFlow Lite 2.14 runs too; for mobile and mediapipe",
    )
    parser.add_argument(
        "--test", metavar="F", help="labelled texts to measure the file, the model, and a kit's encoder on"
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="of F: one column, or two for pairs (text)")
    add_label_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Converts and reports.

    Raises:
        InputError: the options do not go together, or the model cannot be converted.
    """
    check_choice("target", args.target, TARGETS_OF_FILES)
    if args.test is not None and args.target not in TARGETS:
        raise InputError(f"--test: runs files for {' and '.join(TARGETS)}. Received: --target {args.target}")
    check_choice("quantize", args.quantize, QUANTIZE)
    check_output(args.output)
    if args.task is not None:
        check_choice("task", args.task, (EMBEDDING,))
    task = check_model(args.model, args.max_tokens, args.max_bytes, args.task)
    if task == EMBEDDING and args.test is not None:
        raise InputError("--test: is for models with labels; an embedding has none: leave the option out")
    calibration: list[TextOrPair] | None = None
    if args.calibrate is not None:
        if holds_tags(args.calibrate):
            rows = read_tagged(args.calibrate)
            calibration = [row.text for row in rows[:: max(1, len(rows) // MOST_CALIBRATION_TEXTS)]]
        else:
            calibration = spread_texts(args.calibrate, args.text_columns, MOST_CALIBRATION_TEXTS)
    from eelbert_tf.tflite.conversion.convert import convert

    def score(model: Model) -> dict[str, Any]:
        if model.metadata.task == "tagging":
            return measure_tags(model, iter_tagged(args.test))[0]
        return measure(model, labelled(args, model.metadata, args.test))[0]

    report = convert(
        args.model,
        args.output,
        args.target,
        args.quantize,
        args.max_tokens,
        args.max_bytes,
        calibration,
        args.kit,
        args.compatible,
        args.task,
        args.kit_prefix,
        args.lengths,
        args.front_end,
        score if args.test is not None else None,
    )
    if args.test is not None:
        report["test"]["keras"] = score(KerasModel(args.model, args.max_tokens, args.max_bytes))
    return report
