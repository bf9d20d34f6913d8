"""Distil an encoder from teachers' cached answers, and from labelled sets.

    python experiments/presets/train.py --shape uno --words words --answers answers/a --clusters 1000 --tasks 4 \
        --lexicon lexicon/q4.npz --output runs/uno_en

Resumable: run it again and it goes on. What the pooled output learns from: contrast with the targets (the answers of
all teachers, reduced together to the encoder's width by PCA), 1 - cosine to them, and 1 - cosine of a linear layer's
output to all that was answered. With --clusters a batch holds runs of near neighbours, and the likeness of its texts is
learned too (Kullback-Leibler divergence, and squared differences of cosines). A share of the texts is read with typing
errors; their targets stay. A share of the steps reads two texts as a pair, so that segments are learned. With --tasks a
step also reads rows of so many labelled sets, each with a head on the pooled output (task_heads.py). A teacher of
similarity leaves little room for moods: the last --own numbers learn from labelled sets alone or, with --residual, what
a teacher tuned on moods says that the first one does not. With --start the blocks of a preset go on; a lexicon of
lexicon.py --start takes the place of its own, and --shape says whether its one block becomes two.

Writes weights.npz, by the names of `EelbertBackbone`, and run.json: export.py makes a preset of them.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from batches import OWN_SPREAD, Data, matrix, paired
from student import Reader, Student, entries, preset_student, preset_weights, quantized_start, shape_of
from task_heads import read_heads

SHAPES = {
    "uno": {"hidden_size": 128, "num_hidden_layers": 2, "num_hidden_groups": 1, "num_attention_heads": 2}
    | {"intermediate_size": 256},
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "mini": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
}
LOSSES = ("contrast", "cosine", "wide", "sets", "right")


def configured(args, config):
    """A quantized lexicon, and the configuration of an encoder with it."""
    lexicon = dict(np.load(args.lexicon))
    shape = {"lexicon_size": len(lexicon["codes"]), "lexicon_width": int(lexicon["to_answers"].shape[0])}
    shape |= {"lexicon_codes": lexicon["codes"].shape[1], "lexicon_lookups": 1, "lexicon_skip": not args.no_skip}
    return lexicon, config | shape | ({"intermediate_size": args.inner} if args.inner else {})


def main():
    """Train, and keep what was learned every so often."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument(
        "--start", type=pathlib.Path, help="a preset's folder, to go on with; its hash as in prepare.py"
    )
    parser.add_argument("--words", type=pathlib.Path, required=True)
    parser.add_argument("--answers", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="+")
    parser.add_argument("--lexicon", type=pathlib.Path, help="what lexicon.py wrote")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--most", type=int)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--until", type=int)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--noise", type=float, default=0.25)
    parser.add_argument("--pairs", type=float, default=0.15)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--inner", type=int)
    parser.add_argument("--clusters", type=int, default=0)
    parser.add_argument("--relations", type=float, default=1.0)
    parser.add_argument("--tasks", type=int, default=0, help="labelled sets a step")
    parser.add_argument("--task-rows", type=int, default=24)
    parser.add_argument("--task-weight", type=float, default=1.0)
    parser.add_argument("--own", type=int, default=0, help="so many outputs, the last, learn from labelled sets alone")
    parser.add_argument("--residual", type=pathlib.Path, help="answers of a teacher whose residual the --own learn")
    parser.add_argument("--no-skip", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    rows, codes = np.load(args.words / "rows.npy"), None
    if args.start:
        model, config, codes = preset_student(args.start)
    else:
        config = SHAPES[args.shape]
    width = config["hidden_size"]
    data, shared = Data(args, width), width - args.own
    if args.start:
        data.align(Reader(model, args.words, entries(rows, config, codes)))
    if args.lexicon:
        lexicon, config = configured(args, config | ({"num_hidden_groups": None} if args.shape == "tiny" else {}))
        codes = lexicon["codes"]
        model = Student(config, *quantized_start(lexicon, data))
        if args.start:
            model.load_blocks(preset_weights(args.start)[1])
    reader = Reader(model, args.words, entries(rows, config, codes))
    specials = reader.specials
    head = torch.nn.Linear(width, sum(part.shape[1] for part in data.parts), bias=False)
    heads, share = read_heads(args.words / "sets.pickle", width)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0},
            {"params": heads.parameters(), "weight_decay": 0.01},
        ],
        lr=args.rate,
        betas=(0.9, 0.98),
        fused=True,
    )

    if args.residual:
        data.learn_residual(args.residual, shared)
    if args.clusters:
        data.cluster(args.clusters)

    def asked(chance):
        """Loss of rows of some labelled sets, and how often the heads are right."""
        loss, right = 0, []
        for index in chance.choice(len(heads), args.tasks, replace=False, p=share):
            task = heads[index]
            chosen, texts = task.draw(chance, args.task_rows, args.noise)
            ids = matrix(texts, specials)
            found = reader.sums(*paired(ids, specials)) if task.pairs else reader.sums(ids)
            spread = (found - found.mean(0)).square().mean(0)
            excess = spread[shared:].sum() / spread[:shared].sum() - OWN_SPREAD
            loss = loss + (10 * excess.square() / args.tasks if args.own and not args.residual else 0)
            one, hits = task(functional.normalize(found, dim=1), chosen)
            loss, right = loss + one / args.tasks, [*right, hits]
            rights[task.name] = 0.97 * rights.get(task.name, hits) + 0.03 * hits
        return loss, np.mean(right)

    rights = {}
    args.output.mkdir(parents=True, exist_ok=True)
    kept, first, spent = args.output / "resume.pt", 0, 0.0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        (
            model.load_state_dict(state["model"]),
            head.load_state_dict(state["head"]),
            heads.load_state_dict(state["heads"]),
            optimizer.load_state_dict(state["optimizer"]),
        )
        first, spent = state["step"], state["seconds"]
        print("resumed at", first, flush=True)
    chance_of_pairs = np.random.default_rng(3).random(args.steps) < args.pairs
    a_pass = len(data.epoch(0, args.batch, 0))
    began, seen, done, current, batches = time.time(), [], first, -1, None
    until = min(args.until or args.steps, args.steps)
    while done < until:
        if done // a_pass != current:
            current = done // a_pass
            batches = data.epoch(current, args.batch, args.noise)
        chosen = batches[done % a_pass % len(batches)]
        ids = data.matrix(chosen, specials)
        target_all = torch.from_numpy(data.answers(chosen % data.texts))
        warm = args.steps * 0.03
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min((done + 1) / warm, (args.steps - done) / (args.steps - warm))
        paired_now = chance_of_pairs[done] and ids.shape[1] <= 32
        found = reader.sums(*paired(ids, specials)) if paired_now else reader.sums(ids)
        target = data.targets(chosen % data.texts, target_all.numpy(), shared)
        u = functional.normalize(found[:, : target.shape[1]], dim=1)
        contrast = functional.cross_entropy(u @ target.T / args.temperature, torch.arange(len(u)))
        cosine = (u * target).sum(1).mean()
        told = functional.linear(found[:, :shared], head.weight[:, :shared])
        wide = functional.cosine_similarity(told, target_all).mean()
        loss = contrast + 5 * (1 - cosine) + 3 * (1 - wide)
        if args.clusters:
            own, wanted = u @ u.T, target @ target.T
            itself = torch.eye(len(u)) * 1e4
            relation = functional.kl_div(
                ((own - itself) / 0.05).log_softmax(1), ((wanted - itself) / 0.05).softmax(1), reduction="batchmean"
            )
            loss = loss + args.relations * (relation + 10 * (own - wanted).square().mean())
        task_loss, right = asked(np.random.default_rng([11, done])) if args.tasks else (torch.zeros(()), 0)
        optimizer.zero_grad(set_to_none=True)
        (loss + args.task_weight * task_loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        seen.append([contrast.item(), cosine.item(), wide.item(), task_loss.item(), right])
        done += 1
        if done % 100 == 0:
            told = ", ".join(f"{name} {value:.4f}" for name, value in zip(LOSSES, np.mean(seen[-100:], 0), strict=True))
            print(f"{done}: {told}, {(time.time() - began) / (done - first):.3f} s a step", flush=True)
        if done % args.every == 0 or done == until:
            score = similarity(reader, args.words)
            print(
                f"{done}: STS-B dev {score:.2f}", {name: round(100 * hits) for name, hits in rights.items()}, flush=True
            )
            seconds = spent + time.time() - began
            torch.save(
                {
                    "model": model.state_dict(),
                    "head": head.state_dict(),
                    "heads": heads.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": done,
                    "seconds": seconds,
                },
                kept.with_suffix(".part"),
            )
            os.replace(kept.with_suffix(".part"), kept)
            np.savez(args.output / "weights.npz", **model.weights(codes))
            (args.output / "run.json").write_text(
                json.dumps(
                    {
                        "config": shape_of(config),
                        "steps": done,
                        "of": args.steps,
                        "batch_size": args.batch,
                        "texts": data.count,
                        "seconds": seconds,
                        "rate": args.rate,
                        "noise": args.noise,
                        "pairs": args.pairs,
                        "clusters": args.clusters,
                        "relations": args.relations,
                        "tasks": args.tasks,
                        "task_rows": args.task_rows,
                        "task_weight": args.task_weight,
                        "own": args.own,
                        "stsb_dev": score,
                    },
                    indent=1,
                )
            )


@torch.inference_mode()
def similarity(reader, words):
    """Spearman of the cosine on STS-B's development set (its words found in the table by prepare.py)."""
    from scipy.stats import spearmanr

    kept = np.load(words / "stsb.npz")
    sides = []
    for side in ("a", "b"):
        ids, sizes = kept[side], kept[side + "_sizes"]
        found = []
        for at in range(0, len(ids), 250):
            part = ids[at : at + 250, : sizes[at : at + 250].max() + 2].copy()
            found.append(reader.sums(part))
        sides.append(functional.normalize(torch.cat(found), dim=1))
    return 100 * float(spearmanr((sides[0] * sides[1]).sum(1).numpy(), kept["scores"])[0])


if __name__ == "__main__":
    main()
