"""Tune a sentence teacher on many labelled sets at once, held near what it was.

    python experiments/teachers/teachers_tune.py --teacher all-MiniLM-L6-v2 --data shared/data --held-out held_out \
        --texts texts/texts.txt --answers answers/a --output teachers/b

Each set has a head of its own on the sentence embedding: classes, several labels (xed_emotion) or
a score (query_wellformedness); pairs are [u, v, |u-v|, u*v]. A step draws `--tasks` sets by the
square root of their sizes, `--rows` rows of each, and `--hold` unlabelled texts whose cached
answers (teachers_answer.py) hold the embedding: loss = tasks' mean + `--weight` * (1 - cosine).

Sets whose labels are left out (--leave-out): see labelled_sets.py. STS-B's scores are not used unless --with-stsb.
Texts that held_out.py forbids are left out everywhere. Run it again and it resumes.
"""

import argparse
import itertools
import json
import os
import pathlib
import pickle
import time

import numpy as np
import torch
from labelled_sets import LEFT_OUT, allowed_sets, kind, targets
from minilm import load, save
from teachers_answer import Answers
from torch import nn
from torch.nn import functional

MOST_ROWS = 100_000
HELD = 100_000
MOST_TOKENS = 40
MOST_CHARACTERS = 1200
PASS = 50


def encode(tokenizer, texts):
    """Token numbers of texts, one behind the other, and where each begins."""
    many = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    ids, offsets = [], [0]
    for start in range(0, len(texts), 20_000):
        for one in many([text[:MOST_CHARACTERS] for text in texts[start : start + 20_000]]):
            ids.append(np.array(one.ids, np.int32))
            offsets.append(offsets[-1] + len(ids[-1]))
    return np.concatenate(ids), np.array(offsets)


def prepared(name, found, tokenizer, chance):
    """A labelled set in numbers."""
    found = [found[row] for row in chance.permutation(len(found))[:MOST_ROWS]]
    found_targets, names = targets(name, [row[2] for row in found])
    pairs = found[0][1] is not None
    sides = [encode(tokenizer, [row[side] for row in found]) for side in range(1 + pairs)]
    return {"name": name, "kind": kind(name), "names": names, "targets": found_targets, "sides": sides}


