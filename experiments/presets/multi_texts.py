"""Gather what `uno_multi` learns from: English texts, pairs with 21 languages, texts of languages with few pairs.

    python experiments/presets/multi_texts.py --data shared/data --held-out held_out --texts texts/texts.txt \
        --output multi
    python experiments/presets/multi_texts.py --data shared/data --output multi    # held_back alone

Captions of Multi30k, whose licence is non-commercial, are left out: of the three files that hold them, only pairs of at
most five English words, or with a first or second person, or with Tatoeba's Tom and Mary, are kept. Files of texts
without pairs that hold XDailyDialog (de, it, zh) are not read. A twenty-fifth of the English sides, by a hash, is held
back with all its translations: held_back/LANGUAGE.tsv.

Writes english.txt (what the English teacher answers: sides of pairs, which english_sides.txt holds alone, then the
first lines of texts.txt), foreign.txt (what the multilingual teacher answers), and texts.txt with sources.npz: of each
line its language, and its row in english.txt (or in foreign.txt: minus one, minus the row).
Languages with few lines occur several times.
"""

import argparse
import hashlib
import itertools
import json
import lzma
import pathlib
import re
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from held_out import Forbidden, key

CAPTIONS = ("de", "fr", "cs")
PERSON = re.compile(r"\b(i|you|we|me|us|my|your|our|mine|yours|tom|mary|let's|i'm|i've|i'll|i'd)\b", re.IGNORECASE)
WITHOUT_PAIRS = {
    "uk": 3000,
    "ru": 3000,
    "vi": 2500,
    "id": 2500,
    "hu": 1500,
    "sv": 1500,
    "pl": 1500,
    "hi": 1500,
    "tr": 1000,
}
LEAST = 6000  # lines of a language, by repetition
MOST_REPEATS = 4


def pairs(path, language):
    """English and foreign texts without captions."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            english, _, foreign = line.rstrip("\n").partition("\t")
            caption = language in CAPTIONS and len(english.split()) > 5 and not PERSON.search(english)
            if english.strip() and foreign.strip() and not caption:
                yield english.strip(), foreign.strip()


def is_held_back(english):
    """Whether a pair is for measurements."""
    return hashlib.sha256(("translations\n" + key(english)).encode()).digest()[0] < 10


def divided(data, output):
    """Each language with its pairs to learn from and those held back, which are written."""
    (output / "held_back").mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "multilingual").glob("en-*.pairs.tsv.xz")):
        language = path.name[3:5]
        found = list(dict.fromkeys(pairs(path, language)))
        back = [pair for pair in found if is_held_back(pair[0])][:1000]
        (output / "held_back" / f"{language}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in back), "utf-8")
        yield language, [pair for pair in found if not is_held_back(pair[0])], back


def main():
    """Read, hold back, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--held-out", type=pathlib.Path, help="what held_out.py wrote")
    parser.add_argument(
        "--texts", type=pathlib.Path, help="English, one text a line; without it held_back alone is written"
    )
    parser.add_argument("--english", type=int, default=150_000, help="lines of --texts")
    parser.add_argument("--most", type=int, default=30_000, help="pairs of a language")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    if args.texts is None:
        print(json.dumps({language: len(back) for language, _, back in divided(args.data, args.output)}))
        return
    chance, forbidden = np.random.default_rng(0), Forbidden(args.held_out / "forbidden.npy")
    english, rows, lines, counts = [], {}, [], {}
    for language, others, back in divided(args.data, args.output):
        kept = [pair for pair in others if not forbidden.has(pair[0])]
        kept = [kept[place] for place in chance.permutation(len(kept))[: args.most]]
        for side, _ in kept:
            if side not in rows:
                rows[side] = len(english)
                english.append(side)
        lines += [(language, rows[side], foreign) for side, foreign in kept]
        counts[language] = {"pairs": len(kept), "held_back": len(back)}
    sides = len(english)
    lines += [("en", row, side) for row, side in enumerate(english)]
    with open(args.texts, encoding="utf-8") as file:
        some = [line.rstrip("\n") for line in itertools.islice(file, args.english)]
    lines += [("en", sides + row, line) for row, line in enumerate(some)]
    english += some
    foreign = []
    for language, most in WITHOUT_PAIRS.items():
        with lzma.open(args.data / "multilingual" / f"{language}.txt.xz", "rt", encoding="utf-8") as file:
            found = list(dict.fromkeys(line.strip() for line in file if 2 < len(line.split()) <= 25))
        found = [found[place] for place in chance.permutation(len(found))[:most]]
        lines += [(language, -1 - len(foreign) - row, line) for row, line in enumerate(found)]
        foreign += found
        counts.setdefault(language, {})["texts"] = len(found)
    for language in counts:
        own = [line for line in lines if line[0] == language]
        lines += own * min(MOST_REPEATS - 1, LEAST // len(own))
        counts[language]["lines"] = len(own) * (1 + min(MOST_REPEATS - 1, LEAST // len(own)))
    lines = [lines[place] for place in chance.permutation(len(lines))]
    for name, texts in (
        ("english", english),
        ("english_sides", english[:sides]),
        ("foreign", foreign),
        ("texts", [line[2] for line in lines]),
    ):
        (args.output / f"{name}.txt").write_text("".join(f"{' '.join(text.split())}\n" for text in texts), "utf-8")
    languages = np.array([line[0] for line in lines])
    np.savez(args.output / "sources.npz", languages=languages, rows=np.array([line[1] for line in lines]), sides=sides)
    told = {"english": len(english), "foreign": len(foreign), "lines": len(lines), "languages": counts}
    (args.output / "texts.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
