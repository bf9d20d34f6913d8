"""`eelbert distill`: a small model learns from a larger one, sentence embeddings of a corpus or labels of a table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.config import POLICIES
from eelbert_tf.errors import InputError

_ENCODERS = {"sentences": 200_000, "epochs": 10, "batch_size": 64, "learning_rate": 5e-3}
_CLASSIFIERS = {"epochs": 3, "batch_size": 32, "learning_rate": 1e-3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = (
        "With --corpus: teaches an encoder the sentence embeddings of a larger one; the folder it writes is a model, "
        "to be used as `eelbert finetune --preset DIR`. What the teacher says is kept in the corpus's cache. Interrupt "
        "at any time; --resume continues. "
        "With --train: teaches a classifier the probabilities of a larger one, on labelled, unlabelled and made-up "
        "texts; the folder it writes is a model, to be used as `eelbert predict --model DIR`."
    )
    add = parser.add_argument
    add(
        "--teacher",
        required=True,
        metavar="DIR",
        help="with --corpus a BERT in Hugging Face's layout, of sentence-transformers for example, or a model of this "
        "project; with --train what `eelbert finetune` wrote",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", metavar="DIR", help="what `eelbert corpus` wrote")
    source.add_argument("--train", metavar="F", help="CSV or TSV with a header: text (or text_a, text_b), label")
    add("--preset", metavar="PRESET", help="weights to start from: a preset or a model directory; fresh ones without")
    add("--config", metavar="NAME|F.json", help="shape from fresh weights (eelbert_uno)")
    add("--output", required=True, metavar="DIR", help="folder to write")
    add("--epochs", type=int, metavar="N", help="passes over the texts (10, or 3 with --train)")
    add("--batch-size", type=int, metavar="N", help="texts per step (64, or 32)")
    add("--learning-rate", type=float, metavar="X", help="peak of the schedule (0.005, or 0.001)")
    add("--seed", type=int, default=0, metavar="N", help="fixes weights, order and texts")
    group = parser.add_argument_group("with --corpus").add_argument
    corpus = [
        group("--resume", action="store_true", help="continue the run in DIR; begin it if there is none"),
        group("--sentences", type=int, metavar="N", help="sentences of the corpus (200,000)"),
        group("--sequence-length", type=int, default=32, metavar="N", help="tokens; longer ones are left out"),
        group(
            "--teacher-precision",
            default="none",
            choices=tuple(POLICIES),
            help="type of the teacher's arithmetic: bfloat16 is faster on processors that have it",
        ),
        group("--checkpoint-minutes", type=float, default=5.0, metavar="M", help="between two checkpoints"),
    ]
    group = parser.add_argument_group("with --train").add_argument
    train = [
        group(
            "--dev",
            metavar="F",
            help="held-out file, by whose scores the best pass is kept; left out of the other texts",
        ),
        group("--unlabelled", nargs="+", default=[], metavar="F", help="CSV or TSV files of more texts"),
        group("--text-columns", nargs="+", metavar="NAME", help="one column, or two for pairs (text)"),
        group("--label-column", default="label", metavar="NAME", help="column of the labels"),
        group(
            "--cached-predictions",
            metavar="F.npz",
            help="keep what the teacher says in this file, and go on from it where it exists",
        ),
        group("--made-up", type=int, default=4, metavar="N", help="made-up variants of each training text"),
        group("--teacher-weight", type=float, default=0.5, metavar="X", help="its share where there is a label"),
    ]
    parser.set_defaults(only_with={"corpus": corpus, "train": train})


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Asks the teacher, and trains.

    Returns:
        The figures of `pretrain`, or of `finetune`.

    Raises:
        InputError: bad input, or an impossible output.
    """
    given, other = ("corpus", "train") if args.corpus else ("train", "corpus")
    for option in args.only_with[other]:
        if getattr(args, option.dest) != option.default:
            raise InputError(f"{option.option_strings[0]}: goes with --{other}, not with --{given}")
    for name, value in (_ENCODERS if args.corpus else _CLASSIFIERS).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
        if not getattr(args, name) > 0:
            raise InputError(f"--{name.replace('_', '-')}: must be positive, not {getattr(args, name)}")
    return _encoder(args) if args.corpus else _classifier(args)


