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
a teacher tuned on moods says that the first one does not.

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
from student import Student, entries, quantized_start
from task_heads import read_heads
from teachers_answer import Answers

SHAPES = {
    "uno": {"hidden_size": 128, "num_hidden_layers": 2, "num_hidden_groups": 1, "num_attention_heads": 2}
    | {"intermediate_size": 256},
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "mini": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024},
}
LOSSES = ("contrast", "cosine", "wide", "sets", "right")
HELD_OUT = 2000
OWN_SPREAD = 0.4  # variance of the outputs that only labelled sets teach, beside 1 of the others
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
        self.run, self.other = 0, None

    def align(self, rows, points):
        """Chooses the basis, orthonormal, in which the answers come nearest to an encoder's outputs (Procrustes)."""
        answers = self.answers(rows)
        u, _, v = np.linalg.svd(answers.T @ points, full_matrices=False)
        self.basis = (u @ v).astype(np.float32)
        found = answers @ self.basis
        cosine = (found * points).sum(1) / np.linalg.norm(found, axis=1)
        print(f"aligned: cosine {cosine.mean():.3f}, energy {(found**2).sum() / (answers**2).sum():.3f}", flush=True)

    def learn_residual(self, folder, shared):
        """Takes what another teacher says beyond the first, for the last outputs: its residual's components."""
        other = Answers(folder)
        self.count = min(self.count, other.count)
        self.other, self.other_scale = other.codes(0, self.count), other.scale
        rows = np.arange(min(50_000, self.count))
        first, second = self.answers(rows), self.other[rows] * self.other_scale
        self.known = np.linalg.solve(first.T @ first + 1e-2 * np.eye(first.shape[1]), first.T @ second)
        left = second - first @ self.known
        self.middle = left.mean(0)
        values, vectors = np.linalg.eigh(np.cov((left - self.middle).T))
        own = self.basis.shape[1] - shared
        ratio = OWN_SPREAD * (first @ self.basis[:, :shared]).var(0).sum() / values[::-1][:own].sum()
        self.residual = (vectors[:, ::-1][:, :own] * np.sqrt(ratio)).astype(np.float32)
        part, boost = values[::-1][:own].sum() / values.sum(), np.sqrt(ratio)
        print(f"residual {values.sum():.3f} of 1, {part:.2f} of it kept, times {boost:.2f}", flush=True)

    def targets(self, rows, answers, shared):
        """Unit vectors float32 `[n, shared or all]`."""
        found = answers @ self.basis[:, :shared]
        if self.other is not None:
            left = self.other[rows] * self.other_scale - answers @ self.known - self.middle
            found = np.concatenate([found, left @ self.residual], 1)
        return functional.normalize(torch.from_numpy(found.astype(np.float32)), dim=1)

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
        return matrix([self.ids[self.offsets[row] : self.offsets[row + 1]][: LONGEST - 2] for row in rows], specials)


def matrix(texts, specials):
    """Word numbers int32 [B, T] with [CLS] and [SEP], `pad` where there is none."""
    cls, sep, pad = specials
    sizes = np.array([len(text) for text in texts])
    found = np.full((len(texts), sizes.max() + 2), pad, np.int32)
    found[:, 0] = cls
    found[:, 1:-1][np.arange(sizes.max()) < sizes[:, None]] = np.concatenate(texts)
    found[np.arange(len(texts)), sizes + 1] = sep
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


def configured(args):
    """A quantized lexicon, and the configuration of an encoder with it."""
    lexicon = dict(np.load(args.lexicon))
    config = SHAPES[args.shape] | {"lexicon_skip": not args.no_skip}
    if args.inner:
        config["intermediate_size"] = args.inner
    shape = {"lexicon_size": len(lexicon["codes"]), "lexicon_width": int(lexicon["to_answers"].shape[0])}
    return lexicon, config | shape | {"lexicon_codes": lexicon["codes"].shape[1]}


def started(folder):
    """Weights and configuration of an encoder with a lexicon of numbers."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())["config"]
    names = [*SHAPES["uno"], "lexicon_size", "lexicon_width", "lexicon_lookups"]
    return load_file(folder / "weights.safetensors"), {name: config[name] for name in names} | {"lexicon_skip": False}


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
    parser.add_argument("--lexicon", type=pathlib.Path, help="what lexicon.py wrote; not with --start")
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
    lexicon, config = started(args.start) if args.start else configured(args)
    width, codes_of_rows = config["hidden_size"], lexicon.get("codes")
    data, shared = Data(args, width), width - args.own
    if args.start:
        books = torch.from_numpy(lexicon["lexicon/table"])
        model = Student(config, books, torch.from_numpy(lexicon["lexicon/projection/kernel"]))
        model.load(lexicon)
    else:
        model = Student(config, *quantized_start(lexicon, data.basis))
    table = torch.from_numpy(np.load(args.words / "table.npy"))  # float16, with [CLS], [SEP] and padding at the end
    number = len(table) - 3
    specials = (number, number + 1, number + 2)
    codes = entries(np.load(args.words / "rows.npy"), config, codes_of_rows)
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

    if args.start:
        with torch.inference_mode():
            rows = np.arange(0, min(20_000, data.count))
            order = rows[np.argsort(data.sizes[rows], kind="stable")]
            parts = [sums(data.matrix(part, specials)) for part in np.array_split(order, len(order) // 200)]
        data.align(order, functional.normalize(torch.cat(parts), dim=1).numpy())
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
            found = sums(*paired(ids, specials)) if task.pairs else sums(ids)
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
        found = sums(*paired(ids, specials)) if paired_now else sums(ids)
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
            score = similarity(sums, args.words)
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
            np.savez(args.output / "weights.npz", **model.weights(codes_of_rows))
            (args.output / "run.json").write_text(
                json.dumps(
                    {
                        "config": config
                        | {
                            "pooling": "mean",
                            "max_position_embeddings": 128,
                        },
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
