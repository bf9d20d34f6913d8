"""`eelbert pretrain`: trains an encoder on a corpus."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.config import POLICIES
from eelbert_tf.training.objectives.registry import GENERATORS, OBJECTIVES
from eelbert_tf.training.pretrain.parallel import STRATEGIES
from eelbert_tf.training.pretrain.settings import Settings

DESCRIPTION = """\
Trains an encoder on a corpus. The output folder is a model for `eelbert finetune --preset DIR`, with log.csv, loss.png
and the last two checkpoints beside it. You can interrupt it at any time: --resume continues exactly where it was.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = DESCRIPTION
    add, default = parser.add_argument, Settings()
    add("--corpus", required=True, metavar="DIR", help="what `eelbert corpus` wrote")
    add("--config", metavar="NAME|F.json", help="a named size, or a JSON file of its fields (eelbert_uno)")
    add("--preset", metavar="PRESET", help="weights to start from: a preset or a model folder (fresh weights)")
    add("--output", required=True, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="continue the run in DIR, or start one if there is none")
    add("--steps", type=int, default=default.steps, metavar="N", help="updates of the weights")
    add("--batch-size", type=int, default=default.batch_size, metavar="N", help="sequences per update")
    add("--sequence-length", type=int, default=default.sequence_length, metavar="N", help="tokens of a sequence")
    add("--seed", type=int, default=default.seed, metavar="N", help="fixes weights, order, masks and dropout")
    offered = [name for name in OBJECTIVES if name != "teacher"]  # that one has its own command, distill
    add(
        "--objective",
        default=default.objective,
        choices=offered,
        help="; ".join(f"{name}: {OBJECTIVES[name][2]}" for name in offered),
    )
    add("--output-words", type=int, default=default.output_words, metavar="N", help="words that are predicted")
    add("--mask-rate", type=float, default=default.mask_rate, metavar="X", help="share of words predicted")
    add("--generator", default=default.generator, choices=GENERATORS, help="replaced: where replacements come from")
    add("--learning-rate", type=float, default=default.learning_rate, metavar="X", help="peak of the schedule")
    add("--warmup", type=float, default=default.warmup, metavar="X", help="share of the steps in which the rate rises")
    add("--weight-decay", type=float, default=default.weight_decay, metavar="X", help="on matrices only")
    add("--clip-norm", type=float, default=default.clip_norm, metavar="X", help="largest norm of the gradients")
    add("--dropout", type=float, default=default.dropout, metavar="X", help="rate while pretraining")
    add(
        "--accumulate",
        type=int,
        default=default.accumulate,
        metavar="N",
        help="micro-batches of an update, to save memory",
    )
    add("--mixed-precision", default=default.mixed_precision, choices=tuple(POLICIES), help="type of the arithmetic")
    add("--no-jit", action="store_true", help="do not compile the step with XLA (TensorFlow only)")
    add("--checkpoint-minutes", type=float, default=5.0, metavar="M", help="between two checkpoints")
    add("--log-every", type=int, default=50, metavar="N", help="steps between two rows of log.csv")
    add("--eval-every", type=int, default=1000, metavar="N", help="steps between scores on held-out text; 0: never")
    add("--eval-batches", type=int, default=16, metavar="N", help="batches of held-out text")
    add("--strategy", default="none", choices=STRATEGIES, help="devices; the backend is chosen by KERAS_BACKEND")
    add("--coordinator", metavar="HOST:PORT", help="jax: address of the first of several processes")
    add("--processes", type=int, default=1, metavar="N", help="jax: number of processes")
    add("--process", type=int, default=0, metavar="I", help="jax: number of this process, from 0")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Pretrains.

    Returns:
        The figures of `pretrain`.

    Raises:
        InputError: bad input, or an impossible output.
    """
    import dataclasses

    from eelbert_tf.training.corpus.reader import Corpus
    from eelbert_tf.training.pretrain.parallel import start
    from eelbert_tf.training.pretrain.settings import RunOptions, shape_of

    fields = {f.name for f in dataclasses.fields(Settings)}
    settings = Settings(**{name: value for name, value in vars(args).items() if name in fields})
    config = shape_of(args.preset, args.config)
    corpus = Corpus(args.corpus)
    parallel = start(args.strategy, args.coordinator, args.processes, args.process)

    from eelbert_tf.training.pretrain.run import pretrain

    options = RunOptions(
        resume=args.resume,
        checkpoint_minutes=args.checkpoint_minutes,
        log_every=args.log_every,
        eval_every=args.eval_every,
        eval_batches=args.eval_batches,
        jit_compile=not args.no_jit,
        parallel=parallel,
        warn=lambda text: print(f"eelbert pretrain: {text}", file=sys.stderr),
    )
    return pretrain(corpus, config, settings, Path(args.output), options)
