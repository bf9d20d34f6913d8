"""`eelbert finetune --task tagging`: a file of tagged texts in, a tagger's directory out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.tagged import intent_names, read_tagged, span_names


def run_tagging(args: argparse.Namespace, preset: str, shape: EelbertConfig, origin: str) -> dict[str, Any]:
    """Trains, saves and reports.

    Args:
        args: the command's options.
        preset: what the model starts from.
        shape: of fresh weights.
        origin: the name of what it starts from, for its notes.

    Raises:
        InputError: bad input.
    """
    train = read_tagged(args.train)
    dev = read_tagged(args.dev) if args.dev else None
    names, intents = span_names(train, args.train), intent_names(train, args.train)

    import keras

    from eelbert_tf.training.finetune.recipe import Recipe
    from eelbert_tf.training.finetune.tagging import RATE, default_epochs, finetune_tagger, start_tagger

    epochs = args.epochs if args.epochs is not None else default_epochs(len(train), max(args.batch_size, 1))
    recipe = Recipe(epochs, args.batch_size, RATE if args.learning_rate is None else args.learning_rate, seed=args.seed)
    keras.utils.set_random_seed(args.seed)
    changes = {k: v for k, v in (("max_tokens", args.max_tokens), ("max_bytes", args.max_bytes)) if v is not None}
    model = start_tagger(preset, shape, names, intents, changes)
    output = Path(args.output)
    notes = {"trained_on": Path(args.train).name, "started_from": origin}
    report = finetune_tagger(model, train, dev, recipe, output, notes)
    if report["truncated"]:
        limits = f"{model.backbone.config.max_tokens} tokens and {model.backbone.config.max_bytes} bytes"
        print(
            f"eelbert finetune: {report['truncated']} of {len(train)} texts are longer than {limits}; "
            "tags behind are not learned (--max-tokens, --max-bytes)",
            file=sys.stderr,
        )
    return {"output": str(output), "preset": preset, "config": origin, **report}
