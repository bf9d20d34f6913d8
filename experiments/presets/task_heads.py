"""Labelled sets as lessons: batches of word numbers, and a linear head for each set."""

import math
import pickle

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SCALE = 10.0  # of the features of pairs, before a head
# Drawn twice as often: few sets, and small ones, tell moods.
MOODS = (
    "SST-2",
    "tweet_sentiment",
    "tweet_emoji",
    "xed_emotion",
    "emotion_stimulus",
    "olympic_emotion",
    "uci_sentences",
)


def draw_lengths(sizes, chance, count, pool=12):
    """Rows of about one length: a part of the sorted pool."""
    rows = chance.integers(len(sizes), size=min(count * pool, len(sizes)))
    rows = rows[np.argsort(sizes[rows], kind="stable")]
    first = int(chance.integers(0, max(1, len(rows) - count + 1)))
    return rows[first : first + count]


class TaskHead(nn.Module):
    """A labelled set in word numbers, and what reads its label off unit vectors float `[n, width]`.

    A class is a direction, and its logit a cosine times a number that does not grow: classes come to lie apart, and a
    few examples of a new task find them; they are not read off small differences by large weights.
    """

    def __init__(self, found, width):
        super().__init__()
        self.name, self.kind, self.sides = found["name"], found["kind"], found["sides"]
        self.targets = torch.from_numpy(found["targets"])
        self.size, self.pairs = len(self.targets), len(self.sides) > 1
        self.sizes = sum(np.diff(offsets)[: self.size] for _, offsets in self.sides)
        self.head = nn.Linear(width * (4 if self.pairs else 1), 1 if self.kind == "score" else len(found["names"]))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def draw(self, chance, count, noise):
        """Rows, and word numbers of their texts: all first sides, then all second sides."""
        chosen = draw_lengths(self.sizes, chance, count)
        read = chosen + self.size * (chance.random(len(chosen)) < noise)
        return chosen, [ids[offsets[row] : offsets[row + 1]] for ids, offsets in self.sides for row in read]

    def forward(self, found, chosen):
        """The loss, and how often the head is right; unit vectors of both sides of pairs one after the other."""
        targets = self.targets[chosen]
        if self.pairs:
            u, v = found[: len(chosen)], found[len(chosen) :]
            logits = self.head(torch.cat([u, v, (u - v).abs(), u * v * SCALE], 1) * SCALE)
        else:
            scale = 4 + 2 * math.log2(max(2, self.head.out_features))
            logits = scale * functional.linear(found, functional.normalize(self.head.weight, dim=1)) + self.head.bias
        if self.kind == "class":
            loss = functional.cross_entropy(logits, targets, label_smoothing=0.05)
            return loss, (logits.argmax(1) == targets).float().mean().item()
        logits = logits[:, 0] if self.kind == "score" else logits
        loss = functional.binary_cross_entropy_with_logits(logits, targets)
        return loss, ((logits > 0) == (targets > 0.5)).float().mean().item()


def read_heads(path, width, pairs=True):
    """Heads of the sets that prepare.py wrote, and how often each is drawn: by the root of its rows, see `MOODS`."""
    heads = [TaskHead(found, width) for found in pickle.loads(path.read_bytes())]
    heads = nn.ModuleList(head for head in heads if pairs or not head.pairs)
    share = np.sqrt([head.size for head in heads]) * [1 + (head.name in MOODS) for head in heads]
    return heads, share / share.sum()
