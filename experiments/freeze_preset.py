"""Copies a trained model into the package as a preset, with a model card.

    python experiments/freeze_preset.py --run DIR --name uno_en_paper --about "..." --data "..." [--scores "..."]

--run is a folder that `eelbert pretrain`, `distill` or `finetune` wrote; --first is the run that it continued, if any.
The card, README.md, is made from the run's notes: configuration, tokens seen, loss curve, held-out scores. config.json
has the weights' checksum, which is verified whenever the preset is loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.files import replace_file
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.saving.checksum import with_checksum
from eelbert_tf.saving.folders import PRESETS, TFLITE_FILE, WEIGHTS_FILE, find_model
from eelbert_tf.saving.info import CONFIG_FILE, read_info

CARD = "README.md"
CURVE = "loss.png"
LIMITS = """English, lower-cased ASCII; other scripts are read byte by byte, but were hardly seen. It knows what its
text knew, with the errors and biases of encyclopedias and old books. It is a small model: it classifies, compares and
ranks short texts after fine-tuning; it does not generate, and it should decide nothing of weight alone."""


def card(name: str, fields: dict[str, Any], parameters: int, args: argparse.Namespace) -> str:
    """The preset's README."""
    run = fields["notes"].get("pretraining", {})
    runs = [*([notes_of(args.first)["pretraining"]] if args.first else []), run]
    config = fields["config"]
    lines = [f"# {name}", "", args.about, ""]
    lines += ["| | |", "|---|---|"]
    count, blocks = config["num_hidden_layers"], EelbertConfig.from_dict(config).num_blocks
    layers = f"{count} layer{'s' * (count > 1)}"
    layers += f" with {blocks} set{'s' * (blocks > 1)} of weights" if blocks < count else ""
    shape = f"{layers}, width {config['hidden_size']}, inner {config['intermediate_size']}"
    lines += [
        f"| shape | {shape}, {config['num_attention_heads']} heads, {config['max_position_embeddings']} positions |"
    ]
    lines += [f"| learned numbers | {learned(parameters, args.run)} |"]
    lines += [f"| hash | `{json.dumps(config['hash'])}` |"]
    if config["lexicon_size"]:
        rows = f"{config['lexicon_size']} rows of {config['lexicon_width']}, {config['lexicon_lookups']} for each word"
        if codes := config.get("lexicon_codes"):
            rows += f", each row in {codes} codes of one byte, {codes * config['lexicon_size']:,} bytes: "
            rows += f"with these {parameters + codes * config['lexicon_size']:,} numbers in all"
        rows += "; added to the output too" if config.get("lexicon_skip") else ""
        lines += [f"| lexicon | {rows} |"]
    lines += [f"| pooling | {config['pooling']} |"]
    if languages := fields["notes"].get("languages"):
        lines += [f"| languages | {' '.join(languages)} |"]
    lines += [f"| text | {args.data} |"]
    if "teachers" in run:
        tasks = f", and {run['tasks']} of the labelled sets x {run['task_rows']}" if run["tasks"] else ""
        lines += [
            f"| objective | likeness to {run['teachers']}; {run['steps']:,} steps of {run['batch_size']} texts{tasks}; "
            f"a quarter of the texts with typing errors |",
            f"| texts seen | {run['steps'] * run['batch_size'] / 1e6:.1f} million, of {run['texts']:,} |",
            f"| trained in | {run['seconds'] / 3600:.1f} hours of one processor core, PyTorch (experiments/presets) |",
        ]
    elif run:
        text = f"{run['corpus_words'] / 1e6:,.1f} million words"
        text = "the sentences" if run["objective"] == "teacher" else text
        lines += [
            f"| {'then' if i else 'objective'} | {one['objective']}, {one['finished_steps']:,} steps of "
            f"{one['batch_size']} x {one['sequence_length']} tokens, peak rate {one['learning_rate']:g} |"
            for i, one in enumerate(runs)
        ]
        tokens, passes, hours = (
            sum(one[key] for one in runs) / unit for key, unit in (("tokens", 1e6), ("epochs", 1), ("seconds", 3600))
        )
        lines += [
            f"| tokens seen | {tokens:,.0f} million slots, {run['share_of_slots_with_words']:.0%} of them "
            f"words: {passes:.1f} passes over {text} |",
            f"| held-out text | {', '.join(f'{k} {v:.4f}' for k, v in run['held_out'].items())} |",
            f"| dropped with the head | {run['head_parameters']:,} numbers |",
            f"| trained in | {hours:.1f} hours, {run['backend']} |",
        ]
    if args.tflite:
        lines += [f"| `{TFLITE_FILE}` | {args.tflite.stat().st_size:,} bytes |"]
    if args.scores:
        lines += [f"| scores | {args.scores} |"]
    if (Path(args.run) / CURVE).is_file():
        lines += ["", f"![loss]({CURVE})"]
    lines += ["", "**Limits.** " + args.limits]
    return "\n".join(lines).rstrip() + "\n"


