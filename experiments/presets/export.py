"""Make a model's folder of what train.py or classifier.py wrote, and compare its score with that in the training.

    python experiments/presets/export.py --run runs/uno_en --teachers all-MiniLM-L6-v2 --languages en \
        --dev GLUE/STS-B/dev.tsv --output uno_en
    python experiments/presets/export.py --run runs/sst2 --teachers "all-MiniLM-L6-v2, tuned on SST-2" --languages en \
        --labels unfavourable favourable --dev GLUE/SST-2/dev.tsv --output uno_en_sst2

experiments/freeze_preset.py puts the folder into the package, with a card.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from prepare import HASH

from eelbert_tf import EelbertBackbone, EelbertClassifier
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


def accuracy(model, path):
    """Accuracy on SST-2's development set, whose classes are 0 and 1, in percent."""
    rows = [line.split("\t") for line in path.read_text("utf-8").split("\n")[1:] if line.strip()]
    logits = model.predict([row[0] for row in rows], batch_size=128, verbose=0)
    return 100 * float(np.mean(logits.argmax(1) == [int(row[1]) for row in rows]))


def main():
    """Build, fill, save, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--dev", type=pathlib.Path, required=True, help="dev.tsv of STS-B, or of SST-2 with --labels")
    parser.add_argument("--labels", nargs="+", help="names of the classes of a classifier")
    parser.add_argument("--teachers", required=True, help="their names, for the card")
    parser.add_argument("--languages", nargs="+", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    run = json.loads((arguments.run / "run.json").read_text())
    encoder = EelbertBackbone(EelbertConfig(**run.pop("config"), hash=HASH, max_tokens=128, max_bytes=512))
    model = EelbertClassifier(encoder, labels=arguments.labels) if arguments.labels else encoder
    arrays, variables = np.load(arguments.run / "weights.npz"), weight_names(encoder)
    if arguments.labels:
        head = model.classifier
        variables |= {"classifier/kernel": head.kernel, "classifier/bias": head.bias}
    if set(arrays.files) != set(variables):
        parser.error(f"{arguments.run}: its weights are not those of its configuration")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    task, known = ("sst2_dev", run.pop("dev")) if arguments.labels else ("stsb_dev", run["stsb_dev"])
    found = round((accuracy if arguments.labels else similarity)(model, arguments.dev), 2)
    print(f"{task}: {found}, in the training {known:.2f}")
    notes = {"pretraining": run | {"teachers": arguments.teachers}, "languages": arguments.languages}
    model.save_to_preset(arguments.output, notes | {"scores": {task: found}})


if __name__ == "__main__":
    main()
