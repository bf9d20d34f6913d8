"""Prototype of the lexicon: a table indexed by the word's hash, summed, that learns cached answers.

    python experiments/teachers/lexicon_train.py --words lexicon/words --answers answers/a --data shared/data \
        --output lexicon/a_65536x128 --rows 65536 --dims 128

Several --answers are concatenated and reduced together to --dims by PCA. Loss: contrast in the batch (temperature
0.07) plus 5 x (1 - cosine). Each row has a weight of its own (starts as inverse frequency); it is folded into the row
in the end. Similarity: Spearman on STS-B's development set. Resumable: goes on after the last whole pass.
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np
import torch
from held_out import tsv
from lexicon_words import Words
from scipy.stats import spearmanr
from teachers_answer import Answers
from torch.nn import functional


def bags(tokens, offsets, chosen, shift):
    """Flat rows and bag starts of the chosen texts."""
    starts, sizes = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
    places = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.arange(places[-1]) - np.repeat(places[:-1] - starts, sizes)
    return torch.from_numpy((tokens[flat] >> np.uint32(shift)).astype(np.int64)), torch.from_numpy(places[:-1])


def similarity(table, data, shift):
    """Spearman on STS-B dev of the sums of rows."""
    dev, words = tsv(data / "glue" / "STS-B" / "dev.tsv"), Words()
    sides = []
    for column in (7, 8):
        sums = np.stack([table[np.array(words.text(row[column]), np.uint32) >> np.uint32(shift)].sum(0) for row in dev])
        sides.append(sums / np.linalg.norm(sums, axis=1, keepdims=True))
    return 100 * float(spearmanr((sides[0] * sides[1]).sum(1), [float(row[9]) for row in dev])[0])


def main():
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--words", type=pathlib.Path, required=True)
    parser.add_argument("--answers", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=65536)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--most", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokens, offsets = np.load(arguments.words / "tokens.npy"), np.load(arguments.words / "offsets.npy")
    several = [Answers(folder) for folder in arguments.answers]
    count = min([one.count for one in several] + [len(offsets) - 1] + ([arguments.most] if arguments.most else []))
    shift = 32 - (arguments.rows.bit_length() - 1)
    if len(several) == 1:
        targets = several[0].codes(0, count)[:, : arguments.dims]
        scale = several[0].scale[: arguments.dims]
        rotate = None
    else:
        sample = np.concatenate([one.rows(0, 50_000) for one in several], 1)
        rotate = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, : arguments.dims].astype(np.float32)
        targets = np.concatenate(
            [
                np.concatenate([one.rows(at, min(at + 50_000, count)) for one in several], 1) @ rotate
                for at in range(0, count, 50_000)
            ]
        ).astype(np.float16)
        scale = np.ones(arguments.dims, np.float32)
    frequency = np.bincount(tokens[: offsets[count]] >> np.uint32(shift), minlength=arguments.rows).astype(np.float64)
    table = torch.nn.Parameter(torch.randn(arguments.rows, arguments.dims) * 0.1)
    start = np.log(1e-3 / (1e-3 + frequency / frequency.sum()))
    weight = torch.nn.Parameter(torch.from_numpy(start).float()[:, None])
    optimizer = torch.optim.Adam(
        [{"params": [table], "lr": arguments.rate}, {"params": [weight], "lr": arguments.rate}], fused=True
    )
    steps_a_pass = count // arguments.batch
    total = steps_a_pass * arguments.passes
    arguments.output.mkdir(parents=True, exist_ok=True)
    kept, first = arguments.output / "resume.pt", 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        table.data, weight.data, first = state["table"], state["weight"], state["passes"]
        optimizer.load_state_dict(state["optimizer"])
    print(f"{count} texts, {total} steps, rows used {(frequency > 0).mean():.2f}", flush=True)
    for turn in range(first, arguments.passes):
        began, order, sums = time.time(), np.random.default_rng(turn).permutation(count), []
        for step in range(steps_a_pass):
            for group in optimizer.param_groups:
                group["lr"] = arguments.rate * (1 - (turn * steps_a_pass + step) / total)
            chosen = np.sort(order[step * arguments.batch : (step + 1) * arguments.batch])
            flat, starts = bags(tokens, offsets, chosen, shift)
            goal = functional.normalize(torch.from_numpy(targets[chosen].astype(np.float32) * scale), dim=1)
            rows = functional.embedding(flat, table) * functional.embedding(flat, weight).exp()
            bag = torch.repeat_interleave(
                torch.arange(len(chosen)), torch.diff(starts, append=torch.tensor([len(flat)]))
            )
            found = functional.normalize(torch.zeros(len(chosen), arguments.dims).index_add(0, bag, rows), dim=1)
            logits = found @ goal.T / 0.07
            loss = functional.cross_entropy(logits, torch.arange(len(chosen))) + 5 * (1 - (found * goal).sum(1).mean())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            sums.append(loss.item())
            if step % 100 == 99:
                print(
                    f"pass {turn} step {step + 1}: loss {np.mean(sums[-100:]):.3f}, "
                    f"{len(sums) / (time.time() - began):.1f} steps/s",
                    flush=True,
                )
        folded = (table * weight.exp()).detach().numpy()
        print(f"pass {turn}: STS-B dev {similarity(folded, arguments.data, shift):.2f}", flush=True)
        torch.save(
            {"table": table.data, "weight": weight.data, "optimizer": optimizer.state_dict(), "passes": turn + 1},
            kept.with_suffix(".part"),
        )
        os.replace(kept.with_suffix(".part"), kept)
    np.save(arguments.output / "table.npy", folded.astype(np.float16))
    np.save(arguments.output / "frequency.npy", frequency.astype(np.int64))
    if rotate is not None:
        np.save(arguments.output / "rotate.npy", rotate)
    told = {
        "rows": arguments.rows,
        "dims": arguments.dims,
        "texts": count,
        "passes": arguments.passes,
        "batch": arguments.batch,
        "stsb_dev": similarity(folded, arguments.data, shift),
    }
    (arguments.output / "lexicon.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
