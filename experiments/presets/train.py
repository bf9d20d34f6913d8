"""Distil an encoder from teachers' cached answers.

    python experiments/presets/train.py --shape uno --words words --answers answers/a answers/b \
        --lexicon lexicon/q4.npz --output runs/uno_en

Resumable: run it again and it goes on. What the pooled output learns from: contrast with the targets (the answers of
all teachers, reduced together to the encoder's width by PCA), 1 - cosine to them, and 1 - cosine of a linear layer's
output to all that was answered. With --clusters a batch holds runs of near neighbours, and the likeness of its texts is
learned too (Kullback-Leibler divergence, and squared differences of cosines). A share of the texts is read with typing
errors; their targets stay. A share of the steps reads two texts as a pair, so that segments are learned.

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
from student import Student
from teachers_answer import Answers

SHAPES = {
    "uno": {"hidden_size": 128, "num_hidden_layers": 2, "num_hidden_groups": 1, "num_attention_heads": 2}
    | {"intermediate_size": 256},
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "mini": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
}
LOSSES = ("contrast", "cosine", "wide")
HELD_OUT = 2000
LONGEST = 64


class Data:
    """Batches of texts of about one length, and their targets."""

    def __init__(self, args, width):
        self.ids, self.offsets = np.load(args.words / "ids.npy"), np.load(args.words / "offsets.npy")
        several = [Answers(folder) for folder in args.answers]
        self.texts = (len(self.offsets) - 1) // 2
        self.count = min([self.texts, args.most or 10**9] + [one.count for one in several])
        weights = args.weights or [1.0] * len(several)
        self.parts = [one.codes(0, self.count) for one in several]
        self.scales = [one.scale * weight for one, weight in zip(several, weights, strict=True)]
        sample = self.answers(np.arange(min(50_000, self.count)))
        values, vectors = np.linalg.eigh(sample.T @ sample)
        self.basis = vectors[:, ::-1][:, :width].astype(np.float32)
        kept = values[::-1][:width].sum() / values.sum()
        print(f"{self.count} texts, targets of {sample.shape[1]} to {width}: {kept:.4f} of the energy", flush=True)
        self.sizes = np.diff(self.offsets)
        self.run = 0

    def answers(self, rows):
        return np.concatenate(
            [part[rows].astype(np.float32) * scale for part, scale in zip(self.parts, self.scales, strict=True)], 1
        )

    def cluster(self, count, run=32):
        """Groups texts by their targets (k-means), so that a batch holds near neighbours."""
        torch.manual_seed(0)
        points = functional.normalize(
            torch.from_numpy(
                np.concatenate(
                    [
                        self.answers(np.arange(at, min(at + 50_000, self.count))) @ self.basis
                        for at in range(0, self.count, 50_000)
                    ]
                )
            ),
            dim=1,
        )
        sample = points[torch.randperm(len(points))[:60_000]]
        centres = sample[:count].clone()
        for _ in range(8):
            nearest = (sample @ centres.T).argmax(1)
            centres = functional.normalize(
                torch.zeros_like(centres).index_add(0, nearest, sample) + 1e-6 * centres, dim=1
            )
        self.clusters = torch.cat([(part @ centres.T).argmax(1) for part in points.split(20_000)]).numpy()
        self.run = run

    def clustered(self, number, batch, noise):
        chance = np.random.default_rng([7, number])
        order = chance.permutation(self.count - HELD_OUT) + HELD_OUT
        sizes = self.sizes[order] + chance.random(len(order)) * 6
        order = order[np.lexsort((sizes, self.clusters[order]))]
        runs = []
        edges = np.flatnonzero(np.diff(self.clusters[order])) + 1
        for part in np.split(order, edges):
            part = part[chance.integers(0, self.run) :] if len(part) > 2 * self.run else part
            runs += [part[at : at + self.run] for at in range(0, len(part) - self.run + 1, self.run)]
        runs = [runs[i] for i in chance.permutation(len(runs))]
        each, result = batch // self.run, []
        for start in range(0, len(runs), each * 64):
            some = sorted(runs[start : start + each * 64], key=lambda run: np.partition(self.sizes[run], -3)[-3])
            result += [np.concatenate(some[at : at + each]) for at in range(0, len(some) - each + 1, each)]
        result = [rows + self.texts * (chance.random(len(rows)) < noise) for rows in result]
        return [result[i] for i in chance.permutation(len(result))]

    def epoch(self, number, batch, noise):
        if self.run:
            return self.clustered(number, batch, noise)
        chance = np.random.default_rng([7, number])
        order = chance.permutation(self.count - HELD_OUT) + HELD_OUT
        read = order + self.texts * (chance.random(len(order)) < noise)
        result, chunk = [], batch * 64
        for start in range(0, len(read) - batch + 1, chunk):
            some = read[start : start + chunk]
            some = some[np.argsort(self.sizes[some], kind="stable")]
            result += [some[at : at + batch] for at in range(0, len(some) - batch + 1, batch)]
        return [result[i] for i in chance.permutation(len(result))]

    def matrix(self, rows, specials):
        """Word numbers int32 [B, T] with [CLS] and [SEP], `pad` where there is none."""
        cls, sep, pad = specials
        sizes = np.minimum(self.sizes[rows], LONGEST - 2)
        width = int(sizes.max()) + 2
        found = np.full((len(rows), width), pad, np.int32)
        found[:, 0] = cls
        columns = np.arange(sizes.max())
        places = self.offsets[rows][:, None] + columns
        inside = columns < sizes[:, None]
        found[:, 1:-1][inside] = self.ids[np.minimum(places, len(self.ids) - 1)][inside]
        found[np.arange(len(rows)), sizes + 1] = sep
        return found


def paired(ids, specials):
    """Two halves of a batch as pairs: ids [B/2, 2T], segments."""
    pad = specials[2]
    half, width = len(ids) // 2, ids.shape[1]
    found = np.full((half, 2 * width), pad, np.int32)
    segments = np.zeros((half, 2 * width), np.int64)
    first, second = ids[:half], ids[half:]
    found[:, :width] = first
    rows, columns = np.arange(half)[:, None], (first != pad).sum(1)[:, None] + np.arange(width - 1)
    found[rows, columns] = second[:, 1:]
    segments[rows, columns] = second[:, 1:] != pad
    return found, segments


def main():
    """Train, and keep what was learned every so often."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--words", type=pathlib.Path, required=True)
    parser.add_argument("--answers", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="+")
    parser.add_argument("--lexicon", type=pathlib.Path, required=True)
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
    parser.add_argument("--no-skip", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    lexicon = dict(np.load(args.lexicon))
    config = SHAPES[args.shape] | {"lexicon_skip": not args.no_skip}
    if args.inner:
        config["intermediate_size"] = args.inner
    width, groups = config["hidden_size"], lexicon["codes"].shape[1]
    data = Data(args, width)
    if args.clusters:
        data.cluster(args.clusters)
    model = Student(config, lexicon, data.basis)
    table = torch.from_numpy(np.load(args.words / "table.npy"))  # float16, with [CLS], [SEP] and padding at the end
    number = len(table) - 3
    specials = (number, number + 1, number + 2)
    shift = 24 - (len(lexicon["codes"]).bit_length() - 1)
    rows = np.load(args.words / "rows.npy") >> shift
    codes = np.concatenate([lexicon["codes"][rows], np.zeros((3, groups), np.uint8)]).astype(
        np.int32
    ) + 256 * np.arange(groups, dtype=np.int32)
    codes = torch.from_numpy(codes)
    head = torch.nn.Linear(width, sum(part.shape[1] for part in data.parts), bias=False)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0},
        ],
        lr=args.rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    basis = torch.from_numpy(data.basis)

    def sums(ids, segments=None):
        """float32 [B or 2B, width]: means of the outputs over each text's slots."""
        ids = torch.from_numpy(ids).long()
        used = ids != specials[2]
        full = bool(used.all())
        with torch.autocast("cpu", torch.bfloat16):
            x = model(
                table[ids].float(),
                codes[ids].long(),
                (ids < number).float()[..., None],
                None if full else used,
                None if segments is None else torch.from_numpy(segments),
            )
        if segments is None:
            return (x * used[..., None]).sum(1) / used.sum(1, keepdim=True)
        second = torch.from_numpy(segments).float() * used
        first = used.float() - second
        return torch.cat([(x * side[..., None]).sum(1) / side.sum(1, keepdim=True) for side in (first, second)])

    args.output.mkdir(parents=True, exist_ok=True)
    kept, first, spent = args.output / "resume.pt", 0, 0.0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        (
            model.load_state_dict(state["model"]),
            head.load_state_dict(state["head"]),
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
        found = sums(*paired(ids, specials)) if paired_now else sums(ids)
        u, target = functional.normalize(found, dim=1), functional.normalize(target_all @ basis, dim=1)
        contrast = functional.cross_entropy(u @ target.T / args.temperature, torch.arange(len(u)))
        cosine = (u * target).sum(1).mean()
        wide = functional.cosine_similarity(head(found), target_all).mean()
        loss = contrast + 5 * (1 - cosine) + 3 * (1 - wide)
        if args.clusters:
            own, wanted = u @ u.T, target @ target.T
            itself = torch.eye(len(u)) * 1e4
            relation = functional.kl_div(
                ((own - itself) / 0.05).log_softmax(1), ((wanted - itself) / 0.05).softmax(1), reduction="batchmean"
            )
            loss = loss + args.relations * (relation + 10 * (own - wanted).square().mean())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        seen.append([contrast.item(), cosine.item(), wide.item()])
        done += 1
        if done % 100 == 0:
            told = ", ".join(f"{name} {value:.4f}" for name, value in zip(LOSSES, np.mean(seen[-100:], 0), strict=True))
            print(f"{done}: {told}, {(time.time() - began) / (done - first):.3f} s a step", flush=True)
        if done % args.every == 0 or done == until:
            score = similarity(sums, args.words)
            print(f"{done}: STS-B dev {score:.2f}", flush=True)
            seconds = spent + time.time() - began
            torch.save(
                {
                    "model": model.state_dict(),
                    "head": head.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": done,
                    "seconds": seconds,
                },
                kept.with_suffix(".part"),
            )
            os.replace(kept.with_suffix(".part"), kept)
            np.savez(args.output / "weights.npz", **model.weights(lexicon["codes"]))
            (args.output / "run.json").write_text(
                json.dumps(
                    {
                        "config": config
                        | {
                            "pooling": "mean",
                            "max_position_embeddings": 128,
                            "lexicon_size": len(lexicon["codes"]),
                            "lexicon_width": int(lexicon["to_answers"].shape[0]),
                            "lexicon_codes": groups,
                        },
                        "steps": done,
                        "of": args.steps,
                        "batch_size": args.batch,
                        "texts": data.count,
                        "seconds": seconds,
                        "rate": args.rate,
                        "noise": args.noise,
                        "pairs": args.pairs,
                        "stsb_dev": score,
                    },
                    indent=1,
                )
            )


@torch.inference_mode()
def similarity(sums, words):
    """Spearman of the cosine on STS-B's development set (its words found in the table by prepare.py)."""
    from scipy.stats import spearmanr

    kept = np.load(words / "stsb.npz")
    sides = []
    for side in ("a", "b"):
        ids, sizes = kept[side], kept[side + "_sizes"]
        found = []
        for at in range(0, len(ids), 250):
            part = ids[at : at + 250, : sizes[at : at + 250].max() + 2].copy()
            found.append(sums(part))
        sides.append(functional.normalize(torch.cat(found), dim=1))
    return 100 * float(spearmanr((sides[0] * sides[1]).sum(1).numpy(), kept["scores"])[0])


if __name__ == "__main__":
    main()
