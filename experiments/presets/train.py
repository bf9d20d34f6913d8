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
lexicon.py --start takes the place of its own, and with --shape a shared block becomes as many as that shape has, or
more blocks follow, which begin near the identity.

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
    "mini": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 512},
}
LOSSES = ("contrast", "cosine", "wide", "sets", "right")
NOTED = ("rate", "noise", "pairs", "clusters", "relations", "tasks", "task_rows", "task_weight", "own")


def configured(args, config):
    """A quantized lexicon, and the configuration of an encoder with it."""
    lexicon = dict(np.load(args.lexicon))
    shape = {"lexicon_size": len(lexicon["codes"]), "lexicon_width": int(lexicon["to_answers"].shape[0])}
    shape |= {"lexicon_codes": lexicon["codes"].shape[1], "lexicon_lookups": 1, "lexicon_skip": not args.no_skip}
    return lexicon, config | shape | ({"intermediate_size": args.inner} if args.inner else {})


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--shape", choices=SHAPES)
    add("--start", type=pathlib.Path, help="a preset's folder, to go on with; its hash as in prepare.py")
    add("--words", type=pathlib.Path, required=True)
    add("--answers", type=pathlib.Path, nargs="+", required=True)
    add("--weights", type=float, nargs="+")
    add("--lexicon", type=pathlib.Path, help="what lexicon.py wrote")
    add("--output", type=pathlib.Path, required=True)
    add("--most", type=int)
    add("--steps", type=int, default=20000)
    add("--until", type=int)
    add("--batch", type=int, default=256)
    add("--rate", type=float, default=3e-3)
    add("--noise", type=float, default=0.25)
    add("--pairs", type=float, default=0.15)
    add("--every", type=int, default=1000)
    add("--temperature", type=float, default=0.05)
    add("--inner", type=int)
    add("--clusters", type=int, default=0)
    add("--relations", type=float, default=1.0)
    add("--tasks", type=int, default=0, help="labelled sets a step")
    add("--task-rows", type=int, default=24)
    add("--task-weight", type=float, default=1.0)
    add("--own", type=int, default=0, help="so many outputs, the last, learn from labelled sets alone")
    add("--residual", type=pathlib.Path, help="answers of a teacher whose residual the --own learn")
    add("--no-skip", action="store_true")
    add("--threads", type=int, default=1)
    return parser.parse_args()


def build(args, rows):
    """The texts with their targets, the student's configuration, its codes (or None), and what reads words with it."""
    codes = None
    if args.start:
        model, config, codes = preset_student(args.start)
    else:
        config = SHAPES[args.shape]
    data = Data(args, config["hidden_size"])
    if args.start:
        data.align(Reader(model, args.words, entries(rows, config, codes)))
    if args.lexicon:
        if args.start and args.shape:
            layers = SHAPES[args.shape]["num_hidden_layers"]
            config = config | {"num_hidden_groups": None, "num_hidden_layers": layers}
        lexicon, config = configured(args, config)
        codes = lexicon["codes"]
        model = Student(config, *quantized_start(lexicon, data))
        if args.start:
            model.load_blocks(preset_weights(args.start)[1])
    return data, config, codes, Reader(model, args.words, entries(rows, config, codes))


