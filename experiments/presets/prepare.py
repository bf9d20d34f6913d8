"""Turn texts into word numbers, each with a noisy copy, and the tables of all distinct words.

    python experiments/presets/prepare.py --texts texts/texts.txt --data shared/data --held-out held_out \
        --most 600000 --output words

Writes ids.npy and offsets.npy (the texts, then their noisy copies in the same order), table.npy (float16, the hash
embedding of each word, then those of [CLS], [SEP] and padding), rows.npy (the upper 24 bits that choose a lexicon's
row), sets.pickle (the labelled sets of labelled_sets.py, rows with their noisy copies behind them) and stsb.npz (the
sentences of STS-B's development set, for scores while training). A noisy copy has typing errors and, sometimes, no
punctuation.
"""

import argparse
import hashlib
import itertools
import pathlib
import pickle
import re
import sys
import types

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from labelled_sets import allowed_sets, kind, targets

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import HashConfig
from eelbert_tf.text.reference import CLS, SEP, embed_token
from eelbert_tf.text.words import split_words
from eelbert_tf.training.corpus.reader import Words
from eelbert_tf.training.tokens.tables import embedding_table, lexicon_table

HASH = HashConfig((43, 43, 42), boundaries=True, normalization=1)
LONGEST = 126  # words of a text
LONGEST_LABELLED, MOST_ROWS = 46, 40_000  # words of a labelled text; rows of a set
CODES = 2**24
_ROWS_OF_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEAR = {
    key: row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
    for row in _ROWS_OF_KEYS
    for place, key in enumerate(row)
}
_PUNCTUATION = re.compile(r"[^\w\s]")


def typo(word, chance):
    """A word with one typing error: a letter left out, twice, swapped with the one before, or a key beside it."""
    place, kind = int(chance.integers(1, len(word))), chance.integers(4)
    if kind == 0:
        return word[:place] + word[place + 1 :]
    if kind == 1:
        return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]
    if kind == 2:
        return word[:place] + word[place - 1] + word[place:]
    near = _NEAR.get(word[place].lower(), "e")
    letter = near[int(chance.integers(len(near)))]
    return word[:place] + letter + (word[place + 1 :] if chance.random() < 0.7 else word[place:])


def noisy(text, chance):
    """A text as somebody in a hurry types it."""
    if chance.random() < 0.4:
        text = _PUNCTUATION.sub("" if chance.random() < 0.5 else " ", text) or text
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if long:
        count = min(len(long), 1 + int(chance.random() < 0.5) + len(long) // 12)
        for place in chance.choice(long, count, replace=False):
            words[place] = typo(words[place], chance)
    return " ".join(words)


class Vocabulary:
    """Numbers of words, given as they come."""

    def __init__(self):
        self.numbers = {}

    def read(self, texts, longest=LONGEST):
        """The words of each text, as int32 arrays."""
        for text in texts:
            words = split_words(text.encode()[:512], 1)[:longest]
            yield np.array([self.numbers.setdefault(word, len(self.numbers)) for word in words], np.int32)

    def tables(self, folder):
        """Hash embeddings float16 `[V + 3, 128]`, and 24 bits for the lexicon, int32 `[V]`.

        The last three embeddings are those of [CLS], [SEP] and padding.
        """
        blob = np.frombuffer(b"".join(word + b"\n" for word in self.numbers), np.uint8)
        words = Words(blob, np.cumsum([len(word) + 1 for word in self.numbers]))
        fingerprint = hashlib.sha256(blob).hexdigest()[:16]
        corpus = types.SimpleNamespace(words=words, directory=folder, fingerprint=fingerprint)
        ends = [embed_token(CLS, HASH), embed_token(SEP, HASH), np.zeros(HASH.size)]
        table = np.concatenate([embedding_table(corpus, HASH), ends]).astype(np.float16)
        return table, lexicon_table(corpus, HASH, CODES)


def labelled(data, held_out, vocabulary, chance):
    """Labelled sets in word numbers: name, kind, targets, and for each side ids and offsets (clean, then noisy)."""
    for name, rows in allowed_sets(data, held_out):
        rows = [rows[place] for place in chance.permutation(len(rows))[:MOST_ROWS]]
        sides = []
        for side in range(1 + (rows[0][1] is not None)):
            texts = [row[side] for row in rows]
            read = list(vocabulary.read(texts, LONGEST_LABELLED))
            read += vocabulary.read((noisy(text, chance) for text in texts), LONGEST_LABELLED)
            sides.append((np.concatenate(read), np.cumsum([0, *map(len, read)])))
        found, names = targets(name, [row[2] for row in rows])
        yield {"name": name, "kind": kind(name), "names": names, "targets": found, "sides": sides}


def padded(found, number):
    """Word numbers of texts with [CLS] and [SEP]: int32 `[n, 64]`."""
    ids = np.full((len(found), 64), number + 2, np.int32)
    for row, words in zip(ids, found, strict=True):
        row[0], row[1 : 1 + len(words)], row[1 + len(words)] = number, words, number + 1
    return ids


def main():
    """Read, spoil, number, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="one text a line (gather_texts.py)")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with labelled/, glue/ and classify/")
    parser.add_argument("--held-out", type=pathlib.Path, required=True, help="what held_out.py wrote")
    parser.add_argument("--most", type=int, default=700_000)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    chance, vocabulary = np.random.default_rng(0), Vocabulary()
    with open(arguments.texts, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in itertools.islice(file, arguments.most)]
    found = list(vocabulary.read(lines)) + list(vocabulary.read(noisy(line, chance) for line in lines))
    sets = list(labelled(arguments.data, arguments.held_out, vocabulary, chance))
    stsb = arguments.data / "glue" / "STS-B" / "dev.tsv"
    pairs = [line.split("\t") for line in stsb.read_text("utf-8").split("\n")[1:] if line.strip()]
    sides = {name: list(vocabulary.read((pair[column] for pair in pairs), 62)) for name, column in (("a", 7), ("b", 8))}
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "sets.pickle").write_bytes(pickle.dumps(sets))
    np.save(arguments.output / "ids.npy", np.concatenate(found))
    np.save(arguments.output / "offsets.npy", np.cumsum([0, *map(len, found)]))
    table, rows = vocabulary.tables(arguments.output)
    number = len(rows)
    np.save(arguments.output / "table.npy", table)
    np.save(arguments.output / "rows.npy", rows)
    kept = {name: padded(side, number) for name, side in sides.items()}
    sizes = {f"{name}_sizes": np.array([len(words) for words in side]) for name, side in sides.items()}
    np.savez(arguments.output / "stsb.npz", scores=np.array([float(pair[9]) for pair in pairs]), **kept, **sizes)
    print(f"{len(lines)} texts, {sum(map(len, found))} words, {number} distinct")


if __name__ == "__main__":
    main()
