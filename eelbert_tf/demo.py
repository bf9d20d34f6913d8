"""`eelbert demo`: the whole path on embedded sample data, beside the baseline that a user would try first."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PRESET = "uno_en"
SLOTS, WIDTH = 32, 128  # a device command is short


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--output", metavar="DIR", help="folder that keeps the model and the TFLite file (none)")
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="passes over the training texts")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes the order of texts, and dropout")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tunes, converts, runs, and prints one table."""
    if args.output:
        Path(args.output).mkdir(parents=True, exist_ok=True)
        return _demo(Path(args.output), args)
    with tempfile.TemporaryDirectory(prefix="eelbert-demo-") as folder:
        return _demo(Path(folder), args)


def _demo(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    from eelbert_tf.training.finetune.baselines import TfidfLogisticRegression
    from eelbert_tf.training.finetune.device_commands import device_commands

    begin = time.perf_counter()
    train, test = device_commands()
    labels = sorted({label for _, label in train})
    _say(f"{len(train)} training and {len(test)} test texts in {len(labels)} classes, synthetic: made by a grammar")
    _say("loading TensorFlow ...")
    import keras

    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.tflite.conversion.convert import convert
    from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
    from eelbert_tf.training.finetune.labelled import Labelled
    from eelbert_tf.training.finetune.recipe import Recipe
    from eelbert_tf.training.finetune.run import Options, finetune

    recipe = Recipe(args.epochs, batch_size=32, seed=args.seed)
    keras.utils.set_random_seed(args.seed)
    model = EelbertClassifier.from_preset(PRESET, labels=labels, max_tokens=SLOTS, max_bytes=WIDTH)
    trained = finetune(model, Labelled(*zip(*train, strict=True)), None, recipe, Options(folder / "model"))
    _say("converting to TFLite and checking the file ...")
    file = folder / "commands.tflite"
    converted = convert(folder / "model", file, quantize="int8")

    texts, targets = (list(column) for column in zip(*test, strict=True))
    runtime = EelbertRuntime(file)
    begin_run = time.perf_counter()
    ours = [runtime.classify(text)[0][0] for text in texts]
    ms = (time.perf_counter() - begin_run) / len(texts) * 1000
    baseline = TfidfLogisticRegression().fit(*zip(*train, strict=True))

    def share(predictions: Sequence[str | None]) -> float:
        return sum(p == t for p, t in zip(predictions, targets, strict=True)) / len(targets)

    baseline_figures = (share(baseline.predict(texts)), baseline.size_bytes(), baseline.ms_per_text(texts))
    rows = [
        (f"{PRESET}, one TFLite file, bytes in", share(ours), file.stat().st_size, ms),
        ("TF-IDF + logistic regression (Python)", *baseline_figures),
    ]
    print(f"{'':40}{'accuracy':>9}{'bytes':>12}{'ms per text':>13}")
    for name, correct, size, milliseconds in rows:
        print(f"{name:40}{correct:9.1%}{size:12,}{milliseconds:13.2f}")
    print(f"{len(texts)} test texts, one at a time, one thread; {args.epochs} passes, seed {args.seed}.")
    print(f'"{texts[0]}" is {ours[0]}.')
    keys = ("accuracy", "bytes", "ms_per_text")
    return {
        "eelbert": dict(zip(keys, (round(rows[0][1], 4), rows[0][2], round(ms, 3)), strict=True)),
        "tfidf": dict(zip(keys, (round(rows[1][1], 4), rows[1][2], round(rows[1][3], 3)), strict=True)),
        "classes": len(labels),
        "train_texts": len(train),
        "test_texts": len(texts),
        "max_abs_diff": converted["max_abs_diff"],
        "fine_tuning_seconds": round(trained.seconds, 1),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
