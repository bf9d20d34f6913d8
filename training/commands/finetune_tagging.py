"""`eelbert finetune --task tagging`: a file of tagged texts in, a tagger's directory out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.tagged import intent_names, read_tagged, span_names
from eelbert_tf.errors import InputError

from .finetune_steps import expected_config, tell, told_of_interrupts, write_report

# Options that say nothing to a tagger, with what they may be.
_OF_OTHER_TASKS = {
    "windows": ("auto", "1"),
    "method": ("auto", "full"),
    "lexical": ("auto", "off"),
    "class_weight": (None,),
    "unknown": (None,),
}


def run_tagging(args: argparse.Namespace, shape: EelbertConfig, default_preset: str) -> dict[str, Any]:
    """Trains, saves and reports.

    Args:
        args: the command's options.
        shape: of fresh weights.
        default_preset: what the model starts from where the options do not say.

    Returns:
        The figures of `finetune`.

    Raises:
        InputError: bad input, or an impossible output.
        KeyboardInterrupt: passed on, after a word on what the output holds.
    """
    for name, allowed in _OF_OTHER_TASKS.items():
        if getattr(args, name) not in allowed:
            given = getattr(args, name)
            what = "a tagger reads one window of a text" if name == "windows" else "says nothing to a tagger"
            raise InputError(f"--{name.replace('_', '-')}: {what}; leave it out. Received: {given}")
    files = [(path, read_tagged(path)) for path in (args.train, args.dev) if path]
    (_, train), *dev = files
    names, intents = span_names(train, args.train), intent_names(train, args.train)
    preset = args.preset or ("scratch" if args.config else default_preset)
    changes = {k: v for k, v in (("max_tokens", args.max_tokens), ("max_bytes", args.max_bytes)) if v is not None}

    import keras

    from eelbert_tf.training.finetune.experiment import Validation, run_experiment
    from eelbert_tf.training.finetune.labelled import Tagged
    from eelbert_tf.training.finetune.run import Options
    from eelbert_tf.training.finetune.tagging import start_tagger, survey_tagged, tagging_recipe

    understood = survey_tagged(files, expected_config(preset, shape, changes))
    tell(understood, args.quiet)
    held_out = Tagged.of(dev[0][1]) if dev else None
    validation = Validation.choose(Tagged.of(train), held_out, args.validation_split, args.seed)
    pretrained, given = preset != "scratch", (args.epochs, args.batch_size, args.learning_rate)
    recipe = tagging_recipe(len(validation.train), pretrained, *given, args.seed)
    keras.utils.set_random_seed(args.seed)
    model = start_tagger(preset, shape, names, intents, changes)
    origin = Path((args.config or "eelbert_uno") if preset == "scratch" else preset).name
    notes = {"trained_on": Path(args.train).name, "started_from": origin, "validation": validation.how}
    with told_of_interrupts(Path(args.output), "the best pass so far; --resume goes on"):
        options = Options(Path(args.output), notes, args.quiet, args.resume)
        found = run_experiment(model, validation, recipe, args.trials, options)
    facts = {"names": names, "labels": intents, "preset": preset, "config": origin}
    return write_report(args, model, found, understood) | facts
