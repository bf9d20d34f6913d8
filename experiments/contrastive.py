"""From few examples: heads on the frozen encoder, all weights trained, and the encoder tuned on pairs before the heads.

    python experiments/contrastive.py --sets DIR/trec DIR/snips ... --shots 10 --output experiments/contrastive.json

Each folder holds train.csv and test.csv. `heads` is what `eelbert finetune` does with few texts, `full` its `--method
full`. `pairs` is the way of SetFit (Tunstall et al. 2022): texts of a class move together and others apart, every
text of a batch against all others (supervised contrastive loss, Khosla et al. 2020, at a temperature of 0.1), for so
many steps at each rate; then the same heads are fitted on the new encoder. Accuracy on the test part, draws as in
lexical.py. What the output has already is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras

# isort: split
import keras
import numpy as np
from keras import ops
from lexical import draw

from eelbert_tf.disk.tables import Table, read_table
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.training.finetune.experiment import Validation, run_experiment
from eelbert_tf.training.finetune.heads import fit_heads
from eelbert_tf.training.finetune.labelled import Labelled
from eelbert_tf.training.finetune.recipe import suited_recipe
from eelbert_tf.training.finetune.run import Options

TEMPERATURE = 0.1
BATCH_SIZE = 32


def contrast(labels: Any, embeddings: Any) -> Any:
    """The mean over pairs of one class of how much better they match than all other pairs: a scalar."""
    others = 1 - ops.eye(ops.shape(embeddings)[0])
    logits = ops.matmul(embeddings, ops.transpose(embeddings)) / TEMPERATURE - 1e9 * (1 - others)
    labels = ops.reshape(labels, (-1,))
    same = ops.cast(ops.equal(labels[:, None], labels[None, :]), "float32") * others
    loss = ops.logsumexp(logits, axis=1, keepdims=True) - logits
    return ops.sum(loss * same) / ops.maximum(ops.sum(same), 1)


def tuned(preset: str, names: Sequence[str], train: Labelled, rate: float, steps: int) -> EelbertClassifier:
    """A classifier whose encoder was tuned on pairs, with empty heads."""
    encoder = EelbertSentenceEncoder.from_preset(preset)
    classes = np.array([names.index(label) for label in train.labels], np.int32)
    order = np.random.default_rng(0).permutation(steps * BATCH_SIZE) % len(classes)
    encoder.compile(keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0), loss=contrast)
    encoder.fit([train.texts[i] for i in order], classes[order], batch_size=BATCH_SIZE, epochs=1, verbose=0)
    return EelbertClassifier(encoder.backbone, labels=list(names))


def measure(preset: str, table: Table, test: Table, shots: int, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Accuracies of one draw."""
    texts, labels = draw(table, shots, args.most, seed)
    names, train = sorted(set(labels)), Labelled(texts, labels)
    truth = [str(label) for label in test.labels]

    def accuracy(model: EelbertClassifier) -> float:
        found = model.predict(list(test.texts), batch_size=128, verbose=0).argmax(axis=1)
        return round(100 * float(np.mean([names[i] == label for i, label in zip(found, truth, strict=True)])), 2)

    def heads(model: EelbertClassifier) -> float:
        fit_heads(model, train)
        return accuracy(model)

    keras.utils.set_random_seed(seed)
    found: dict[str, Any] = {"texts": len(texts), "heads": heads(EelbertClassifier.from_preset(preset, labels=names))}
    model = EelbertClassifier.from_preset(preset, labels=names)
    validation = Validation.choose(train, None, seed=seed)
    recipe = suited_recipe(len(validation.train), True, None, BATCH_SIZE, None, seed, lexical=None)
    run_experiment(model, validation, recipe, 1, Options(quiet=True))
    found["full"] = accuracy(model)
    for rate in args.rates:
        begin = time.perf_counter()
        found[f"pairs {rate:g}"] = heads(tuned(preset, names, train, rate, args.steps))
        found["seconds"] = round(time.perf_counter() - begin, 1)
    return found


def main() -> None:
    """Measures every draw and prints the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--preset", default="uno_en")
    parser.add_argument("--shots", type=int, nargs="+", default=[10], metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 3e-4], metavar="X")
    parser.add_argument("--steps", type=int, default=200, metavar="N")
    parser.add_argument("--most", type=int, default=20_000, metavar="N")
    parser.add_argument("--output", type=Path, required=True, metavar="F.json")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(args.output.read_text("utf-8")) if args.output.exists() else []
    for shots in args.shots:
        mine = []
        for folder in args.sets:
            table, test = read_table(folder / "train.csv"), read_table(folder / "test.csv")
            for seed in range(args.seeds):
                key = {"set": folder.name, "preset": args.preset, "shots": shots, "seed": seed, "steps": args.steps}
                known = [row for row in rows if key.items() <= row.items()]
                if not known:
                    known = [{**key, **measure(args.preset, table, test, shots, seed, args)}]
                    rows += known
                    args.output.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", "utf-8")
                print(json.dumps(known[0]), flush=True)
                mine += known
        columns = [name for name in mine[0] if name.split()[0] in ("heads", "full", "pairs")]
        means = {name: round(float(np.mean([row[name] for row in mine])), 1) for name in columns}
        print(json.dumps({"shots": shots, "mean": means}), flush=True)


if __name__ == "__main__":
    main()