def read_tasks(arguments, tokenizer, chance):
    """Every labelled set in numbers, without forbidden texts; kept in a file, which a resumed run reads."""
    path = arguments.output / "sets.pickle"
    if path.is_file():
        return pickle.loads(path.read_bytes())
    result = [
        prepared(name, found, tokenizer, chance)
        for name, found in allowed_sets(arguments.data, arguments.held_out, arguments.leave_out, arguments.with_stsb)
        if not arguments.only or name in arguments.only
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_bytes(pickle.dumps(result))
    os.replace(path.with_suffix(".part"), path)
    return result


class Task:
    """A labelled set in token numbers, and its head."""

    def __init__(self, found, width):
        self.name, self.kind, self.sides = found["name"], found["kind"], found["sides"]
        self.targets = torch.from_numpy(found["targets"])
        self.size, self.pairs = len(self.targets), len(self.sides) > 1
        self.head = nn.Linear(width * (4 if self.pairs else 1), 1 if self.kind == "score" else len(found["names"]))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def draw(self, chance, count):
        """Rows, and the token numbers of their texts."""
        chosen = chance.integers(self.size, size=min(count, self.size))
        return chosen, [ids[offsets[row] : offsets[row + 1]] for ids, offsets in self.sides for row in chosen]

    def loss(self, found, chosen, scale):
        """Loss of embeddings (both sides one after the other) and how often the head is right."""
        targets = self.targets[chosen]
        if self.pairs:
            u, v = found[: len(chosen)], found[len(chosen) :]
            found = torch.cat([u, v, (u - v).abs(), u * v * scale], 1)
        logits = self.head(found * scale)
        if self.kind == "class":
            right = (logits.argmax(1) == targets).float().mean()
            return functional.cross_entropy(logits, targets, label_smoothing=0.05), right
        if self.kind == "score":
            logits = logits[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, targets)
        return loss, ((logits > 0) == (targets > 0.5)).float().mean()


def embed(model, ids, parts=3):
    """Embeddings of texts of many lengths: sorted, padded in a few parts."""
    order = np.argsort([len(one) for one in ids], kind="stable")
    found = []
    for part in np.array_split(order, parts):
        sizes = [len(ids[row]) for row in part]
        tokens = np.zeros((len(part), max(sizes)), np.int64)
        for place, row in enumerate(part):
            tokens[place, : sizes[place]] = ids[row]
        found.append(model(torch.from_numpy(tokens), torch.tensor(sizes)))
    return torch.cat(found)[torch.from_numpy(np.argsort(order))]


def share_gradients(weights, workers):
    """Average the gradients of all workers; a head that no worker drew keeps none."""
    present = torch.tensor([float(weight.grad is not None) for weight in weights])
    torch.distributed.all_reduce(present)
    chosen = [weight for weight, count in zip(weights, present.tolist(), strict=False) if count]
    flat = torch.cat(
        [(torch.zeros_like(weight) if weight.grad is None else weight.grad).flatten() for weight in chosen]
    )
    torch.distributed.all_reduce(flat)
    for weight, part in zip(chosen, (flat / workers).split([weight.numel() for weight in chosen]), strict=False):
        weight.grad = part.view_as(weight)


def main():
    """Tune."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--teacher", type=pathlib.Path, required=True, help="folder of the teacher to start from")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--held-out", type=pathlib.Path, required=True, help="what held_out.py wrote")
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="unlabelled texts that hold the embedding")
    parser.add_argument(
        "--answers", type=pathlib.Path, required=True, help="the first teacher's cached answers to them"
    )
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--hold", type=int, default=16)
    parser.add_argument("--frozen", type=int, default=2, help="so many of the first layers stay as they are")
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that share the work, each started with its own --worker"
    )
    parser.add_argument("--worker", type=int, default=0, help="this process's number, from 0")
    parser.add_argument("--leave-out", nargs="*", default=LEFT_OUT)
    parser.add_argument("--only", nargs="*", metavar="SET", help="no other sets than these")
    parser.add_argument("--with-stsb", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    chance = np.random.default_rng(arguments.seed)
    model, tokenizer = load(arguments.teacher)
    tokenizer.enable_truncation(MOST_TOKENS)
    model.frozen = arguments.frozen
    width = model.words.weight.shape[1]
    tasks = [Task(found, width) for found in read_tasks(arguments, tokenizer, chance)]
    answers = Answers(arguments.answers)
    with open(arguments.texts, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in itertools.islice(file, min(answers.count, HELD))]
    ids, offsets = encode(tokenizer, lines)
    held = [ids[start:stop] for start, stop in itertools.pairwise(offsets)]
    held_answers = answers.codes(0, len(held))
    components = torch.from_numpy(answers.components)
    share = np.sqrt([task.size for task in tasks])
    share /= share.sum()
    heads = nn.ModuleList(task.head for task in tasks)
    for table in (model.words, model.positions, model.types):
        table.requires_grad_(False)  # they stay: their gradients would cost a quarter of a step
    decayed = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "lr": arguments.rate, "weight_decay": 0.01},
            {"params": others, "lr": arguments.rate, "weight_decay": 0},
            {"params": heads.parameters(), "lr": 1e-3, "weight_decay": 0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )
    shared = [weight for weight in (*model.parameters(), *heads.parameters()) if weight.requires_grad]
    if arguments.workers > 1:
        place = f"file://{(arguments.output / 'workers').resolve()}"
        torch.distributed.init_process_group(
            "gloo", init_method=place, rank=arguments.worker, world_size=arguments.workers
        )
    warm = max(1, arguments.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (arguments.steps - step) / (arguments.steps - warm))
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    kept, step = arguments.output / "resume.pt", 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step = state["step"]
        print(f"resumed at step {step}", flush=True)
    began, sums, rights = time.time(), [], {task.name: [] for task in tasks}
    while step < arguments.steps:
        chance = np.random.default_rng([arguments.seed, step, arguments.worker])
        drawn = chance.choice(len(tasks), size=arguments.tasks, replace=False, p=share)
        batches = [tasks[index].draw(chance, arguments.rows) for index in drawn]
        texts = chance.integers(len(held), size=arguments.hold)
        ids = [one for _, several in batches for one in several] + [held[row] for row in texts]
        with torch.autocast("cpu", torch.bfloat16):
            found = embed(model, ids)
        found, place, task_loss = found.float(), 0, 0
        for index, (chosen, several) in zip(drawn, batches, strict=False):
            loss, right = tasks[index].loss(found[place : place + len(several)], chosen, 10.0)
            place += len(several)
            task_loss = task_loss + loss / len(batches)
            rights[tasks[index].name].append(float(right))
        target = torch.from_numpy(held_answers[texts].astype(np.float32) * answers.scale) @ components.T
        hold = (1 - functional.cosine_similarity(found[place:], target)).mean()
        optimizer.zero_grad(set_to_none=True)
        (task_loss + arguments.weight * hold).backward()
        if arguments.workers > 1:
            share_gradients(shared, arguments.workers)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        sums.append((task_loss.item(), hold.item()))
        if step % 25 == 0:
            losses = np.mean(sums[-25:], 0)
            print(
                f"step {step}: tasks {losses[0]:.3f}, hold {losses[1]:.4f}, "
                f"{(time.time() - began) / len(sums):.2f} s a step",
                flush=True,
            )
        if (step % PASS == 0 or step == arguments.steps) and arguments.worker == 0:
            state = {
                "model": model.state_dict(),
                "heads": heads.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step,
            }
            torch.save(state, kept.with_suffix(".part"))
            os.replace(kept.with_suffix(".part"), kept)
            save(model, arguments.output, arguments.teacher)
            print(
                "right: "
                + ", ".join(f"{name} {100 * np.mean(found[-30:]):.0f}" for name, found in rights.items() if found),
                flush=True,
            )
    if arguments.worker:
        return
    told = {
        name: str(value) if isinstance(value, pathlib.Path) else value
        for name, value in vars(arguments).items()
        if name not in ("teacher", "data", "held_out", "texts", "answers", "output")
    }
    (arguments.output / "tuned.json").write_text(
        json.dumps({"settings": told, "sets": {task.name: task.size for task in tasks}}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
