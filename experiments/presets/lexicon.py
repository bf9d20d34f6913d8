"""Train a lexicon on a teacher's answers and on labelled sets, and product-quantize it for train.py.

    python experiments/presets/lexicon.py --words words --answers answers/a --groups 4 --output lexicon/q4.npz

A row has `--dims` numbers that learn the answers (their first components; contrast in the batch and 1 - cosine, of the
sum over a text's words) and `--own` numbers that learn what the labelled sets ask beyond these. Each row has a weight,
which starts as inverse frequency and is folded into the row in the end. A random rotation before quantizing spreads the
energy over the groups; rows weigh by the square root of their frequency. With --start the own numbers are not learned:
they are what the lexicon of that preset says of each row's words, so that its blocks go on with what they know.

Writes codes uint8 [rows, groups], books float32 [groups, 256, (dims + own) / groups], `to_answers` and `to_own`: a row
times these are its numbers of either kind. Resumable: goes on after the last whole pass.
"""

import argparse
import os
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from lexicon_quantize import centres, dense
from student import books_of, entries, preset_weights
from task_heads import read_heads
from teachers_answer import Answers

ROW = 5.0  # root mean square of a row's length, frequent words first: about that of the encoder's outputs


def flat(ids, offsets, chosen):
    """Word numbers of the chosen texts in one piece, and which text each is of."""
    starts, sizes = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
    places = np.concatenate([[0], np.cumsum(sizes)])
    bag = np.repeat(np.arange(len(chosen)), sizes)
    return ids[np.arange(places[-1]) + np.repeat(starts - places[:-1], sizes)], torch.from_numpy(bag)


def said(preset, words, rows, counts, size, most):
    """What a preset's lexicon says of each row's words: numbers float32 `[size, n]`, and their basis `[n, width]`."""
    config, weights = preset_weights(preset)
    u, scale, basis = np.linalg.svd(weights["lexicon/projection/kernel"], full_matrices=False)
    used = entries(words, config, weights.get("lexicon/codes"))[:-3].numpy()
    found = books_of(weights)[used].reshape(len(words), -1) @ (u * scale)[:, :most]
    sums = np.zeros((size, found.shape[1]))
    np.add.at(sums, rows, found * counts[:, None])
    return (sums / np.maximum(np.bincount(rows, counts, size), 1e-9)[:, None]).astype(np.float32), basis[:most]


def similarity(table, rows, words):
    """Spearman of the cosine of sums on STS-B's development set, in percent."""
    from scipy.stats import spearmanr

    kept, sides = np.load(words / "stsb.npz"), []
    for side in ("a", "b"):
        sums = np.stack(
            [table[rows[ids[1 : 1 + n]]].sum(0) for ids, n in zip(kept[side], kept[side + "_sizes"], strict=True)]
        )
        sides.append(sums / np.linalg.norm(sums, axis=1, keepdims=True))
    return 100 * float(spearmanr((sides[0] * sides[1]).sum(1), kept["scores"])[0])