class Training:
    """All that learns: the student, a layer to the teachers' whole answers, and a head for each labelled set."""

    def __init__(self, args):
        self.args, self.rights = args, {}
        self.data, self.config, self.codes, self.reader = build(args, np.load(args.words / "rows.npy"))
        self.model, width = self.reader.model, self.config["hidden_size"]
        self.shared = width - args.own
        self.head = torch.nn.Linear(width, sum(part.shape[1] for part in self.data.parts), bias=False)
        self.heads, self.share = read_heads(args.words / "sets.pickle", width)
        self.parameters = [*self.model.parameters(), *self.head.parameters()]
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in self.parameters if p.ndim == 1], "weight_decay": 0},
            {"params": self.heads.parameters(), "weight_decay": 0.01},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.98), fused=True)
        self.states = {"model": self.model, "head": self.head, "heads": self.heads, "optimizer": self.optimizer}
        self.paired = np.random.default_rng(3).random(args.steps) < args.pairs
        if args.residual:
            self.data.learn_residual(args.residual, self.shared)
        if args.clusters:
            self.data.cluster(args.clusters)

    def told(self, step, chosen):
        """Loss of what the teachers say of a batch, and its parts: contrast, cosine, cosine to whole answers."""
        specials, texts = self.reader.specials, chosen % self.data.texts
        ids, answers = self.data.matrix(chosen, specials), self.data.answers(texts)
        in_pairs = self.paired[step] and ids.shape[1] <= 32
        found = self.reader.sums(*paired(ids, specials)) if in_pairs else self.reader.sums(ids)
        target = self.data.targets(texts, answers, self.shared)
        u = functional.normalize(found[:, : target.shape[1]], dim=1)
        contrast = functional.cross_entropy(u @ target.T / self.args.temperature, torch.arange(len(u)))
        cosine = (u * target).sum(1).mean()
        whole = functional.linear(found[:, : self.shared], self.head.weight[:, : self.shared])
        wide = functional.cosine_similarity(whole, torch.from_numpy(answers)).mean()
        loss = contrast + 5 * (1 - cosine) + 3 * (1 - wide)
        if self.args.clusters:
            loss = loss + self.args.relations * relations(u, target)
        return loss, [contrast, cosine, wide]

    def labelled(self, step):
        """Loss of rows of some labelled sets, and how often the heads are right."""
        chance, args, loss, right = np.random.default_rng([11, step]), self.args, torch.zeros(()), []
        for index in chance.choice(len(self.heads), args.tasks, replace=False, p=self.share):
            task = self.heads[index]
            chosen, texts = task.draw(chance, args.task_rows, args.noise)
            ids = matrix(texts, self.reader.specials)
            found = self.reader.sums(*(paired(ids, self.reader.specials) if task.pairs else (ids,)))
            if args.own and not args.residual:
                spread = (found - found.mean(0)).square().mean(0)
                excess = spread[self.shared :].sum() / spread[: self.shared].sum() - OWN_SPREAD
                loss = loss + 10 * excess.square() / args.tasks
            one, hits = task(functional.normalize(found, dim=1), chosen)
            loss, right = loss + one / args.tasks, [*right, hits]
            self.rights[task.name] = 0.97 * self.rights.get(task.name, hits) + 0.03 * hits
        return loss, np.mean(right or [0])

    def step(self, number, chosen):
        """One step of the optimizer; the values of `LOSSES`."""
        warm = self.args.steps * 0.03
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.rate * min(
                (number + 1) / warm, (self.args.steps - number) / (self.args.steps - warm)
            )
        loss, parts = self.told(number, chosen)
        task_loss, right = self.labelled(number)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.args.task_weight * task_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        return [part.item() for part in (*parts, task_loss)] + [right]

    def resume(self, path):
        """Step and seconds of what was kept, whose state is taken; zero where nothing was."""
        if not path.is_file():
            return 0, 0.0
        state = torch.load(path, weights_only=True)
        for name, one in self.states.items():
            one.load_state_dict(state[name])
        return state["step"], state["seconds"]

    def keep(self, path, step, seconds):
        """Writes the state, the weights, and run.json."""
        score, args = similarity(self.reader, self.args.words), self.args
        print(
            f"{step}: STS-B dev {score:.2f}",
            {name: round(100 * hits) for name, hits in self.rights.items()},
            flush=True,
        )
        state = {name: one.state_dict() for name, one in self.states.items()} | {"step": step, "seconds": seconds}
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        np.savez(args.output / "weights.npz", **self.model.weights(self.codes))
        notes = {"config": shape_of(self.config), "steps": step, "of": args.steps, "batch_size": args.batch}
        notes |= {"texts": self.data.count, "seconds": seconds}
        notes |= {name: getattr(args, name) for name in NOTED} | {"stsb_dev": score}
        (args.output / "run.json").write_text(json.dumps(notes, indent=1))


def relations(u, target):
    """How far the likeness of a batch's texts is from that of their targets, both unit vectors float32 `[n, width]`."""
    own, wanted = u @ u.T, target @ target.T
    itself = torch.eye(len(u)) * 1e4
    own_chances, chances = ((one - itself) / 0.05 for one in (own, wanted))
    divergence = functional.kl_div(own_chances.log_softmax(1), chances.softmax(1), reduction="batchmean")
    return divergence + 10 * (own - wanted).square().mean()


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


def main():
    """Train, and keep what was learned every so often."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    training = Training(args)
    args.output.mkdir(parents=True, exist_ok=True)
    kept = args.output / "resume.pt"
    first, spent = training.resume(kept)
    if first:
        print("resumed at", first, flush=True)
    data, seen, current, batches = training.data, [], -1, None
    a_pass, until, began = len(data.epoch(0, args.batch, 0)), min(args.until or args.steps, args.steps), time.time()
    for step in range(first, until):
        if step // a_pass != current:
            current = step // a_pass
            batches = data.epoch(current, args.batch, args.noise)
        seen.append(training.step(step, batches[step % a_pass % len(batches)]))
        done = step + 1
        if done % 100 == 0:
            told = ", ".join(f"{name} {value:.4f}" for name, value in zip(LOSSES, np.mean(seen[-100:], 0), strict=True))
            print(f"{done}: {told}, {(time.time() - began) / (done - first):.3f} s a step", flush=True)
        if done % args.every == 0 or done == until:
            training.keep(kept, done, spent + time.time() - began)


if __name__ == "__main__":
    main()
