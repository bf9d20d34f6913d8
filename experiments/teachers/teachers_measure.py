"""Measure sentence teachers, frozen: logistic regression on eleven sets, few examples, similarity.

    python experiments/teachers/teachers_measure.py --data shared/data --held-out held_out \
        --teachers a=all-MiniLM-L6-v2 b=teachers/b --output teachers.json

A teacher is the folder of a BERT, or the word `wordllama` for the package of that name (0.4) and the weights that come
with it, which needs no torch.

Sets: TREC, emotion, SNIPS, and the eight that held_out.py cut. Training texts: at most 8,000
(drawn with a seed), C = 10. Ten examples a class: the three draws of experiments/lexical.py, C = 20.
Beside each teacher: TF-IDF of words and bigrams, alone and with it; with several teachers also all of
them concatenated. Similarity: Spearman of the cosine on STS-B's development set.
Results are kept after each set; run it again and it goes on.
"""

import argparse
import functools
import json
import pathlib

import numpy as np
from held_out import SETS, rows, tsv
from scipy.optimize import minimize
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score

SEEN = ("hwu64", "tweet_sentiment", "trivia_category", "pros_cons")


def read(data, held_out, name):
    """Training texts and labels, test texts and labels."""
    folder = held_out / name if name in SETS else data / "classify" / name
    parts = []
    for part in ("train", "test"):
        found = [(row["text"], row["label"]) for row in rows(folder / f"{part}.csv")]
        parts += [[text for text, _ in found], np.array([label for _, label in found])]
    return parts


def drawn(labels, most, count=10, seeds=3):
    """Row numbers: at most `most` of all, and for each seed `count` of each class."""
    orders = [np.random.default_rng(seed).permutation(len(labels)) for seed in range(seeds)]
    few = [np.concatenate([order[labels[order] == one][:count] for one in np.unique(labels)]) for order in orders]
    return orders[0][:most] if len(labels) > most else np.arange(len(labels)), few


def teacher(folder):
    """A function from texts to embeddings of length one, float32."""
    if folder == "wordllama":
        import wordllama

        # The wheel's own folder as cache: its tokenizer lies where only a cache is looked for.
        package = pathlib.Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
        return functools.partial(model.embed, norm=True)
    import torch
    from minilm import load
    from teachers_answer import embed

    torch.set_num_threads(1)
    model, tokenizer = load(folder)
    return functools.partial(embed, model.eval().to(torch.bfloat16), tokenizer)


class Regression:
    """Softmax regression as scikit-learn's (L2, strength C), on dense and sparse features side by side."""

    def __init__(self, dense, sparse, labels, strength):
        self.classes, targets = np.unique(labels, return_inverse=True)
        count, ways = len(labels), len(self.classes)
        widths = [0 if part is None else part.shape[1] for part in (dense, sparse)]
        onehot = np.zeros((count, ways), np.float32)
        onehot[np.arange(count), targets] = 1

        def objective(flat):
            weights = flat.reshape(sum(widths) + 1, ways).astype(np.float32)
            logits = self.logits(dense, sparse, weights)
            logits -= logits.max(1, keepdims=True)
            sums = np.log(np.exp(logits).sum(1, keepdims=True))
            loss = float((sums[:, 0] - logits[np.arange(count), targets]).sum())
            slope = np.exp(logits - sums) - onehot
            parts = [part.T @ slope for part in (dense, sparse) if part is not None]
            grown = np.concatenate([*parts, slope.sum(0, keepdims=True)]).astype(np.float64) * strength
            grown[:-1] += weights[:-1]
            return strength * loss + 0.5 * float((weights[:-1] ** 2).sum()), grown.ravel()

        found = minimize(
            objective,
            np.zeros((sum(widths) + 1) * ways),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 150, "gtol": 1e-3 * strength, "ftol": 1e-7},
        )
        self.weights = found.x.reshape(sum(widths) + 1, ways).astype(np.float32)

    @staticmethod
    def logits(dense, sparse, weights):
        width = 0 if dense is None else dense.shape[1]
        logits = np.broadcast_to(
            weights[-1], ((dense if dense is not None else sparse).shape[0], weights.shape[1])
        ).copy()
        if dense is not None:
            logits += dense @ weights[:width]
        if sparse is not None:
            logits += sparse @ weights[width:-1]
        return logits

    def predict(self, dense, sparse):
        return self.classes[self.logits(dense, sparse, self.weights).argmax(1)]