def learned(parameters: int, run: str) -> str:
    """How many numbers a model has learned: its encoder's, those of its head, and those of the words beside it."""
    import safetensors

    with safetensors.safe_open(find_model(run) / WEIGHTS_FILE, "np") as file:
        sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, no mapping
    head, words = (
        sum(size for name, size in sizes.items() if name.startswith(part) and not name.endswith("/tags"))
        for part in ("classifier/", "lexical/")
    )
    total = parameters + head + words
    parts = [f"{parameters:,}", f"{head:,} of the head", *([f"{words:,} of words"] if words else [])]
    text = f"{total:,} ({4 * total / 1e6:.2f} MB as float32)"
    return f"{text}: {', '.join(parts[:-1])}{',' * bool(words)} and {parts[-1]}" if head else text


def halved(path: Path) -> bytes:
    """The file of a model's weights with float16 in place of float32."""
    import safetensors.numpy

    arrays = safetensors.numpy.load_file(path)
    small = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    return safetensors.numpy.save(small)


def notes_of(folder: str) -> dict[str, Any]:
    """A model's notes about its training."""
    return dict(json.loads((find_model(folder) / CONFIG_FILE).read_text("utf-8"))["notes"])


def main() -> None:
    """Checks the model and copies it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--run", required=True)
    add("--first", help="the run whose weights it started from")
    add("--name", required=True)
    add("--about", required=True, help="a description of one or two sentences")
    add("--data", required=True, help="the text it was trained on, and its licence")
    add("--scores", default="")
    add("--tflite", type=Path, help="the converted model, to be included")
    add("--half", action="store_true", help="keep the weights as float16")
    add("--limits", default=LIMITS)
    args = parser.parse_args()
    source = find_model(args.run)
    read_info(source)
    backbone = EelbertBackbone.from_preset(args.run)  # verifies the checksum
    parameters = sum(math.prod(variable.shape) for variable in backbone.trainable_variables)  # codes are not learned
    fields = json.loads((source / CONFIG_FILE).read_text("utf-8"))
    text = card(args.name, fields, parameters, args)
    target = PRESETS / args.name
    target.mkdir(parents=True, exist_ok=True)
    fields["notes"].get("pretraining", {}).pop("teacher", None)  # a path on the machine where it was trained
    fields["notes"].get("pretraining", {}).pop("preset", None)
    for name in (WEIGHTS_FILE, CURVE):
        (target / name).unlink(missing_ok=True)
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if args.half:
        data = halved(source / WEIGHTS_FILE)
        (target / WEIGHTS_FILE).write_bytes(data)
        fields["weights_sha256"] = hashlib.sha256(data).hexdigest()
    if args.tflite:
        shutil.copyfile(args.tflite, target / TFLITE_FILE)
    with replace_file(target / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps(with_checksum(fields), indent=1, ensure_ascii=False) + "\n", "utf-8")
    with replace_file(target / CARD) as temporary:
        temporary.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
