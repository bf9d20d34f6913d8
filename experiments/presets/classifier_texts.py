"""The texts that a ready classifier learns from its teacher: labelled ones, variants of them, others without a label.

    python experiments/presets/classifier_texts.py --train SST-2/train.tsv --dev SST-2/dev.tsv --texts texts \
        --sources imdb_unsup pros_cons amazon_multidomain skytrax_recommend --output sst2

Writes texts.txt, labels.npy (int64, -1 where there is none) and what prepare.py writes: ids.npy and offsets.npy (the
texts, then their copies with typing errors), table.npy, rows.npy; and dev.pickle, for scores while training.
"""

import argparse
import json
import pathlib
import pickle

import numpy as np
from prepare import Vocabulary, noisy

from eelbert_tf.disk.tables import read_table
from eelbert_tf.training.distill.soft_targets import make_up

MOST_WORDS = 40


def unlabelled(folder, sources, most):
    """Texts of some sources of gather_texts.py, in its order."""
    names = list(json.loads((folder / "texts.json").read_text("utf-8"))["sources"])
    wanted = np.isin(np.load(folder / "sources.npy"), [names.index(name) for name in sources])
    with open(folder / "texts.txt", encoding="utf-8") as file:
        found = (line.rstrip("\n") for line, kept in zip(file, wanted, strict=True) if kept)
        return [text for _, text in zip(range(most), found, strict=False)]


def main():
    """Read, make up, spoil, number, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--dev", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="what gather_texts.py wrote")
    parser.add_argument("--sources", nargs="+", required=True)
    parser.add_argument("--most", type=int, default=120_000, help="texts without a label")
    parser.add_argument("--made-up", type=int, default=3, help="variants of each labelled text")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    train, dev = (read_table(path, text_columns=["sentence"]) for path in (arguments.train, arguments.dev))
    names = sorted({str(label) for label in train.labels})
    texts, known = [text.strip() for text in train.texts], {*train.texts, *dev.texts}
    more = [*make_up(texts, arguments.made_up, 0), *unlabelled(arguments.texts, arguments.sources, arguments.most)]
    labels = [names.index(str(label)) for label in train.labels]
    texts += (kept := [text for text in dict.fromkeys(more) if text and text not in known])
    chance, vocabulary = np.random.default_rng(0), Vocabulary()
    found = list(vocabulary.read(texts, MOST_WORDS))
    found += vocabulary.read((noisy(text, chance) for text in texts), MOST_WORDS)
    held = list(vocabulary.read([text.strip() for text in dev.texts], MOST_WORDS + 20))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "texts.txt").write_text("".join(f"{text}\n" for text in texts), "utf-8")
    np.save(arguments.output / "labels.npy", np.concatenate([labels, np.full(len(kept), -1)]))
    np.save(arguments.output / "ids.npy", np.concatenate(found))
    np.save(arguments.output / "offsets.npy", np.cumsum([0, *map(len, found)]))
    truth = np.array([names.index(str(label)) for label in dev.labels])
    (arguments.output / "dev.pickle").write_bytes(pickle.dumps((held, truth, names)))
    table, rows = vocabulary.tables(arguments.output)
    np.save(arguments.output / "table.npy", table)
    np.save(arguments.output / "rows.npy", rows)
    print(f"{len(labels)} labelled texts, {len(kept)} others, {len(rows)} distinct words")


if __name__ == "__main__":
    main()