def rows_of(parts, chosen):
    """Some rows of each kind of features."""
    return [None if part is None else part[chosen] for part in parts]


def full(train, labels, test, truth):
    """Accuracy and macro F1 in percent, C = 10."""
    guess = Regression(*train, labels, 10).predict(*test)
    return 100 * float((guess == truth).mean()), 100 * float(f1_score(truth, guess, average="macro"))


def few(train, labels, test, truth, draws):
    """Accuracies in percent of draws of few examples a class, C = 20."""
    found = []
    for chosen in draws:
        guess = Regression(*rows_of(train, chosen), labels[chosen], 20).predict(*test)
        found.append(100 * float((guess == truth).mean()))
    return found


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--held-out", type=pathlib.Path, required=True)
    parser.add_argument("--teachers", nargs="+", required=True, help="name=folder")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["trec", "emotion", "snips", *SETS])
    parser.add_argument("--most", type=int, default=8000)
    parser.add_argument("--quick", action="store_true", help="the teachers alone, without TF-IDF")
    arguments = parser.parse_args()
    teachers = {name: teacher(folder) for name, folder in (pair.split("=", 1) for pair in arguments.teachers)}
    results = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {}
    dev = tsv(arguments.data / "glue" / "STS-B" / "dev.tsv")
    scores = [float(row[9]) for row in dev]
    kept, both = results.setdefault("STS-B dev, Spearman", {}), []
    for name, embed in teachers.items():
        if name not in kept or len(teachers) > 1:
            found = embed([row[7] for row in dev] + [row[8] for row in dev])
            both.append((found[: len(dev)] * found[len(dev) :]).sum(1))
            kept[name] = 100 * float(spearmanr(both[-1], scores)[0])
    if len(both) > 1:
        kept["+".join(teachers)] = 100 * float(spearmanr(sum(both), scores)[0])
    print(kept, flush=True)
    for name in arguments.sets:
        kept = results.setdefault(name, {})
        wanted = [*teachers] if arguments.quick else ["tfidf", *teachers, *(f"tfidf+{one}" for one in teachers)]
        if len(teachers) > 1:
            wanted += ["+".join(teachers)] + ([] if arguments.quick else ["tfidf+" + "+".join(teachers)])
        wanted = [one for one in wanted if one not in kept]
        if not wanted:
            continue
        texts, labels, test, truth = read(arguments.data, arguments.held_out, name)
        chosen, draws = drawn(labels, arguments.most)
        used = np.unique(np.concatenate([chosen, *draws]))
        train, labels = [texts[row] for row in used], labels[used]
        chosen, *draws = (np.searchsorted(used, part) for part in (chosen, *draws))
        dense = {
            part: (embed(train), embed(test))
            for part, embed in teachers.items()
            if any(part in one.split("+") for one in wanted)
        }
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[!?]")
        words.fit([train[row] for row in chosen])
        sparse = (
            tuple(part.astype(np.float32) for part in (words.transform(train), words.transform(test)))
            if not arguments.quick
            else None
        )
        for one in wanted:
            parts = [dense[part] for part in one.split("+") if part != "tfidf"]
            sides = [
                (
                    np.concatenate([part[side] for part in parts], 1) if parts else None,
                    sparse[side] if "tfidf" in one.split("+") else None,
                )
                for side in (0, 1)
            ]
            accuracy, f1 = full(rows_of(sides[0], chosen), labels[chosen], sides[1], truth)
            ten = few(sides[0], labels, sides[1], truth, draws)
            kept[one] = {"accuracy": accuracy, "macro_f1": f1, "ten": ten}
            print(f"{name:22s} {one:14s} {accuracy:5.1f} F1 {f1:5.1f} ten {np.median(ten):5.1f}", flush=True)
            arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    names = list(results[arguments.sets[0]])
    for part, take in (
        ("full", lambda kept: kept["accuracy"]),
        ("ten a class", lambda kept: float(np.median(kept["ten"]))),
    ):
        print(f"\n{part:22s} " + " ".join(f"{name:>12s}" for name in names))
        for name in arguments.sets:
            print(f"{name:22s} " + " ".join(f"{take(results[name][one]):12.1f}" for one in names))
        for title, chosen in (
            ("mean", arguments.sets),
            ("mean, labels unseen", [name for name in arguments.sets if name not in SEEN]),
        ):
            print(
                f"{title:22s} "
                + " ".join(f"{np.mean([take(results[name][one]) for name in chosen]):12.1f}" for one in names)
            )
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
