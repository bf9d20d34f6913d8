"""`eelbert distill`: an encoder learns from a larger one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = (
        "Teaches an encoder the sentence embeddings of a larger one, on the sentences of a corpus. The folder it "
        "writes is a model, to be used as `eelbert finetune --preset DIR`. What the teacher says is kept in the "
        "corpus's cache. Interrupt at any time; --resume continues."
    )
    add = parser.add_argument
    add(
        "--teacher",
        required=True,
        metavar="DIR",
        help="a BERT in Hugging Face's layout, of sentence-transformers for example, or a model of this project",
    )
    add("--corpus", required=True, metavar="DIR", help="what `eelbert corpus` wrote")
    add("--preset", metavar="PRESET", help="weights to start from: a preset or a model directory; fresh ones without")
    add("--config", metavar="NAME|F.json", help="shape from fresh weights (eelbert_uno)")
    add("--output", required=True, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="continue the run in DIR; begin it if there is none")
    add("--sentences", type=int, default=500_000, metavar="N", help="sentences of the corpus to learn from")
    add("--epochs", type=int, default=10, metavar="N", help="passes over them")
    add("--batch-size", type=int, default=256, metavar="N", help="sentences per step")
    add("--sequence-length", type=int, default=32, metavar="N", help="tokens of a sentence; longer ones are left out")
    add("--learning-rate", type=float, default=2e-3, metavar="X", help="peak of the schedule")
    add("--seed", type=int, default=0, metavar="N", help="fixes weights and order")
    add("--checkpoint-minutes", type=float, default=5.0, metavar="M", help="between two checkpoints")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Asks the teacher what it has not said yet, and trains.

    Returns:
        The figures of `pretrain`.

    Raises:
        InputError: bad input, or an impossible output.
    """
    from ..pretrain_settings import Settings, read_config

    for name in ("sentences", "epochs", "batch_size"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')}: must be positive, not {getattr(args, name)}")
    if args.preset and args.config:
        raise InputError("--config: the shape is that of --preset; give one of the two")
    settings = Settings(
        objective="teacher",
        teacher=args.teacher,
        sentences=args.sentences,
        preset=args.preset,
        steps=max(1, args.epochs * args.sentences // args.batch_size),
        batch_size=args.batch_size,
        sequence_length=args.sequence_length,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    if args.preset:
        from eelbert_tf.saving import find_model, read_info

        config = read_info(find_model(args.preset))[0].config
    else:
        config = read_config(args.config or "eelbert_uno")

    from ..corpus import Corpus
    from ..pretrain import Habits, pretrain

    habits = Habits(
        resume=args.resume,
        checkpoint_minutes=args.checkpoint_minutes,
        warn=lambda text: print(f"eelbert distill: {text}", file=sys.stderr),
    )
    return pretrain(Corpus(args.corpus), config, settings, Path(args.output), habits)
