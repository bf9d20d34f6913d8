"""Classes across languages: a head that has learned English commands, and one that has learned a few of the language.

    git clone https://github.com/home-assistant/intents && git -C intents checkout aa550032a
    python experiments/transfer.py --intents intents --preset uno_multi --output experiments/transfer.json

The texts are the commands to a house that Home Assistant's own tests hold, CC BY 4.0, each with its intent. A test
there is a group of wordings of one command: every second group of an intent is to learn from, the others to test on. A
language counts the intents that have ten texts to learn from and five to test on, and that English has too; languages
with fewer than four are left out. At most fifty texts of an intent are tested.

"english" is a linear head on the frozen encoder that has learned English alone, at most 200 texts of an intent; beside
it TF-IDF of characters that has learned the same. "ten" is what `eelbert finetune` makes of ten texts of each intent in
the language itself, [median, least, greatest] of the draws; beside it TF-IDF of words and pairs of words, and of 2 to 4
characters, and with --fasttext fastText on words and pairs of words, with 769 to 1,000 epochs and otherwise by
its defaults. What the output has already is not repeated; fastText is added to rows that lack it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.training.finetune.baselines import FastText, TfidfLogisticRegression
from eelbert_tf.training.finetune.heads import fit_heads
from eelbert_tf.training.finetune.labelled import Labelled

LANGUAGES = ["ar", "cs", "de", "el", "es", "fi", "fr", "hi", "hu", "id", "it", "ja", "nl", "pl", "pt"]
LANGUAGES += ["ro", "ru", "sv", "tr", "uk", "vi", "zh"]
FOLDERS = {"pt": ("pt", "pt-br"), "zh": ("zh-cn",)}
SHOTS, MOST_LEARNED, MOST_TESTED, LEAST_TESTED, LEAST_CLASSES = 10, 200, 50, 5, 4
STRENGTH = 20.0  # C of both baselines, as in experiments/lexical.py
FASTTEXT = "ten, fastText"
_TEMPLATE = re.compile(r"[<{\[(|]")

Texts = dict[str, list[str]]  # by intent


def read_commands(tests: Path, language: str) -> tuple[Texts, Texts]:
    """Commands by intent: those to learn from, and those to test on, without those that are in both halves."""
    halves: tuple[Texts, Texts] = ({}, {})
    counts: Counter[str] = Counter()
    for folder in FOLDERS.get(language, (language,)):
        for path in sorted((tests / folder).glob("[!_]*.yaml")):
            groups = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["tests"] or ()
            for group in groups:
                name = group["intent"]["name"] if isinstance(group.get("intent"), dict) else None
                wordings = [text.strip() for text in group["sentences"] if not _TEMPLATE.search(text)]
                if name and wordings:
                    halves[counts[name] % 2].setdefault(name, []).extend(wordings)
                    counts[name] += 1
    seen: set[str] = set()
    for half in halves:
        for name, texts in half.items():
            half[name] = [text for text in dict.fromkeys(texts) if text.lower() not in seen]
        seen |= {text.lower() for texts in half.values() for text in texts}
    return halves


def shared_intents(learned: Texts, tested: Texts, english: Texts) -> list[str]:
    """The intents with enough texts."""
    large = [
        name for name in sorted(learned) if len(learned[name]) >= SHOTS and len(tested.get(name, ())) >= LEAST_TESTED
    ]
    return [name for name in large if len(english.get(name, ())) >= SHOTS]


def pairs(texts: Texts, names: Sequence[str], most: int, seed: int) -> tuple[list[str], list[str]]:
    """At most so many texts of each intent, drawn, with their intents."""
    rng = np.random.default_rng(seed)
    drawn = {name: [texts[name][i] for i in rng.permutation(len(texts[name]))[:most]] for name in names}
    return [text for name in names for text in drawn[name]], [name for name in names for _ in drawn[name]]


def accuracy(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    """In percent."""
    return 100 * float(np.mean([a == b for a, b in zip(predicted, wanted, strict=True)]))


def fitted_english(preset: str, english: Texts) -> tuple[EelbertClassifier, Any, list[str]]:
    """A head on the encoder and TF-IDF of characters that know English alone, and their intents."""
    names = [name for name in sorted(english) if len(english[name]) >= SHOTS]
    known, labels = pairs(english, names, MOST_LEARNED, 0)
    head = EelbertClassifier.from_preset(preset, labels=names)
    head.fit_head(known, labels, lexical=False)
    return head, characters().fit(known, labels), names


def likeliest(scores: np.ndarray, names: Sequence[str], offered: Sequence[str]) -> list[str]:
    """The intent with the highest score among those of a language: `scores` is `[texts, len(names)]`."""
    columns = [list(names).index(name) for name in offered]
    return [offered[i] for i in np.asarray(scores)[:, columns].argmax(axis=1)]


def characters() -> Any:
    """Logistic regression on TF-IDF of 2 to 4 characters."""
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    return make_pipeline(grams, LogisticRegression(C=STRENGTH, max_iter=1000))


def measure(preset: str, halves: tuple[Texts, Texts], names: list[str], known: Any, seeds: int) -> dict[str, Any]:
    """Accuracies in one language, whose intents are `names`; `known` is of `fitted_english`."""
    learned, tested = halves
    texts, wanted = pairs(tested, names, MOST_TESTED, 0)
    head, grams, all_names = known
    row: dict[str, Any] = {"intents": len(names), "texts": len(texts)}
    row["english"] = accuracy(likeliest(head.predict(texts, batch_size=128, verbose=0), all_names, names), wanted)
    row["english, characters"] = accuracy(likeliest(grams.predict_proba(texts), grams.classes_, names), wanted)
    draws: dict[str, list[float]] = {"ten": [], "ten, words": [], "ten, characters": []}
    for seed in range(seeds):
        few, labels = pairs(learned, names, SHOTS, seed)
        model = EelbertClassifier.from_preset(preset, labels=names)
        fit_heads(model, Labelled(few, labels))
        logits = model.predict(texts, batch_size=128, verbose=0)
        draws["ten"].append(accuracy(likeliest(logits, names, names), wanted))
        words = TfidfLogisticRegression(2, STRENGTH).fit(few, labels)
        draws["ten, words"].append(accuracy(words.predict(texts), wanted))
        draws["ten, characters"].append(accuracy(characters().fit(few, labels).predict(texts), wanted))
    return row | {name: [float(f(values)) for f in (np.median, min, max)] for name, values in draws.items()}


def fasttext(halves: tuple[Texts, Texts], names: list[str], seeds: int) -> list[float]:
    """Accuracy in one language of what has learned ten texts of each intent: median, least, greatest of the draws."""
    learned, tested = halves
    texts, wanted = pairs(tested, names, MOST_TESTED, 0)
    draws = ((seed, *pairs(learned, names, SHOTS, seed)) for seed in range(seeds))
    values = [accuracy(FastText(seed=seed).fit(few, labels).predict(texts), wanted) for seed, few, labels in draws]
    return [float(f(values)) for f in (np.median, min, max)]


def rounded(value: Any) -> Any:
    """Figures with one decimal."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 1) if isinstance(value, float) else value


