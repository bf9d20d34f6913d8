"""What a frozen encoder in training is worth on tasks that it does not learn: logistic regression, few texts and many.

    python experiments/presets/probe.py --prepare DIR/trec DIR/emotion ... --words words     # once; needs eelbert
    python experiments/presets/probe.py --run runs/uno_en --lexicon lexicon/q4.npz --words words

Each folder holds train.csv, of which a half is for scores: test parts stay for reporting.
"""

import argparse
import json
import pathlib
import pickle
import sys

import numpy as np

MOST = 4000
SHOTS, DRAWS = 10, 5


def prepare(folders, words):
    """Texts in word numbers with tables of their own."""
    from prepare import Vocabulary  # beside this file

    import eelbert_tf.quiet  # noqa: F401, before Keras
    from eelbert_tf.disk.tables import read_table

    vocabulary, sets = Vocabulary(), []
    for folder in folders:
        table = read_table(folder / "train.csv")
        rows = np.random.default_rng(0).permutation(len(table))[:MOST]
        read = list(vocabulary.read([str(table.texts[row]) for row in rows], 62))
        sets.append((folder.name, read, np.array([str(table.labels[row]) for row in rows])))
    (words / "probe.pickle").write_bytes(pickle.dumps((sets, *vocabulary.tables(words))))


def features(run, lexicon, table, rows, texts):
    """Pooled outputs, unit vectors float32 `[n, width]`."""
    import torch
    from batches import matrix
    from student import Student, entries
    from torch.nn import functional

    codes = None if lexicon is None else np.load(lexicon)["codes"]
    config, state = (
        json.loads((run / "run.json").read_text())["config"],
        torch.load(run / "resume.pt", weights_only=True),
    )
    model = Student(config, state["model"]["books"], state["model"]["lexicon_projection"])
    model.load_state_dict(state["model"])
    number, codes, table = len(rows), entries(rows, config, codes).long(), torch.from_numpy(table)
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.zeros((len(texts), config["hidden_size"]), np.float32)
    with torch.inference_mode():
        for part in np.array_split(order, max(1, len(order) // 200)):
            ids = torch.from_numpy(matrix([texts[row] for row in part], (number, number + 1, number + 2))).long()
            used = ids != number + 2
            x = model(table[ids].float(), codes[ids], (ids < number).float()[..., None], used)
            pooled = (x * used[..., None]).sum(1) / used.sum(1, keepdim=True)
            found[part] = functional.normalize(pooled, dim=1).numpy()
    return found


def score(points, labels):
    """Accuracy with few and with many texts to learn from, in percent, on the other half."""
    from sklearn.linear_model import LogisticRegression

    half = len(labels) // 2
    test, truth = points[half:], labels[half:]

    def accuracy(rows, strength):
        model = LogisticRegression(C=strength, max_iter=1000).fit(points[rows], labels[rows])
        return 100 * (model.predict(test) == truth).mean()

    few = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(half)
        few.append(accuracy(np.concatenate([order[labels[order] == name][:SHOTS] for name in set(labels)]), 10))
    return np.mean(few), accuracy(np.arange(half), 30)


def main():
    """Prepare, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--words", type=pathlib.Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--prepare", type=pathlib.Path, nargs="+", metavar="DIR")
    parser.add_argument("--run", type=pathlib.Path)
    parser.add_argument("--lexicon", type=pathlib.Path)
    args = parser.parse_args()
    if args.prepare:
        prepare(args.prepare, args.words)
        return
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    sets, table, rows = pickle.loads((args.words / "probe.pickle").read_bytes())
    points = features(args.run, args.lexicon, table, rows, [text for _, texts, _ in sets for text in texts])
    told, start = {}, 0
    for name, texts, labels in sets:
        told[name] = [round(float(value), 1) for value in score(points[start : start + len(texts)], labels)]
        start += len(texts)
    print(json.dumps(told), "mean", [round(float(value), 1) for value in np.mean(list(told.values()), 0)])


if __name__ == "__main__":
    main()
