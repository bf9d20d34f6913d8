"""`eelbert finetune`: a labelled file in, a model directory out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import check_directory
from eelbert_tf.disk.tables import Table, check_labels, check_seen, read_table
from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import MODEL_FOLDER, read_config

from .finetune_tagging import run_tagging

PRESET = "uno_en"  # what users start from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--train", required=True, metavar="F", help="CSV or TSV with a header: text (or text_a, text_b), label"
    )
    parser.add_argument("--dev", metavar="F", help="held-out file, scored after each epoch")
    parser.add_argument("--output", required=True, metavar="DIR", help="model directory to write")
    parser.add_argument(
        "--preset",
        help=f"a preset, a model directory, or scratch for fresh weights ({PRESET}; scratch where there is a --config)",
    )
    parser.add_argument(
        "--config",
        metavar="NAME|F.json",
        help="start from fresh weights of this shape (eelbert_uno, with --preset scratch)",
    )
    parser.add_argument(
        "--task",
        default="classification",
        choices=("classification", "regression", "tagging"),
        help="labels are classes, or numbers, or tags of words (files with tokens and tags, or CoNLL columns)",
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels")
    parser.add_argument(
        "--method",
        default="auto",
        choices=("auto", "convex", "full"),
        help="convex: fit the heads alone, in seconds; full: train the encoder too (auto: convex for few texts)",
    )
    parser.add_argument(
        "--lexical",
        default="auto",
        choices=("auto", "on", "off"),
        help="with convex: words and word pairs beside the encoder (auto: where held-out texts say that they help)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training file (3 to 40, by its size)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts per step")
    parser.add_argument(
        "--learning-rate", type=float, metavar="X", help="peak of the schedule (0.001, or 0.0003 for very many texts)"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="token slots of the model (128)")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="bytes it reads of a text (512)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes initial weights, order and dropout")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Trains, saves and reports.

    Returns:
        The figures of `finetune`.

    Raises:
        InputError: bad input, or an impossible output.
        KeyboardInterrupt: passed on, after a word on what the output holds.
    """
    if args.config and args.preset not in (None, "scratch"):
        raise InputError("--config: the shape is that of --preset; give one of the two")
    config = args.config or "eelbert_uno"
    shape = read_config(config)
    if shape.hash is None:
        raise InputError(f"--config: {config}: needs a vocabulary; give --preset what `eelbert pretrain` wrote")
    output = Path(args.output)
    check_directory(output, MODEL_FOLDER)
    if args.task == "tagging":
        preset = args.preset or ("scratch" if args.config else PRESET)
        with told_of_interrupts(output):
            return run_tagging(args, preset, shape, Path(config if preset == "scratch" else preset).name)
    regression = args.task == "regression"
    train = read_table(args.train, args.text_columns, args.label_column, regression)
    dev = read_table(args.dev, args.text_columns, args.label_column, regression) if args.dev else None
    classes = None if regression else check_labels(train)
    if dev is not None:
        check_same_kind(train, dev)
        if classes:
            check_seen(dev, classes)

    import keras

    from eelbert_tf.training.finetune.heads import LEXICAL, fit_heads, in_words, suited_method
    from eelbert_tf.training.finetune.labelled import Labelled
    from eelbert_tf.training.finetune.recipe import suited_recipe
    from eelbert_tf.training.finetune.run import finetune
    from eelbert_tf.training.finetune.start import SCRATCH, start

    preset = args.preset or (SCRATCH if args.config else PRESET)
    recipe = suited_recipe(len(train), preset != SCRATCH, args.epochs, args.batch_size, args.learning_rate, args.seed)
    keras.utils.set_random_seed(args.seed)
    changes = {k: v for k, v in (("max_tokens", args.max_tokens), ("max_bytes", args.max_bytes)) if v is not None}
    pair = isinstance(train.texts[0], tuple)
    try:
        model = start(preset, shape, pair, classes, changes)
    except InputError as error:
        if args.preset or args.config or "max_tokens" not in str(error):
            raise
        raise InputError(f"{error}; --config eelbert_uno starts from fresh weights instead") from None
    origin = Path(config if preset == SCRATCH else preset).name
    notes = {"trained_on": train.path.name, "started_from": origin}
    learned, scored = Labelled(train.texts, train.labels), None if dev is None else Labelled(dev.texts, dev.labels)
    asks_for_passes = (args.epochs, args.learning_rate) != (None, None)
    method = suited_method(args.method, len(train), preset != SCRATCH, not regression, asks_for_passes)
    with told_of_interrupts(output):
        if method == "convex":
            report = fit_heads(model, learned, scored, output, notes, LEXICAL[args.lexical], args.seed)
            print(f"eelbert finetune: {in_words(report)}", file=sys.stderr)
        else:
            report = finetune(model, learned, scored, recipe, output, notes)
    return {"output": str(output), "preset": preset, "config": origin, **report}


def check_same_kind(train: Table, dev: Table) -> None:
    """Checks that two tables hold the same: pairs of texts, or single texts.

    Raises:
        InputError: they do not.
    """
    pair = isinstance(train.texts[0], tuple)
    if isinstance(dev.texts[0], tuple) != pair:
        kinds = ("pairs of texts", "single texts") if pair else ("single texts", "pairs of texts")
        raise InputError(f"{dev.path}: expected {kinds[0]}, as in {train.path}; found {kinds[1]}")


@contextmanager
def told_of_interrupts(output: Path) -> Iterator[None]:
    """Says, where an interrupt ends the block, what the output holds.

    Raises:
        KeyboardInterrupt: passed on.
    """
    before = _written(output)
    try:
        yield
    except KeyboardInterrupt:
        state = "is as it was before" if _written(output) == before else "holds the last finished epoch"
        print(f"eelbert finetune: {output} {state}", file=sys.stderr)
        raise


def _written(output: Path) -> int | None:
    """When a model was written: nanoseconds, or `None` where there is none."""
    try:
        return (output / "config.json").stat().st_mtime_ns
    except OSError:
        return None
