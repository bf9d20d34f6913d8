"""Compares ways to pretrain at equal time: the table of docs/pretraining.md, "Choosing the recipe".

    python experiments/recipes.py --corpus DIR --train SST-2/train.tsv --dev SST-2/dev.tsv --work DIR
        [--minutes 6] [--seeds 3] [--epochs 2] [--only NAME ...]

First the speed of each recipe is measured, one after the other. It gives the number of steps that fill the given
minutes on a machine without other work, so that other work during the longer part does not matter. Then each recipe is
pretrained with the same seed, and scored on held-out text and by fine-tuning on labelled texts with several seeds.
--work keeps the results, so that an interrupted run can be continued. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.reports import spread

HASH = {"widths": [43, 43, 42]}
UNO = {"hash": HASH, "max_position_embeddings": 128}
BOUNDARIES = {**UNO, "hash": {**HASH, "boundaries": True}}
SIGNATURE = {"widths": [43, 43, 42], "boundaries": True, "word_width": 128}
RATE_STEPS = 36

# Name: configuration, and options that differ from the command's defaults.
RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mlm": (UNO, {}),
    "rate 2e-3": (UNO, {"learning-rate": 2e-3}),
    "rate 4e-3": (UNO, {"learning-rate": 4e-3}),
    "batch 256": (UNO, {"batch-size": 256, "learning-rate": 2e-3}),
    "length 128": (UNO, {"sequence-length": 128, "batch-size": 32, "learning-rate": 2e-3}),
    "4k words": (UNO, {"output-words": 4096, "learning-rate": 2e-3}),
    "16k words": (UNO, {"output-words": 16384, "learning-rate": 2e-3}),
    "mask 0.25": (UNO, {"mask-rate": 0.25, "learning-rate": 2e-3}),
    "open": (UNO, {"objective": "open", "learning-rate": 2e-3}),
    "replaced, pairs": (UNO, {"objective": "replaced", "learning-rate": 2e-3}),
    "replaced, network": (UNO, {"objective": "replaced", "generator": "network", "learning-rate": 2e-3}),
    "boundaries": (BOUNDARIES, {"learning-rate": 2e-3}),
    "boundaries, lexicon 2048 x 32": (
        {**BOUNDARIES, "lexicon_size": 2048, "lexicon_width": 32},
        {"learning-rate": 2e-3},
    ),
    "boundaries, lexicon 4096 x 16": (
        {**BOUNDARIES, "lexicon_size": 4096, "lexicon_width": 16},
        {"learning-rate": 2e-3},
    ),
    "boundaries, hash of 384 projected": (
        {**UNO, "hash": {"widths": [128, 128, 128], "boundaries": True}},
        {"learning-rate": 2e-3},
    ),
    "boundaries, word's signature, projected": ({**UNO, "hash": SIGNATURE}, {"learning-rate": 2e-3}),
}
DEFAULTS = {"batch-size": 64, "sequence-length": 64}


def command(*words: Any) -> dict[str, Any]:
    """Runs `eelbert ...` and returns the object it prints last."""
    done = subprocess.run(
        [sys.executable, "-m", "eelbert_tf", *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def options(given: dict[str, Any]) -> list[str]:
    """Options of a command line; True stands for one without a value."""
    words = []
    for name, value in given.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return words


def same_cost(config: dict[str, Any], changes: dict[str, Any]) -> str:
    """A name that is the same for recipes whose steps need the same arithmetic."""
    width = sum(config["hash"]["widths"]) + config["hash"].get("word_width", 0)
    lexicon = config.get("lexicon_size", 0), config.get("lexicon_width", 0)
    others = [f"{k}={v}" for k, v in sorted(changes.items()) if k != "learning-rate"]
    return "_".join(["rate", str(width), *map(str, lexicon), *others])


def measured_rate(corpus: Path, run: Path, given: list[str]) -> float:
    """Tokens per second without compilation: the median over all intervals but the first."""
    if not (run / "weights.safetensors").is_file():
        steps = ["--steps", RATE_STEPS, "--log-every", RATE_STEPS // 6, "--eval-every", 0]
        command("pretrain", "--corpus", corpus, "--output", run, "--resume", *given, *steps)
    with (run / "log.csv").open() as file:
        rates = [float(row["tokens_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(rates[1:])


def main() -> None:
    """Measures rates, pretrains, fine-tunes, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--train", required=True, type=Path)
    parser.add_argument("--dev", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    args = parser.parse_args()

    rates, given = {}, {}
    for name in args.only:
        folder = args.work / name.replace(" ", "_").replace(",", "").replace("'", "")
        folder.mkdir(parents=True, exist_ok=True)
        config, changes = RECIPES[name]
        (folder / "config.json").write_text(json.dumps(config))
        given[name] = folder, ["--config", str(folder / "config.json"), *options({**DEFAULTS, **changes})]
        rates[name] = measured_rate(args.corpus, args.work / same_cost(config, changes), given[name][1])
        print(f"{name}: {rates[name]:,.0f} tokens/s", file=sys.stderr, flush=True)
    print("| recipe | tokens/s | million tokens | held-out accuracy | labelled texts, dev |\n|---|---|---|---|---|")
    for name in args.only:
        folder, words = given[name]
        settings = {**DEFAULTS, **RECIPES[name][1]}
        steps = round(rates[name] * args.minutes * 60 / settings["batch-size"] / settings["sequence-length"])
        run = command(
            "pretrain", "--corpus", args.corpus, "--output", folder / "run", "--resume", *words, "--steps", steps
        )
        scores = [fine_tuned(folder, seed, args) for seed in range(args.seeds)]
        held_out = run["held_out"].get("accuracy", float("nan"))
        print(
            f"| {name} | {rates[name]:,.0f} | {run['tokens'] / 1e6:.1f} | {held_out:.4f} | {spread(scores, 2)} |",
            flush=True,
        )


def fine_tuned(folder: Path, seed: int, args: argparse.Namespace) -> float:
    """Accuracy on `args.dev`, in percent, after fine-tuning the folder's run."""
    result = folder / f"seed{seed}.json"
    if not result.is_file():
        model = folder / f"model{seed}"
        columns = ["--text-columns", "sentence"]
        training = ["--train", args.train, *columns, "--epochs", args.epochs, "--seed", seed, "--max-tokens", 64]
        command("finetune", *training, "--preset", folder / "run", "--output", model)
        scores = command("evaluate", "--model", model, "--test", args.dev, *columns)
        result.write_text(json.dumps(scores))
    return 100 * float(json.loads(result.read_text())["accuracy"])


if __name__ == "__main__":
    main()
