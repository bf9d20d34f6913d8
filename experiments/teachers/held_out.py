"""Cut fixed test parts from labelled sets, and list every text that training may not see.

    python experiments/teachers/held_out.py --data shared/data --output held_out

What is written, always the same whatever the machine:

    <set>/train.csv, <set>/test.csv   for each of `SETS`: header text,label
    QQP/train.tsv, QQP/dev.tsv        QQP_part cut in two: no question is on both sides
    forbidden.npy                     64-bit keys of forbidden texts and sentences, sorted
    held_out.json                     rows, and SHA-256 of the texts of each part

A row belongs to the test part by the SHA-256 of the seed, the set's name and its text's key (the
lower-cased text with nothing but letters and digits; user names and links dropped). Texts with
the same key share a side. The test part is the fifth with the lowest hashes, at most 2,000 texts.

Forbidden are the test parts, GLUE's development sets (QNLI's, MNLI's and QQP's part too) and
`classify`'s test and dev parts: each text whole, and each of its sentences of six words or more.
`Forbidden(path).has(text)` answers for one text.
"""

import argparse
import csv
import hashlib
import html
import json
import lzma
import pathlib
import re

import numpy as np

SEED = "eelbert-held-out-1"
SETS = (
    "hwu64",
    "bitext_support",
    "tweet_sentiment",
    "trivia_category",
    "stackoverflow_titles",
    "isear",
    "pros_cons",
    "davidson_hate",
)
# GLUE's tasks whose files have a header, each with the columns of its texts.
GLUE_COLUMNS = {
    "SST-2": (0,),
    "MRPC": (3, 4),
    "RTE": (1, 2),
    "STS-B": (7, 8),
    "WNLI": (1, 2),
    "QNLI": (1, 2),
    "MNLI_part": (0, 1),
}
PART = 0.2
MOST = 2000
LONG = 6

_NAMES = re.compile(r"@\w+|https?://\S+|\bhttp\b|www\.\S+")
_ENDS = re.compile(r"(?<=[.!?;:])\s+|\n+")
_WORDS = re.compile(r"[^\W_]+")


def key(text):
    """The text's letters and digits, lower-cased, in one piece."""
    return "".join(_WORDS.findall(_NAMES.sub(" ", html.unescape(text)).lower()))


def number(piece):
    """A key's 64-bit number."""
    return int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "little")


def pieces(text):
    """Keys of a text and of its sentences of six words or more."""
    found = {key(text)}
    for sentence in _ENDS.split(text):
        if len(sentence.split()) >= LONG:
            found.add(key(sentence))
    found.discard("")
    return found


class Forbidden:
    """Texts that training may not see."""

    def __init__(self, path):
        self._numbers = set(np.load(path).tolist())

    def has(self, text):
        """Whether the text, or a sentence of six words or more in it, is forbidden."""
        return any(number(piece) in self._numbers for piece in pieces(text))


def rows(path):
    """Rows of a CSV file, compressed or not, as dictionaries."""
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def tsv(path, header=True):
    """Rows of a GLUE file (quotes mean nothing), as lists; the header, if any, is left out."""
    lines = path.read_text(encoding="utf-8-sig").split("\n")[int(header) :]
    return [line.rstrip("\r").split("\t") for line in lines if line.strip()]


def rank(name, piece):
    """Where a text stands in the order that decides who is in the test part."""
    return hashlib.sha256(f"{SEED}\n{name}\n{piece}".encode()).digest()


def cut(name, read):
    """Training rows and test rows of a labelled set."""
    kept = {}
    for row in read:
        if key(row["text"]):
            kept.setdefault(key(row["text"]), (row["text"], row["label"]))
    ordered = sorted(kept, key=lambda piece: rank(name, piece))
    size = min(int(PART * len(ordered)), MOST)
    test = set(ordered[:size])
    return (
        [kept[piece] for piece in kept if piece not in test],
        [kept[piece] for piece in ordered[:size]],
    )


def cut_questions(read):
    """Training pairs and development pairs of QQP_part; pairs with a question on each side go."""
    chosen = {}
    for row in read:
        for text in row[3:5]:
            chosen[key(text)] = rank("QQP", key(text))[0] < 38
    sides = {True: [], False: []}
    for row in read:
        first, second = chosen[key(row[3])], chosen[key(row[4])]
        if first == second or first:
            sides[first].append(row)
    held = {key(text) for row in sides[True] for text in row[3:5]}
    sides[False] = [row for row in sides[False] if not {key(row[3]), key(row[4])} & held]
    return sides[False], sides[True]


def write_csv(path, chosen):
    """Writes texts and labels as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        writer.writerows(chosen)


def write_tsv(path, chosen):
    """Writes rows as TSV, without quoting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    lines = ["\t".join(row) for row in [header, *chosen]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def digest(texts):
    """The SHA-256 of some texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def main():
    """Write the parts and the list."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with labelled/, glue/ and classify/")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    data, output = arguments.data, arguments.output
    if not (data / "labelled").is_dir():
        parser.error(
            f"{data} has no folder 'labelled': --data must name the folder with labelled/, glue/ and classify/"
        )
    report, forbidden = {}, set()
    for name in SETS:
        train, test = cut(name, rows(data / "labelled" / f"{name}.csv.xz"))
        write_csv(output / name / "train.csv", train)
        write_csv(output / name / "test.csv", test)
        report[name] = {
            "train": len(train),
            "test": len(test),
            "classes": len({label for _, label in train}),
            "sha256_train": digest([text for text, _ in train]),
            "sha256_test": digest([text for text, _ in test]),
        }
        for text, _ in test:
            forbidden |= pieces(text)
    train, dev = cut_questions(tsv(data / "glue" / "QQP_part" / "all.tsv"))
    write_tsv(output / "QQP" / "train.tsv", train)
    write_tsv(output / "QQP" / "dev.tsv", dev)
    report["QQP"] = {"train": len(train), "dev": len(dev)}
    glue = [row[3:5] for row in dev]
    for name, columns in GLUE_COLUMNS.items():
        glue.extend([row[column] for column in columns] for row in tsv(data / "glue" / name / "dev.tsv"))
    glue += [row[3:4] for row in tsv(data / "glue" / "CoLA" / "dev.tsv", header=False)]
    for texts in glue:
        for text in texts:
            forbidden |= pieces(text)
    for path in sorted((data / "classify").glob("*/*.csv")):
        if path.stem != "train":
            for row in rows(path):
                forbidden |= pieces(row["text"])
    numbers = np.array(sorted({number(piece) for piece in forbidden}), dtype=np.uint64)
    np.save(output / "forbidden.npy", numbers)
    report["forbidden"] = {"texts": len(numbers), "sha256": hashlib.sha256(numbers.tobytes()).hexdigest()}
    (output / "held_out.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
