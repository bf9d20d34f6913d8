"""Product-quantize a lexicon and train it on, quantized: similarity before and after, by bytes.

    python experiments/teachers/lexicon_quantize.py --lexicon lexicon/a_65536x128 \
        --words lexicon/words --answers answers/a --data shared/data --groups 2 4 8

The table is first turned by a random rotation, which spreads the energy over the groups and changes no cosine. Then
k-means of 256 centres for each group of columns, rows weighted by the square root of their frequency. Then training
goes on as in lexicon_train.py: the forward pass sees each row's nearest centres, the gradient goes to the row and to
the centres, and a row is drawn to its centres. Bytes: codes (rows x groups) + books (int8, 256 x dims).
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from lexicon_train import bags, similarity
from teachers_answer import Answers
from torch.nn import functional


def centres(points, weights, count=256, turns=20, seed=0):
    """Weighted k-means: centres, and the nearest one of each point."""
    chance = np.random.default_rng(seed)
    points, weights = torch.from_numpy(points), torch.from_numpy(weights).float()
    first = chance.choice(
        len(points),
        count,
        replace=False,
        p=(weights / weights.sum()).double().numpy() / (weights / weights.sum()).double().numpy().sum(),
    )
    found = points[torch.from_numpy(first)].clone()
    for _ in range(turns):
        nearest = (points @ found.T * -2 + (found**2).sum(1)).argmin(1)
        mass = torch.zeros(count).index_add(0, nearest, weights)
        sums = torch.zeros_like(found).index_add(0, nearest, points * weights[:, None])
        found = torch.where(mass[:, None] > 0, sums / mass[:, None].clamp_min(1e-12), found)
    return found.numpy(), (points @ found.T * -2 + (found**2).sum(1)).argmin(1).numpy().astype(np.uint8)


def quantize(table, frequency, groups):
    """Books [groups, 256, width] and codes [rows, groups]."""
    weights = np.sqrt(frequency + 0.1)
    parts = [centres(np.ascontiguousarray(part), weights) for part in np.split(table, groups, 1)]
    return np.stack([book for book, _ in parts]), np.stack([codes for _, codes in parts], 1)


def rounded(books):
    """Books as int8 would hold them: a scale for each group."""
    scale = np.abs(books).max((1, 2), keepdims=True) / 127
    return np.rint(books / scale) * scale


def dense(books, codes):
    """The table that books and codes stand for."""
    return np.concatenate([books[group][codes[:, group]] for group in range(len(books))], 1)


def main():
    """Quantize, measure, learn on, measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--lexicon", type=pathlib.Path, required=True, help="what lexicon_train.py wrote")
    parser.add_argument("--words", type=pathlib.Path, required=True)
    parser.add_argument("--answers", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--steps", type=int, default=0, help="steps of training on; 0 for none")
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--draw", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = np.load(arguments.lexicon / "table.npy").astype(np.float32)
    frequency = np.load(arguments.lexicon / "frequency.npy")
    rows, dims = table.shape
    shift = 32 - (rows.bit_length() - 1)
    tokens, offsets = np.load(arguments.words / "tokens.npy"), np.load(arguments.words / "offsets.npy")
    answers = Answers(arguments.answers)
    count = min(answers.count, len(offsets) - 1)
    targets, scale = answers.codes(0, count)[:, :dims], answers.scale[:dims]
    path = arguments.lexicon / "quantized.json"
    results = json.loads(path.read_text()) if path.is_file() else {"dense": similarity(table, arguments.data, shift)}
    print(f"dense {results['dense']:.2f}", flush=True)
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).standard_normal((dims, dims)))[0].astype(np.float32))
    table = table @ turn.numpy()
    for groups in arguments.groups:
        books, codes = quantize(table, frequency, groups)
        before = similarity(dense(rounded(books), codes).astype(np.float32), arguments.data, shift)
        learned, rows_learned = (
            torch.nn.Parameter(torch.from_numpy(books)),
            torch.nn.Parameter(torch.from_numpy(table.copy())),
        )
        size = float(rows_learned.detach().pow(2).mean().sqrt())
        optimizer = torch.optim.Adam(
            [
                {"params": [rows_learned], "lr": arguments.rate * size},
                {"params": [learned], "lr": 0.2 * arguments.rate * size},
            ],
            fused=True,
        )
        rates = [group["lr"] for group in optimizer.param_groups]
        chance = np.random.default_rng(0)
        for step in range(arguments.steps):
            for group, rate in zip(optimizer.param_groups, rates, strict=False):
                group["lr"] = rate * (1 - step / arguments.steps)
            chosen = np.sort(chance.integers(count, size=arguments.batch))
            flat, starts = bags(tokens, offsets, chosen, shift)
            goal = functional.normalize(torch.from_numpy(targets[chosen].astype(np.float32) * scale) @ turn, dim=1)
            used, back = torch.unique(flat, return_inverse=True)
            exact = functional.embedding(used, rows_learned).view(len(used), groups, -1).transpose(0, 1)
            with torch.no_grad():
                nearest = (exact @ learned.transpose(1, 2) * -2 + learned.pow(2).sum(2)[:, None]).argmin(2)
            picked = learned.gather(1, nearest[:, :, None].expand(-1, -1, learned.shape[2]))
            drawn = (exact - picked.detach()).pow(2).sum((0, 2)).mean() / (dims * size**2)
            through = (picked + exact - exact.detach()).transpose(0, 1).reshape(len(used), dims)
            bag = torch.repeat_interleave(
                torch.arange(len(chosen)), torch.diff(starts, append=torch.tensor([len(flat)]))
            )
            found = functional.normalize(torch.zeros(len(chosen), dims).index_add(0, bag, through[back]), dim=1)
            loss = functional.cross_entropy(found @ goal.T / 0.07, torch.arange(len(chosen))) + 5 * (
                1 - (found * goal).sum(1).mean()
            )
            optimizer.zero_grad(set_to_none=True)
            (loss + arguments.draw * drawn).backward()
            optimizer.step()
            if step % 100 == 99:
                print(
                    f"{groups} groups, step {step + 1}: loss {loss.item():.3f}, distance {drawn.item():.3f}", flush=True
                )
        with torch.no_grad():
            exact = rows_learned.view(rows, groups, -1).transpose(0, 1)
            codes = (
                torch.stack(
                    [
                        (exact[group] @ learned[group].T * -2 + learned[group].pow(2).sum(1)).argmin(1)
                        for group in range(groups)
                    ],
                    1,
                )
                .numpy()
                .astype(np.uint8)
            )
        after_books = learned.detach().numpy()
        after = similarity(dense(rounded(after_books), codes).astype(np.float32), arguments.data, shift)
        total = rows * groups + 256 * dims
        results[str(groups)] = {"bytes": total, "before": before, "after": after}
        np.savez(
            arguments.lexicon / f"quantized_{groups}.npz",
            books=after_books.astype(np.float16),
            codes=codes,
            turn=turn.numpy(),
        )
        print(f"{groups} groups, {total / 1000:.0f} kB: {before:.2f}, trained on quantized: {after:.2f}", flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