def main():
    """Train, turn, scale, quantize, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--words", type=pathlib.Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--answers", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--own", type=int, default=32)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--tasks", type=int, default=3, help="labelled sets a step")
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--energy", type=float, default=0.35, help="part of a row's energy that is its own numbers'")
    parser.add_argument("--start", type=pathlib.Path, help="a preset's folder, whose lexicon gives the own numbers")
    parser.add_argument("--most", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ids, offsets = np.load(args.words / "ids.npy"), np.load(args.words / "offsets.npy")
    words = np.load(args.words / "rows.npy")
    rows = words >> (24 - (args.rows.bit_length() - 1))
    answers, texts = Answers(args.answers), (len(offsets) - 1) // 2
    count = min(answers.count, texts, args.most or 10**9)
    targets, scale = answers.codes(0, count)[:, : args.dims], answers.scale[: args.dims]
    frequency = np.bincount(rows[ids[: offsets[count]]], minlength=args.rows).astype(np.float64)
    own = basis = None
    if args.start:
        counts = np.bincount(ids[: offsets[count]], minlength=len(words)) + 0.01
        own, basis = said(args.start, words, rows, counts, args.rows, args.own)
        args.own, args.tasks = 0, 0
    width = args.dims + args.own
    table = torch.nn.Parameter(torch.randn(args.rows, width) * 0.1)
    start = np.log(1e-3 / (1e-3 + frequency / frequency.sum()))
    weight = torch.nn.Parameter(torch.from_numpy(start).float()[:, None])
    heads, share = read_heads(args.words / "sets.pickle", width, pairs=False)
    optimizer = torch.optim.Adam([{"params": [table, weight]}, {"params": heads.parameters()}], fused=True)
    steps = count // args.batch
    kept, first = args.output.with_suffix(".pt"), 0
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        table.data, weight.data, first = state["table"], state["weight"], state["passes"]
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])

    def bags(words, bag, texts):
        """Sums float32 [texts, width]."""
        chosen = torch.from_numpy(rows[words].astype(np.int64))
        found = functional.embedding(chosen, table) * functional.embedding(chosen, weight).exp()
        return torch.zeros(texts, width).index_add(0, bag, found)

    for turn in range(first, args.passes):
        began, chance, sums = time.time(), np.random.default_rng(turn), []
        order = chance.permutation(count)
        for step in range(steps):
            left = 1 - (turn * steps + step) / (args.passes * steps)
            optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = args.rate * left, 3e-3 * left
            chosen = np.sort(order[step * args.batch : (step + 1) * args.batch])
            goal = functional.normalize(torch.from_numpy(targets[chosen].astype(np.float32) * scale), dim=1)
            read = chosen + texts * (chance.random(len(chosen)) < 0.15)
            found = functional.normalize(bags(*flat(ids, offsets, read), len(chosen))[:, : args.dims], dim=1)
            loss = functional.cross_entropy(found @ goal.T / 0.07, torch.arange(len(chosen)))
            loss = loss + 5 * (1 - (found * goal).sum(1).mean())
            asked, right = 0, []
            for index in chance.choice(len(heads), args.tasks, replace=False, p=share):
                several, lists = heads[index].draw(chance, 96, 0.15)
                bag = torch.from_numpy(np.repeat(np.arange(len(lists)), [len(one) for one in lists]))
                read = bags(np.concatenate(lists), bag, len(lists))
                both = (
                    functional.normalize(read[:, : args.dims].detach(), dim=1),
                    functional.normalize(read[:, args.dims :], dim=1),
                )
                one, hits = heads[index](torch.cat(both, 1), several)
                asked, right = asked + one / args.tasks, [*right, hits]
            optimizer.zero_grad(set_to_none=True)
            (loss + asked).backward()
            optimizer.step()
            sums.append([loss.item(), float(asked), np.mean(right or [0])])
            if step % 100 == 99:
                told = np.mean(sums[-100:], 0)
                speed = len(sums) / (time.time() - began)
                print(
                    f"pass {turn} step {step + 1} of {steps}: answers {told[0]:.3f}, sets {told[1]:.3f}, "
                    f"right {told[2]:.3f}, {speed:.1f} steps/s",
                    flush=True,
                )
        folded = (table * weight.exp()).detach().numpy()
        print(f"pass {turn}: STS-B dev {similarity(folded[:, : args.dims], rows, args.words):.2f}", flush=True)
        state = {"table": table.data, "weight": weight.data, "heads": heads.state_dict()}
        torch.save(state | {"optimizer": optimizer.state_dict(), "passes": turn + 1}, kept.with_suffix(".part"))
        os.replace(kept.with_suffix(".part"), kept)
    folded = (table * weight.exp()).detach().numpy()
    if own is not None:
        folded, width = np.concatenate([folded, own], 1), width + own.shape[1]
    weights = np.sqrt(frequency + 0.1)
    for part, energy in ((slice(0, args.dims), 1 - args.energy), (slice(args.dims, None), args.energy)):
        size = (weights * (folded[:, part] ** 2).sum(1)).sum() / weights.sum()
        factor = ROW * np.sqrt(energy / size)
        folded[:, part] *= factor
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(width, width)))[0].astype(np.float32)
    found = [
        centres(np.ascontiguousarray(part), weights, seed=group)
        for group, part in enumerate(np.split(folded @ turn, args.groups, axis=1))
    ]
    codes = np.stack([code for _, code in found], 1)
    books = np.stack([book for book, _ in found]).astype(np.float32)
    maps = {"to_answers": turn.T[:, : args.dims], "to_own": turn.T[:, args.dims :]}
    if basis is not None:
        maps["own_basis"] = basis / factor
    np.savez(args.output, codes=codes, books=books, **maps)
    after = dense(books, codes) @ turn.T
    print(f"quantized: STS-B dev {similarity(after[:, : args.dims], rows, args.words):.2f}", flush=True)


if __name__ == "__main__":
    main()
