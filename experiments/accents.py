"""What dropping accents costs and brings: words of a language mapped to English sentences, with accents and without.

    python experiments/accents.py --data FOLDER --output experiments/accents.json    # FOLDER: en-fr.pairs.tsv.xz, ..

A ridge regression maps each sentence (TF-IDF of words and of letters in threes) to the English one (TF-IDF of words,
reduced to 128 numbers). The score is how often the right one of 1,000 sentences kept back is the nearest. No encoder of
this project takes part: the question is only what the letters say.
"""

from __future__ import annotations

import argparse
import json
import lzma
import unicodedata
from pathlib import Path

import numpy as np

PAIRS, KEPT_BACK, NUMBERS = 12_000, 1_000, 128


def without_accents(text: str) -> str:
    """Lower case, without marks that stand on letters."""
    marked = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in marked if unicodedata.category(c) != "Mn")


def with_accents(text: str) -> str:
    """Lower case, composed."""
    return unicodedata.normalize("NFC", text.casefold())


def measure(path: Path) -> dict[str, float]:
    """Accuracies of one language in percent, trained and tested on either form of its text."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_union
    from sklearn.preprocessing import normalize

    with lzma.open(path, "rt", encoding="utf-8") as file:
        pairs = [line.rstrip("\n").split("\t")[:2] for line in file]
    pairs = [pair for pair in dict.fromkeys(tuple(pair) for pair in pairs) if len(pair) == 2]
    order = np.random.default_rng(0).permutation(len(pairs))[: PAIRS + KEPT_BACK]
    english, foreign = zip(*(pairs[i] for i in order), strict=True)
    english_tfidf = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(english)
    targets = normalize(TruncatedSVD(NUMBERS, random_state=0).fit_transform(english_tfidf))
    found = {"pairs": len(order) - KEPT_BACK}
    for name, form in (("with", with_accents), ("without", without_accents)):
        texts = [form(text) for text in foreign]
        features = make_union(
            TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+"),
            TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 3)),
        )
        model = Ridge(1.0, solver="lsqr", max_iter=200, tol=1e-3)
        model.fit(features.fit_transform(texts[KEPT_BACK:]), targets[KEPT_BACK:])
        for kind, tested in (("", texts), (", typed without", [without_accents(text) for text in texts])):
            guesses = normalize(model.predict(features.transform(tested[:KEPT_BACK])))
            nearest = (guesses @ targets[:KEPT_BACK].T).argmax(axis=1)
            found[name + kind] = round(100 * float((nearest == np.arange(KEPT_BACK)).mean()), 1)
    del found["without, typed without"]  # the same text
    return found


def main() -> None:
    """Measures the languages of the folder that have enough pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--languages", nargs="+", default=["fr", "de", "es", "cs", "pt", "ro", "tr", "ar", "el"])
    args = parser.parse_args()
    results = {}
    for language in args.languages:
        results[language] = measure(args.data / f"en-{language}.pairs.tsv.xz")
        print(language, results[language], flush=True)
        args.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