def _encoder(args: argparse.Namespace) -> dict[str, Any]:
    from eelbert_tf.training.pretrain.settings import RunOptions, Settings, shape_of

    config = shape_of(args.preset, args.config)
    settings = Settings(
        objective="teacher",
        teacher=args.teacher,
        sentences=args.sentences,
        teacher_precision=args.teacher_precision,
        preset=args.preset,
        steps=max(1, args.epochs * args.sentences // args.batch_size),
        batch_size=args.batch_size,
        sequence_length=args.sequence_length,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )

    from eelbert_tf.training.corpus.reader import Corpus
    from eelbert_tf.training.pretrain.run import pretrain

    options = RunOptions(
        resume=args.resume,
        checkpoint_minutes=args.checkpoint_minutes,
        warn=lambda text: print(f"eelbert distill: {text}", file=sys.stderr),
    )
    return pretrain(Corpus(args.corpus), config, settings, Path(args.output), options)


def _classifier(args: argparse.Namespace) -> dict[str, Any]:
    from eelbert_tf.disk.files import check_directory, check_file
    from eelbert_tf.disk.tables import check_seen, iter_rows, read_table
    from eelbert_tf.saving.folders import MODEL_FOLDER, find_model, weights_digest
    from eelbert_tf.saving.info import read_info
    from eelbert_tf.training.pretrain.settings import shape_of

    from .finetune import check_same_kind

    output = Path(args.output)
    check_directory(output, MODEL_FOLDER)
    if not 0 <= args.teacher_weight <= 1:
        raise InputError(f"--teacher-weight: must lie between 0 and 1, not {args.teacher_weight}")
    if args.made_up < 0:
        raise InputError(f"--made-up: must not be negative, not {args.made_up}")
    kept = Path(args.cached_predictions) if args.cached_predictions else None
    if kept:
        check_file(kept)
    config = shape_of(args.preset, args.config)
    teacher_info = read_info(find_model(args.teacher))[0]
    task, classes = teacher_info.task, teacher_info.labels
    if not classes and task != "regression":
        raise InputError(f"--teacher: {args.teacher}: names no classes; expected what `eelbert finetune` wrote")
    train = read_table(args.train, args.text_columns, args.label_column, task)
    dev = read_table(args.dev, args.text_columns, args.label_column, task) if args.dev else None
    pair = isinstance(train.texts[0], tuple)
    if pair != teacher_info.pair:
        raise InputError(f"--teacher: {args.teacher}: takes {'single texts' if pair else 'pairs of texts'}")
    if dev is not None:
        check_same_kind(train, dev)
    for table in (train, dev):
        if table is not None and task != "regression" and classes:
            check_seen(table, [name for name in classes if name is not None])
    unlabelled = []
    for path in args.unlabelled:
        for row in iter_rows(path, args.text_columns, None):
            if isinstance(row.text, tuple) != pair:
                raise InputError(f"{path}: expected {'pairs of texts' if pair else 'single texts'}, as in {args.train}")
            unlabelled.append(row.text)

    import keras

    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.training.distill.soft_targets import distilled_targets
    from eelbert_tf.training.finetune.labelled import Labelled
    from eelbert_tf.training.finetune.recipe import Recipe
    from eelbert_tf.training.finetune.run import Options, finetune
    from eelbert_tf.training.finetune.start import SCRATCH, start

    identity = json.dumps([weights_digest(args.teacher), teacher_info.config.to_dict()])
    teacher = EelbertClassifier.from_preset(args.teacher)
    held_out = dev.texts if dev else ()
    learned = distilled_targets(
        teacher, train, unlabelled, args.made_up, args.teacher_weight, args.seed, held_out, kept, identity
    )
    keras.utils.set_random_seed(args.seed)
    origin = args.preset or SCRATCH
    notes = {"trained_on": train.path.name, "started_from": origin, "taught_by": Path(args.teacher).name}
    trained = finetune(
        start(origin, config, pair, classes, {}, task),
        learned,
        None if dev is None else Labelled(dev.texts, dev.labels, dev.lines),
        Recipe(args.epochs, args.batch_size, args.learning_rate, seed=args.seed),
        Options(output, notes),
    )
    return {"output": str(output), "labelled": len(train), **trained.report()}