def main() -> None:
    """Measures every language that has enough texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=Path, required=True, metavar="DIR", help="a checkout of the repository")
    parser.add_argument("--preset", required=True, nargs="+")
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, choices=LANGUAGES, metavar="LANGUAGE")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="draws of ten examples")
    parser.add_argument("--fasttext", action="store_true")
    parser.add_argument("--output", type=Path, required=True, metavar="F.json")
    args = parser.parse_args()
    found = json.loads(args.output.read_text("utf-8")) if args.output.exists() else {}
    learned, tested = read_commands(args.intents / "tests", "en")
    english = {name: [*learned.get(name, ()), *tested.get(name, ())] for name in learned.keys() | tested.keys()}
    for preset in args.preset:
        known = fitted_english(preset, english)
        for language in args.languages:
            halves = read_commands(args.intents / "tests", language)
            names = shared_intents(*halves, english)
            rows = found.setdefault(preset, {})
            if len(names) < LEAST_CLASSES:
                continue
            if language not in rows:
                rows[language] = rounded(measure(preset, halves, names, known, args.seeds))
            if args.fasttext and FASTTEXT not in rows[language]:
                rows[language][FASTTEXT] = rounded(fasttext(halves, names, args.seeds))
            args.output.write_text(written(found), "utf-8")
            print(preset, language, rows[language], flush=True)


def written(found: dict[str, Any]) -> str:
    """The results as JSON, a language a line."""
    parts = [
        f' "{preset}": {{\n' + ",\n".join(f'  "{code}": {json.dumps(row)}' for code, row in rows.items()) + "\n }"
        for preset, rows in found.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
