"""Make a model's folder of what train.py wrote, and compare its score with that in the training.

    python experiments/presets/export.py --run runs/uno_en --teachers all-MiniLM-L6-v2 --languages en \
        --dev GLUE/STS-B/dev.tsv --output uno_en

experiments/freeze_preset.py puts the folder into the package, with a card.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from prepare import HASH

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf import EelbertBackbone
from eelbert_tf.config import EelbertConfig
from eelbert_tf.models.presets import weight_names


def similarity(model, path):
    """Spearman of the cosine on STS-B's development set, in percent."""
    import tensorflow as tf
    from scipy.stats import spearmanr

    pairs = [line.split("\t") for line in path.read_text("utf-8").split("\n")[1:] if line.strip()]
    sides = []
    for column in (7, 8):
        parts = [tf.constant([pair[column] for pair in pairs[at : at + 250]]) for at in range(0, len(pairs), 250)]
        found = np.concatenate([np.asarray(model(part)["pooled_output"]) for part in parts])
        sides.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    return 100 * spearmanr((sides[0] * sides[1]).sum(1), [float(pair[9]) for pair in pairs])[0]


def main():
    """Build, fill, save, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--dev", type=pathlib.Path, required=True, help="dev.tsv of STS-B")
    parser.add_argument("--teachers", required=True, help="their names, for the card")
    parser.add_argument("--languages", nargs="+", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    run = json.loads((arguments.run / "run.json").read_text())
    model = EelbertBackbone(EelbertConfig(**run.pop("config"), hash=HASH, max_tokens=128, max_bytes=512))
    arrays, variables = np.load(arguments.run / "weights.npz"), weight_names(model)
    if set(arrays.files) != set(variables):
        parser.error(f"{arguments.run}: its weights are not those of its configuration")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    found = round(similarity(model, arguments.dev), 2)
    print(f"stsb_dev: {found}, in the training {run['stsb_dev']:.2f}")
    notes = {"pretraining": run | {"teachers": arguments.teachers}, "languages": arguments.languages}
    model.save_to_preset(arguments.output, notes | {"scores": {"stsb_dev": found}})


if __name__ == "__main__":
    main()
