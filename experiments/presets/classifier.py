"""Make a ready classifier of a preset: an encoder and a head, trained in torch on what a tuned teacher says.

    python experiments/presets/classifier.py --start eelbert_tf/saving/presets/uno_en --words sst2 --output runs/sst2

Resumable after each pass. A text is read with typing errors one time in three; its target stays. Where a text has a
label, half of its target is the label. Writes weights.npz, with the head beside the encoder, and run.json, of which
export.py makes a preset.
"""

import argparse
import json
import os
import pathlib
import pickle
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from batches import matrix
from student import Reader, entries, preset_student, shape_of

NOISE, LABELS, DROPOUT = 1 / 3, 0.5, 0.1


class Texts:
    """Texts in word numbers with probabilities as targets, float32 `[n, classes]`."""

    def __init__(self, folder):
        self.ids, self.offsets = np.load(folder / "ids.npy"), np.load(folder / "offsets.npy")
        labels, logits = np.load(folder / "labels.npy"), torch.from_numpy(np.load(folder / "logits.npy"))
        self.targets, known = logits.softmax(1), np.flatnonzero(labels >= 0)
        truth = functional.one_hot(torch.from_numpy(labels[known]), logits.shape[1]).float()
        self.targets[known] = (1 - LABELS) * self.targets[known] + LABELS * truth
        self.count, self.sizes = len(labels), np.diff(self.offsets)

    def batches(self, number, batch):
        """Rows of about one length, shuffled; a third of them of the copies with typing errors."""
        chance = np.random.default_rng([5, number])
        rows = chance.permutation(self.count)
        rows += self.count * (chance.random(self.count) < NOISE)
        chunks = [rows[at : at + 64 * batch] for at in range(0, len(rows), 64 * batch)]
        chunks = [chunk[np.argsort(self.sizes[chunk], kind="stable")] for chunk in chunks]
        found = [chunk[at : at + batch] for chunk in chunks for at in range(0, len(chunk), batch)]
        return [found[i] for i in chance.permutation(len(found))]

    def words(self, rows):
        """Word numbers of some rows."""
        return [self.ids[self.offsets[row] : self.offsets[row + 1]] for row in rows]


def main():
    """Train pass after pass."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--start", type=pathlib.Path, required=True, help="a preset's folder")
    parser.add_argument("--words", type=pathlib.Path, required=True, help="what classifier_texts.py wrote")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    texts, (held, truth, names) = Texts(args.words), pickle.loads((args.words / "dev.pickle").read_bytes())
    model, config, codes = preset_student(args.start)
    reader = Reader(model, args.words, entries(np.load(args.words / "rows.npy"), config, codes))
    head = nn.Linear(config["hidden_size"], len(names))
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    both = nn.ModuleList([model, head])
    optimizer = torch.optim.AdamW(both.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    args.output.mkdir(parents=True, exist_ok=True)
    kept, first, spent = args.output / "resume.pt", 0, 0.0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        both.load_state_dict(state["both"])
        optimizer.load_state_dict(state["optimizer"])
        first, spent = state["passes"], state["seconds"]
    began, steps = time.time(), len(texts.batches(0, args.batch))
    for number in range(first, args.passes):
        losses = []
        for step, rows in enumerate(texts.batches(number, args.batch)):
            done, last = number * steps + step, args.passes * steps
            for group in optimizer.param_groups:
                group["lr"] = args.rate * min((done + 1) / (0.05 * last), (last - done) / (0.95 * last))
            found = functional.dropout(reader.sums(matrix(texts.words(rows), reader.specials)), DROPOUT)
            loss = functional.cross_entropy(head(found), texts.targets[rows % texts.count])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            if done % 200 == 199:
                speed = (time.time() - began) / (done + 1 - first * steps)
                print(f"{done + 1} of {last}: loss {np.mean(losses[-200:]):.4f}, {speed:.3f} s a step", flush=True)
        with torch.inference_mode():
            parts = np.array_split(np.arange(len(held)), 8)
            logits = [head(reader.sums(matrix([held[row] for row in part], reader.specials))) for part in parts]
        score = 100 * float((torch.cat(logits).argmax(1).numpy() == truth).mean())
        print(f"pass {number + 1}: dev {score:.2f}", flush=True)
        seconds = spent + time.time() - began
        state = {"both": both.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state | {"passes": number + 1, "seconds": seconds}, kept.with_suffix(".part"))
        os.replace(kept.with_suffix(".part"), kept)
        kernel, bias = (parameter.detach().numpy() for parameter in head.parameters())
        weights = {"classifier/kernel": kernel.T, "classifier/bias": bias}
        np.savez(args.output / "weights.npz", **model.weights(codes), **weights)
        notes = {"config": shape_of(config), "passes": number + 1}
        notes |= {"texts": texts.count, "batch_size": args.batch, "rate": args.rate, "seed": args.seed}
        (args.output / "run.json").write_text(json.dumps(notes | {"seconds": seconds, "dev": score}, indent=1))


if __name__ == "__main__":
    main()
