"""Gather the unlabelled texts that teachers answer: diverse, deduplicated, shuffled, test texts left out.

    python experiments/teachers/gather_texts.py --data shared/data --held-out held_out --output texts

Writes texts.txt (one text a line), sources.npy (a byte a line) and texts.json (names of the
sources, counts). Lines are in a seeded random order in which a source with a larger weight comes
earlier, so that the first N lines are a fair sample for any N. Texts of more than 250 characters
are cut into sentences, and those at 40 words. The same key (see held_out.py) occurs once.
"""

import argparse
import hashlib
import html
import json
import lzma
import pathlib
import re

import numpy as np
from held_out import GLUE_COLUMNS, Forbidden, key, number, rows, tsv

LONGEST = 250
WORDS = 40
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[A-Za-z0-9#@])|\n+")
_SPACE = re.compile(r"\s+")

# Weight (how early) and most texts of each source; others: weight 1, all.
WEIGHTS = {
    "reddit_titles": (0.7, 450_000),
    "reddit_posts": (0.6, 120_000),
    "imdb_unsup": (0.6, 80_000),
    "wordnet_glosses": (0.6, 160_000),
    "wiki": (0.6, 200_000),
    "books": (0.6, 120_000),
    "amazon_multidomain": (1, 50_000),
    "imdb": (0.8, 60_000),
    "mrda_acts": (0.8, 60_000),
}


def sentences(text):
    """A text whole, or its sentences where it is long."""
    text = _SPACE.sub(" ", text).strip()
    if len(text) <= LONGEST:
        return [text]
    found = []
    for piece in _END.split(text):
        words = piece.split()
        found += [" ".join(words[start : start + WORDS])[:400] for start in range(0, len(words), WORDS)]
    return found


def labelled(path):
    """The texts of a labelled file."""
    for row in rows(path):
        if "tokens" in row:
            continue
        yield row["text"]
        if "text_b" in row:
            yield row["text_b"]


def spread(path, share, seed):
    """Paragraphs of a large file, each with a chance of `share`."""
    chance = np.random.default_rng(seed)
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if len(line) > 80 and chance.random() < share:
                yield line


def paragraphs(path, share, seed):
    """Paragraphs of books, whose lines are broken."""
    chance = np.random.default_rng(seed)
    held = []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                held.append(line.strip())
            elif held:
                if chance.random() < share:
                    yield " ".join(held)
                held = []


def sources(data, held_out):
    """Names and texts of every source."""
    for path in sorted((data / "unlabelled").glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            yield path.name.split(".")[0], list(file)
    for path in sorted((data / "labelled").glob("*.csv.xz")):
        yield path.name.split(".")[0], labelled(path)
    for name, columns in GLUE_COLUMNS.items():
        if name == "QNLI":  # the data have its development set alone
            continue
        found = tsv(data / "glue" / name / "train.tsv")
        yield f"glue_{name}", (row[column] for row in found for column in columns)
    yield "glue_CoLA", (row[3] for row in tsv(data / "glue" / "CoLA" / "train.tsv", header=False))
    yield "glue_QQP", (row[column] for row in tsv(held_out / "QQP" / "train.tsv") for column in (3, 4))
    for path in sorted((data / "classify").glob("*/train.csv")):
        yield f"classify_{path.parent.name}", (row["text"] for row in rows(path))
    yield "wiki", spread(data / "text" / "wiki_en.txt.xz", 0.09, 1)
    yield "books", paragraphs(data / "text" / "books_en.txt.xz", 0.12, 2)


def main():
    """Gather, shuffle, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--data", type=pathlib.Path, required=True, help="folder with unlabelled/, labelled/, glue/, classify/, text/"
    )
    parser.add_argument("--held-out", type=pathlib.Path, required=True, help="what held_out.py wrote")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    forbidden = Forbidden(arguments.held_out / "forbidden.npy")
    arguments.output.mkdir(parents=True, exist_ok=True)
    seen, texts, origin, times, report = set(), [], [], [], {}
    for index, (name, found) in enumerate(sources(arguments.data, arguments.held_out)):
        weight, most = WEIGHTS.get(name, (1, 10**9))
        left_out, own = 0, []
        for text in found:
            for sentence in sentences(html.unescape(text)):
                piece = key(sentence)
                if len(piece) < 3:
                    continue
                code = number(piece)
                if code in seen:
                    continue
                seen.add(code)
                if forbidden.has(sentence):
                    left_out += 1
                    continue
                own.append(sentence)
        chance = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
        if len(own) > most:
            own = [own[position] for position in np.sort(chance.permutation(len(own))[:most])]
        times.append(chance.exponential(1 / weight, len(own)))
        texts += own
        origin += [index] * len(own)
        report[name] = {"texts": len(own), "left_out": left_out}
        print(name, len(own), left_out, flush=True)
    order = np.argsort(np.concatenate(times), kind="stable")
    with open(arguments.output / "texts.txt", "w", encoding="utf-8", newline="\n") as file:
        for position in order:
            file.write(texts[position] + "\n")
    np.save(arguments.output / "sources.npy", np.array(origin, dtype=np.uint8)[order])
    lengths = np.array([len(text) for text in texts])
    total = {"texts": len(texts), "characters": np.percentile(lengths, [5, 50, 95, 100]).tolist()}
    (arguments.output / "texts.json").write_text(
        json.dumps({"total": total, "sources": report}, indent=1) + "\n", encoding="utf-8"
    )
    print(total)


if __name__ == "__main__":
    main()
