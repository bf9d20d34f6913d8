"""Takes a weighted mean of a BERT before and after fine-tuning: the teacher of `uno_en`, see docs/pretraining.md.

    python experiments/blend.py --bert DIR --tuned DIR --share 0.4 --output DIR

The mean of both sets of weights is a model that has learned the task and has forgotten little (Wortsman et al. 2022,
WiSE-FT). --bert is a folder in Hugging Face's layout, --tuned the folder that `eelbert finetune --preset` wrote from
it. The output has the layout of --bert, which `eelbert distill --teacher` can read.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import FolderKind, replace_directory
from eelbert_tf.errors import InputError
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.presets import weight_names
from eelbert_tf.saving.huggingface import FOREIGN_WEIGHTS_FILE, VOCABULARY_FILE, foreign_name, is_foreign

BERT_FOLDER = FolderKind(is_foreign, ("config.json", VOCABULARY_FILE, FOREIGN_WEIGHTS_FILE))


def main() -> None:
    """Writes the blend.

    Raises:
        InputError: --tuned was not made from --bert.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bert", required=True, type=Path)
    parser.add_argument("--tuned", required=True)
    parser.add_argument("--share", type=float, default=0.4, help="weight of the tuned model, from 0 to 1")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()

    if not 0 <= args.share <= 1:
        raise InputError(f"--share: must lie between 0 and 1, not {args.share}")
    arrays = load_file(args.bert / FOREIGN_WEIGHTS_FILE)
    backbone = EelbertClassifier.from_preset(args.tuned).backbone
    if backbone.config.vocab_size is None:
        raise InputError(f"--tuned: {args.tuned}: is no BERT; expected the model that was tuned from {args.bert}")
    for name, variable in weight_names(backbone).items():
        theirs = foreign_name(name)
        if theirs not in arrays:
            raise InputError(f"{args.bert / FOREIGN_WEIGHTS_FILE}: has no {theirs}; expected the model that was tuned")
        tuned = np.asarray(variable, np.float32)
        tuned = tuned.T if name.endswith("/kernel") else tuned
        arrays[theirs] = np.ascontiguousarray((1 - args.share) * arrays[theirs] + args.share * tuned)
    with replace_directory(args.output, BERT_FOLDER) as folder:
        for file in ("config.json", VOCABULARY_FILE):
            shutil.copy(args.bert / file, folder)
        save_file(arrays, folder / FOREIGN_WEIGHTS_FILE)


if __name__ == "__main__":
    main()
