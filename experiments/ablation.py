"""Measures what each part of the input is worth: the table and the plot of docs/ablations.md.

    python experiments/ablation.py --data GLUE [--tasks SST-2] [--seeds 3] [--epochs 2] [--only NAME ...] --work DIR

Every variant of the UNO shape learns each task from fresh weights with the same number of epochs. `learned WordPiece
table` needs --vocabulary: a folder that `eelbert pretrain` wrote for a BERT; its vocabulary is used. --work keeps the
results, so that an interrupted run can be continued, and gets ablation.json, ablation.md and ablation.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import EelbertConfig, HashConfig, named_config
from eelbert_tf.disk.progress import with_progress
from eelbert_tf.disk.reports import markdown_table, save_plot
from eelbert_tf.saving.folders import find_model
from eelbert_tf.saving.info import read_info
from eelbert_tf.training.finetune.candidates import Candidate
from eelbert_tf.training.glue.run import GlueExperiment, Trial, summary
from eelbert_tf.training.glue.scores import Scores, run_experiments

UNO = named_config("eelbert_uno").replace(max_position_embeddings=128)
RATE = 1e-3


def hashed(*widths: int, **fields: Any) -> EelbertConfig:
    """UNO with another hash."""
    return UNO.replace(hash=HashConfig(widths, **fields))


def lexicon(size: int, width: int) -> EelbertConfig:
    """UNO with boundary markers and a learned table of buckets."""
    return hashed(43, 43, 42, boundaries=True).replace(lexicon_size=size, lexicon_width=width)


VARIANTS = {
    "the paper's hash": UNO,
    "N = 1": hashed(128),
    "N = 2": hashed(64, 64),
    "N = 4": hashed(32, 32, 32, 32),
    "wider for longer n-grams": hashed(16, 48, 64),
    "boundary markers": hashed(43, 43, 42, boundaries=True),
    "norms rescaled": hashed(43, 43, 42, pooling="sqrtn"),
    "random vector per word": hashed(1, word_width=127),  # but for one number, since a hash has at least one
    "whole-word signature": hashed(32, 32, 32, boundaries=True, word_width=32),
    "hash of 384, projected": hashed(128, 128, 128, boundaries=True),
    "64 positions": UNO.replace(max_position_embeddings=64, max_tokens=64),
    "512 positions": UNO.replace(max_position_embeddings=512),
    **{f"lexicon {size} x {width}": lexicon(size, width) for size, width in ((512, 32), (1024, 32), (2048, 16))},
    **{f"lexicon {size} x {width}": lexicon(size, width) for size, width in ((2048, 32), (4096, 16), (8192, 32))},
}
TABLE = "learned WordPiece table"


def main() -> None:
    """Trains the variants that are not in --work yet, and writes the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, help="folder of GLUE's folders")
    add("--tasks", nargs="+", default=["SST-2"])
    add("--seeds", type=int, default=3)
    add("--epochs", type=int, default=2)
    add("--only", nargs="+", choices=[*VARIANTS, TABLE])
    add("--vocabulary", help="folder of a pretrained BERT")
    add("--jobs", type=int, default=1)
    add("--work", required=True, type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    candidates: dict[str, Candidate] = {}
    sizes: dict[str, int] = {}
    for name in args.only or [*VARIANTS, *([TABLE] if args.vocabulary else [])]:
        if name == TABLE:
            candidates[name] = Candidate(f"scratch:{args.vocabulary}")
            sizes[name] = parameters(read_info(find_model(args.vocabulary))[0].config)
            continue
        path = args.work / (name.replace(" ", "_").replace("'", "").replace(",", "") + ".json")
        path.write_text(json.dumps(VARIANTS[name].to_dict()))
        candidates[name] = Candidate("scratch", str(path))
        sizes[name] = parameters(VARIANTS[name])
    scores = Scores(args.work / "ablation.json", {"script": "experiments/ablation.py"})
    trial = Trial(RATE, args.epochs)
    experiments = [
        GlueExperiment(candidate, task, args.data, trial, seed)
        for seed in range(args.seeds)
        for candidate in candidates.values()
        for task in args.tasks
    ]
    missing = [experiment for experiment in experiments if scores.get(experiment) is None]
    results = run_experiments(missing, args.jobs)
    for experiment, result in with_progress(results, "run", "ablation", len(missing)):
        scores.add(experiment, result)

    rows, points = [], []
    for name, candidate in candidates.items():
        row = summary(scores, candidate, args.tasks, args.data, [trial], args.seeds)
        cells = [f"{c['score']:.1f} ({c['least']:.1f} to {c['greatest']:.1f})" for c in row["tasks"].values()]
        rows.append([name, f"{sizes[name]:,}", *cells])
        points.append((name, sizes[name], row["average"]))
    table = markdown_table(["input", "parameters", *args.tasks], rows)
    (args.work / "ablation.md").write_text(table)
    plot(points, args.work / "ablation.png", args.tasks)
    print(table)


def parameters(config: EelbertConfig) -> int:
    """Learned numbers of the encoder."""
    from eelbert_tf.models.backbone import EelbertBackbone

    return int(EelbertBackbone(config).count_params())


def plot(points: list[tuple[str, int, float]], path: Path, tasks: list[str]) -> None:
    """Score against the bytes of float32 weights."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for i, (name, size, score) in enumerate(sorted(points, key=lambda point: -point[2])):
        marker = "os^D"[i % 4]
        axes.scatter(4 * size / 1e6, score, s=36, color=colormaps["tab20"](i % 20), marker=marker, label=name)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.set_xlabel("weights in float32, MB")
    axes.set_ylabel(f"{', '.join(tasks)}, dev")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize="small")
    save_plot(figure, path)


if __name__ == "__main__":
    main()
