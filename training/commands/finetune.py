"""`eelbert finetune`: a labelled file in, a model directory out."""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import check_directory
from eelbert_tf.disk.inputs import spread_texts
from eelbert_tf.disk.labels import joined_by
from eelbert_tf.disk.tables import Table, Text, check_labels, check_seen, read_table
from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import MODEL_FOLDER, read_config
from eelbert_tf.scores import TASKS
from eelbert_tf.training.finetune.foreign import foreign_texts

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
        "--dev", metavar="F", help="held-out file, scored after each epoch; sets temperature and thresholds"
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
    files = [args.train, *([args.dev] if args.dev else [])]
    tables = [
        read_table(path, args.text_columns, args.label_column, args.task, separator=args.label_separator)
        for path in files
    ]
    train, dev = tables[0], tables[1] if args.dev else None
    known = check_labels(train, args.task)
    if args.task == "classification" and (separator := joined_by(train.labels)):
        print(
            f"eelbert finetune: {train.path}: labels such as {_example(train.labels, separator)!r} look like several "
            f"in one. If they are, read them with --task multilabel --label-separator {shlex.quote(separator)}",
            file=sys.stderr,
        )
    if dev is not None:
        check_same_kind(train, dev)
        if known and args.task != "regression":
            check_seen(dev, known)

    unknown = None if args.unknown is None else read_unknown(args.unknown, args.text_columns, train, args.task)
    classes = None if known is None else [*known, *([] if unknown is None else [None])]
    held_out = dev
    if dev is None and (count := held_out_count(len(train), args.task, unknown is not None)):
        train, held_out = split(train, count, args.seed)

    import keras

    from eelbert_tf.training.finetune.calibrate import Unknown
    from eelbert_tf.training.finetune.heads import LEXICAL, fit_heads, in_words, suited_method
    from eelbert_tf.training.finetune.labelled import Labelled
    from eelbert_tf.training.finetune.recipe import suited_recipe
    from eelbert_tf.training.finetune.run import finetune
    from eelbert_tf.training.finetune.start import SCRATCH, start

    preset = args.preset or (SCRATCH if args.config else PRESET)
    count = len(train) + (0 if unknown is None else len(unknown[1]))
    recipe = suited_recipe(count, preset != SCRATCH, args.epochs, args.batch_size, args.learning_rate, args.seed)
    keras.utils.set_random_seed(args.seed)
    changes = {k: v for k, v in (("max_tokens", args.max_tokens), ("max_bytes", args.max_bytes)) if v is not None}
    pair = isinstance(train.texts[0], tuple)
    try:
        model = start(preset, shape, pair, classes, changes, args.task)
    except InputError as error:
        if args.preset or args.config or "max_tokens" not in str(error):
            raise
        raise InputError(f"{error}; --config eelbert_uno starts from fresh weights instead") from None
    origin = Path(config if preset == SCRATCH else preset).name
    notes = {"trained_on": train.path.name, "started_from": origin}
    learned, scored = Labelled(train.texts, train.labels), None if dev is None else Labelled(dev.texts, dev.labels)
    asks_for_passes = (args.epochs, args.learning_rate) != (None, None)
    method = suited_method(args.method, len(train), preset != SCRATCH, args.task != "regression", asks_for_passes)
    aside = None if held_out is None else Labelled(held_out.texts, held_out.labels)
    refused = None if unknown is None else Unknown(*unknown)
    with told_of_interrupts(output):
        if method == "convex":
            report = fit_heads(
                model, learned, scored, output, notes, LEXICAL[args.lexical], args.seed, held_out=aside, unknown=refused
            )
            print(f"eelbert finetune: {in_words(report)}", file=sys.stderr)
        else:
            report = finetune(model, learned, scored, recipe, output, notes, held_out=aside, unknown=refused)
    return {"output": str(output), "preset": preset, "config": origin, **report}


def held_out_count(texts: int, task: str, unknown: bool) -> int:
    """How many training texts temperature and thresholds are set on, where there is no development file.

    A temperature alone needs few. Thresholds are worth a tenth of the texts, up to 1,000.

    Args:
        texts: all of them.
        task: what is trained.
        unknown: whether a threshold for foreign texts is to be set.
    """
    if task == "regression":
        return 0
    if task == "classification" and not unknown:
        return min(500, texts // 20) if texts >= 2000 else 0
    return min(1000, texts // 10) if texts >= 300 else 0


def split(table: Table, count: int, seed: int) -> tuple[Table, Table]:
    """A table without some rows, and those; every class stays in the first.

    Args:
        table: what to split.
        count: rows to hold out at most.
        seed: fixes the draw.
    """
    order = random.Random(seed).sample(range(len(table)), len(table))
    left = Counter(name for label in table.labels for name in _names(label))
    drawn: list[int] = []
    for i in order:
        if len(drawn) == count:
            break
        if all(left[name] > 1 for name in _names(table.labels[i])):
            left.subtract(_names(table.labels[i]))
            drawn.append(i)
    chosen = set(drawn)

    def part(rows: list[int]) -> Table:
        columns: dict[str, Any] = {
            name: [getattr(table, name)[i] for i in rows] for name in ("texts", "labels", "lines")
        }
        return dataclasses.replace(table, **columns)

    return part([i for i in range(len(table)) if i not in chosen]), part(sorted(drawn))


def _names(label: Any) -> tuple[str, ...]:
    return label if isinstance(label, tuple) else (label,)


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


def _example(labels: list[str], separator: str) -> str:
    return next(label for label in labels if separator in label.strip(separator))[:40]


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
