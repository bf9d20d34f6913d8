"""`eelbert finetune`: a labelled file in, a model directory out."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import check_directory
from eelbert_tf.disk.inputs import spread_texts
from eelbert_tf.disk.tables import Table, Text, check_labels, read_table
from eelbert_tf.errors import InputError, InputWarning
from eelbert_tf.saving.folders import MODEL_FOLDER, read_config
from eelbert_tf.scores import TASKS
from eelbert_tf.training.finetune.foreign import foreign_texts
from eelbert_tf.training.finetune.survey import survey
from eelbert_tf.training.finetune.windows import choose_windows

from .finetune_steps import expected_config, tell, told_of_interrupts, write_report
from .finetune_tagging import run_tagging

PRESET = "uno_en"  # what users start from

# Foreign texts that are learned: at least so many where there are as many, and at most as many as known ones.
LEAST_FOREIGN = 500
MOST_MADE_UP = 3000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--train", required=True, metavar="F", help="CSV or TSV with a header: text (or text_a, text_b), label"
    )
    parser.add_argument(
        "--dev",
        metavar="F",
        help="held-out file, by whose scores the best pass, temperature and thresholds are chosen (a part of --train)",
    )
    parser.add_argument(
        "--validation-split",
        type=float,
        default=0.1,
        metavar="X",
        help="share of every class in --train that is held out where there is no --dev, but about 36 texts "
        "or more (up to 200 are cross-validated instead); 0 holds out nothing, and keeps the last pass",
    )
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
        choices=(*TASKS, "tagging"),
        help="one class a text; one of two with a single logit; any number of labels; numbers; or tags of words, in "
        "files with tokens and tags, or CoNLL columns (classification)",
    )
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)")
    parser.add_argument(
        "--label-column",
        nargs="+",
        default=["label"],
        metavar="NAME",
        help="column of the labels; for multilabel or regression several, one for each label or number (label)",
    )
    parser.add_argument("--label-separator", default="|", metavar="S", help="stands between several labels (|)")
    parser.add_argument(
        "--unknown",
        nargs="*",
        metavar="X",
        help="refuse texts that belong to no class: a file of such texts, made-up ones without, and the share of known "
        "texts to keep (0.95)",
    )
    parser.add_argument(
        "--method",
        default="auto",
        choices=("auto", "convex", "full"),
        help="convex: fit the heads alone, in seconds; full: train the encoder too, from there on, and keep what is "
        "better on held-out texts (auto: convex for few texts)",
    )
    parser.add_argument(
        "--lexical",
        default="auto",
        choices=("auto", "on", "off"),
        help="words and word pairs beside the encoder; with full and off it is trained from a fresh head (auto: where "
        "held-out texts say that they help)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training file (3 to 40, by its size)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts per step")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="X",
        help="peak of the schedule (0.001, or 0.0003 for very many texts); an encoder that begins with what it knows, "
        "under heads that suit it, learns at 0.3 of it",
    )
    parser.add_argument(
        "--class-weight", choices=("balanced",), help="balanced: all classes weigh the same, however rare (none)"
    )
    parser.add_argument(
        "--trials", type=int, default=1, metavar="N", help="recipes to try on the held-out texts before training"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a training in DIR that was stopped")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="token slots of the model (128)")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="bytes it reads of a text (512)")
    parser.add_argument(
        "--windows",
        default="auto",
        metavar="N|auto",
        help="inputs that a longer text is read in, at most; 1 cuts it off (auto: 8 where more than 3 %% of the texts "
        "are longer)",
    )
    parser.add_argument(
        "--window-overlap", type=int, default=0, metavar="N", help="tokens that a window shares with the one before (0)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes initial weights, order and dropout")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only warnings and errors")


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
    if not 0 <= args.validation_split < 1:
        raise InputError(f"--validation-split: must be from 0 to below 1, not {args.validation_split}")
    output = Path(args.output)
    check_directory(output, MODEL_FOLDER)
    if args.task == "tagging":
        return run_tagging(args, shape, PRESET)
    files = [args.train, *([args.dev] if args.dev else [])]
    tables = [
        read_table(path, args.text_columns, args.label_column, args.task, separator=args.label_separator)
        for path in files
    ]
    train, dev = tables[0], tables[1] if args.dev else None
    classes: list[Any] | None = check_labels(train, args.task)
    if dev is not None:
        check_same_kind(train, dev)
    preset = args.preset or ("scratch" if args.config else PRESET)
    changes = {k: v for k, v in (("max_tokens", args.max_tokens), ("max_bytes", args.max_bytes)) if v is not None}
    pair = isinstance(train.texts[0], tuple)
    changes |= choose_windows(args.windows, args.window_overlap, train.texts, expected_config(preset, shape, changes))
    columns = [*(args.text_columns or (["text_a", "text_b"] if pair else ["text"])), *args.label_column]
    understood = survey(train, dev, args.task, expected_config(preset, shape, changes), columns)
    tell(understood, args.quiet)

    unknown = None if args.unknown is None else read_unknown(args.unknown, args.text_columns, train, args.task)
    if unknown is not None and classes is not None:
        classes = [*classes, None]

    import keras

    from eelbert_tf.training.finetune.calibrate import LEAST_TEXTS, Unknown
    from eelbert_tf.training.finetune.experiment import Validation, run_convex, run_experiment
    from eelbert_tf.training.finetune.heads import LEXICAL, in_words, suited_method
    from eelbert_tf.training.finetune.labelled import Labelled
    from eelbert_tf.training.finetune.recipe import suited_recipe
    from eelbert_tf.training.finetune.run import Options
    from eelbert_tf.training.finetune.start import SCRATCH, start

    validation = Validation.choose(
        Labelled(train.texts, train.labels, train.lines),
        None if dev is None else Labelled(dev.texts, dev.labels, dev.lines),
        args.validation_split,
        args.seed,
        None if unknown is None else Unknown(*unknown),
    )
    count = len(validation.train) + (0 if unknown is None else len(unknown[1]))
    recipe = suited_recipe(
        count,
        preset != SCRATCH,
        args.epochs,
        args.batch_size,
        args.learning_rate,
        args.seed,
        args.class_weight,
        LEXICAL[args.lexical],
        understood.facts.get("windows", {}).get("mean", 1.0),
    )
    keras.utils.set_random_seed(args.seed)
    try:
        model = start(preset, shape, pair, classes, changes, args.task)
    except InputError as error:
        if args.preset or args.config or "max_tokens" not in str(error):
            raise
        raise InputError(f"{error}; --config eelbert_uno starts from fresh weights instead") from None
    origin = Path(config if preset == SCRATCH else preset).name
    if model.backbone.config.hash is None:  # its head is a fresh one
        recipe = replace(recipe, backbone_rate=1.0)
    if args.lexical == "on" and model.backbone.config.hash is None:
        raise InputError(f"--lexical on: words are found by their hash, and {origin} has a vocabulary in place of one")
    notes = {"trained_on": train.path.name, "started_from": origin, "validation": validation.how}
    options = Options(output, notes, args.quiet, args.resume)
    asks_for_passes = (args.epochs, args.learning_rate) != (None, None) or args.trials > 1
    method = suited_method(args.method, len(train), preset != SCRATCH, args.task != "regression", asks_for_passes)
    with told_of_interrupts(output, "the best pass so far; --resume goes on"):
        if method == "convex":
            found = run_convex(model, validation, recipe, LEXICAL[args.lexical], options)
        else:
            found = run_experiment(model, validation, recipe, args.trials, options)
    if unknown is not None and "kept" not in found.calibration:
        warnings.warn(
            f"--unknown: fewer than {LEAST_TEXTS} known texts are held out, too few to keep a share of them; give "
            "--dev, or more texts in --train",
            InputWarning,
            stacklevel=2,
        )
    if not args.quiet and (said := in_words(found.fitted, found.trained, recipe.criterion(args.task))):
        print(f"eelbert finetune: {said}", file=sys.stderr)
    return write_report(args, model, found, understood) | {"preset": preset, "config": origin}


def read_unknown(
    given: list[str], text_columns: list[str] | None, train: Table, task: str
) -> tuple[float, tuple[Text, ...]]:
    """The share of known texts to keep, and texts that belong to no class.

    Args:
        given: what stands after `--unknown`: a share, a file, both, or nothing.
        text_columns: of the file.
        train: the known texts.
        task: what is trained.

    Raises:
        InputError: the option does not suit the task, or is something else.
    """
    if task != "classification":
        raise InputError(
            f"--unknown: is for --task classification, not {task}; a text of several labels may have none already"
        )
    shares = [value for value in given if re.fullmatch(r"[0-9]*\.[0-9]+|[0-9]+", value)]
    files = [value for value in given if value not in shares]
    if len(shares) > 1 or len(files) > 1:
        raise InputError(f"--unknown: takes one file and one share of texts to keep. Received: {' '.join(given)}")
    keep = float(shares[0]) if shares else 0.95
    if not 0 < keep < 1:
        raise InputError(f"--unknown: the share of known texts to keep must lie between 0 and 1. Received: {shares[0]}")
    most = max(LEAST_FOREIGN, len(train))
    pair = isinstance(train.texts[0], tuple)
    if files:
        texts: list[Any] = [
            text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
            for text in spread_texts(files[0], text_columns, most)
        ]
        if any(isinstance(text, tuple) != pair for text in texts):
            raise InputError(f"--unknown: {files[0]}: expected {'pairs of texts' if pair else 'single texts'}")
        return keep, tuple(texts)
    sides = [text if isinstance(text, str) else " ".join(text) for text in train.texts]
    made_up = foreign_texts(sides, min(most, MOST_MADE_UP))
    return keep, tuple(zip(made_up, made_up[1:] + made_up[:1], strict=True)) if pair else tuple(made_up)


def check_same_kind(train: Table, dev: Table) -> None:
    """Checks that two tables hold the same: pairs of texts, or single texts.

    Raises:
        InputError: they do not.
    """
    pair = isinstance(train.texts[0], tuple)
    if isinstance(dev.texts[0], tuple) != pair:
        kinds = ("pairs of texts", "single texts") if pair else ("single texts", "pairs of texts")
        raise InputError(f"{dev.path}: expected {kinds[0]}, as in {train.path}; found {kinds[1]}")
