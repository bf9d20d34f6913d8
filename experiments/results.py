"""Writes what shows figures in several places from experiments/results.json: tables, plots, cards, `eelbert presets`.

    python experiments/results.py            # rewrites all of it
    python experiments/results.py --check    # changes nothing; exits with 1 if something shows other figures

Plots are docs/*.svg; a preset's card gets a row of scores, and `eelbert presets` reads them from a file beside cards.
A table stands between `<!-- results: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`. Figures that a script of
this folder measured are read from its own file beside results.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import fmean, median
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import CONFIG_NAMES, EelbertConfig, named_config
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import markdown_table
from eelbert_tf.preset_table import SCORES
from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE

sys.path.insert(0, str(Path(__file__).parent))
from plots import drawn

ROOT = Path(__file__).parents[1]
MEASURED = "scores, measured alike"  # a row of a preset's card
SOURCE = ROOT / "experiments" / "results.json"
BESIDE = ("languages", "lexical", "picture", "transfer", "lengths", "teachers/frozen")
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("results", "languages", "ablations", "paper")))
QUESTIONS = {  # that the paper's text asks of the input, by the rows of `ablation`
    "the paper's hash": "hash, random or learned?",
    "random vector per word": "",
    "whole-word signature": "",
    "a learned table of 30,522 word pieces, in BERT-tiny": "",
    "N = 1": "which n-grams?",
    "N = 2": "",
    "N = 4": "",
    "wider for longer n-grams": "",
    "boundary markers": "",
    "norms rescaled": "mean or sum?",
}
LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
SETS = {  # of the tables `few` and `all`
    "trec": "TREC",
    "emotion": "emotion",
    "snips": "SNIPS",
    "isear": "ISEAR",
    "tweet_sentiment": "sentiment of tweets",
    "pros_cons": "pros and cons",
    "davidson_hate": "hate speech",
    "stackoverflow_titles": "Stack Overflow",
}
FIRST = "uno_en"  # whose rows of lexical.json hold the baselines too
MOST = 20_000  # texts that the table `all` is of
_MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Results = dict[str, Any]


def presets(results: Results) -> str:
    """What each preset is and how large: a row for each."""
    header = ["preset", "what it is", "learned numbers", "weights", "int8 file", "STS-B", "ten examples", "SST-2"]
    rows = []
    for name, model in results["models"].items():
        codes = f" and {model['codes']:,} codes" if "codes" in model else ""
        megabytes = (PRESETS / name / WEIGHTS_FILE).stat().st_size / 1e6
        sizes = [f"{model['numbers']:,}{codes}", f"{megabytes:.2f} MB", f"{model['int8_mb']:.2f} MB"]
        reached = [_score(model, measure, spread=False) for measure in ("stsb", "ten", "sst2")]
        rows.append([f"`{name}`", model["about"], *sizes, *reached])
    return markdown_table(header, rows)


def scores(results: Results) -> str:
    """What each preset and baseline reaches: a row for each."""
    measures = results["measures"]
    models = {f"`{name}`": model for name, model in results["models"].items()} | results["baselines"]
    header = ["", *(measure["name"] for measure in measures.values())]
    return markdown_table(header, ([name, *(_score(model, key) for key in measures)] for name, model in models.items()))


def languages(results: Results) -> str:
    """How often a translation is found: a row for each language."""
    found, mean = results["languages"]["languages"], results["languages"]["mean"]
    models = [name for name in mean if name in results["models"]]
    columns = [*models, *(name for name in mean if name not in models)]
    best = models[-1]
    rows = [
        [LANGUAGES[code], f"{row['pairs']:,}", *(f"{row[name]:.1f}" for name in columns)]
        for code, row in sorted(found.items(), key=lambda pair: -pair[1][best])
    ]
    names = [f"`{name}`" if name in models else name for name in columns]
    return markdown_table(["language", "pairs", *names], [*rows, ["mean", "", *(f"{mean[n]:.1f}" for n in columns)]])


def transfer(results: Results) -> str:
    """Intents in other languages, from English examples and from ten of the language: a row for each."""
    found = {name: rows for name, rows in results["transfer"].items() if name in results["models"]}
    first = next(iter(found.values()))
    sides = {"english": ("characters",), "ten": ("words", "characters")}
    columns: list[tuple[str, Results, str]] = []
    for side, baselines in sides.items():
        columns += [(f"{side.capitalize()}: `{name}`", rows, side) for name, rows in found.items()]
        columns += [(f"{side.capitalize()}: {baseline}", first, f"{side}, {baseline}") for baseline in baselines]
    codes = sorted(first, key=lambda code: -_middle(first[code]["english"]))
    cells = [[_middle(rows[code][key]) for _, rows, key in columns] for code in codes]
    rows = [
        [LANGUAGES[code], str(first[code]["intents"]), *(f"{value:.1f}" for value in row)]
        for code, row in zip(codes, cells, strict=True)
    ]
    means = [f"{fmean(column):.1f}" for column in zip(*cells, strict=True)]
    return markdown_table(["language", "intents", *(name for name, *_ in columns)], [*rows, ["mean", "", *means]])


def few(results: Results) -> str:
    """Accuracies from ten examples a class: a row for each set, a column for each model."""
    found = {name: by_set for name, by_set in accuracies(results, shots=10).items() if "beside" not in name}
    rows = [[title, *(_spread(_range(by_set[name])) for by_set in found.values())] for name, title in SETS.items()]
    return markdown_table(["set", *found], [*rows, ["mean", *_means(found)]])


def all_texts(results: Results) -> str:
    """Accuracies from all texts of a set: a row for each set, a column for each model."""
    found = accuracies(results, shots=None)
    texts = {row["set"]: f"{row['texts']:,}" for row in _runs(results, None)}
    rows = [[title, texts[name], *(f"{by[name][0]:.1f}" for by in found.values())] for name, title in SETS.items()]
    return markdown_table(["set", "texts", *found], [*rows, ["mean", "", *_means(found)]])


def accuracies(results: Results, shots: int | None) -> dict[str, dict[str, list[float]]]:
    """Accuracies of each draw in percent, by model and set: of baselines and presets that were measured on all sets.

    Args:
        results: of `read_results`.
        shots: examples of each class; `None` for all texts.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("TF-IDF", "fastText")}
    for teacher in ("WordLlama", "MiniLM"):
        for kind, name in ((teacher, teacher), (f"tfidf+{teacher}", f"{teacher} beside TF-IDF")):
            kept = {one: results["frozen"][one][kind] for one in SETS}
            found[name] = {one: row["ten"] if shots else [row["accuracy"]] for one, row in kept.items()}
    found |= {f"`{name}`": {} for name in results["models"]}
    for row in _runs(results, shots):
        columns = {f"`{row['preset']}`": "heads"}
        if row["preset"] == FIRST:  # draws are the same for all presets, and so what baselines make of them
            columns |= {"TF-IDF": "tfidf", "fastText": "fasttext"}
        for name, key in columns.items():
            if key in row:
                found[name].setdefault(row["set"], []).append(row[key])
    return {name: by_set for name, by_set in found.items() if len(by_set) == len(SETS)}


def _runs(results: Results, shots: int | None) -> list[Results]:
    """Rows of experiments/lexical.py with the encoder frozen."""
    return [
        row
        for row in results["lexical"]
        if (row["shots"], row["most"], row["finetune"]) == (shots, MOST, False) and row["set"] in SETS
    ]


def _means(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """The mean of all draws of each model, the best in bold."""
    means = [fmean(value for values in by_set.values() for value in values) for by_set in found.values()]
    return [f"**{mean:.1f}**" if mean == max(means) else f"{mean:.1f}" for mean in means]


def _range(values: list[float]) -> list[float]:
    return [median(values), min(values), max(values)]


def lengths(results: Results) -> str:
    """Bytes and tokens of sentences: a row for each language."""
    found = results["lengths"]
    header = ["language", "bytes", "tokens", *(f"{key.replace(', ', ' tokens, ')} bytes" for key in _files(found))]
    rows = []
    for code, row in sorted(found.items(), key=lambda pair: LANGUAGES[pair[0]]):
        spans = ["{} ({})".format(*row[name]) for name in ("bytes", "tokens")]
        rows.append([LANGUAGES[code], *spans, *(f"{row[key]} %" for key in _files(found))])
    return markdown_table(header, rows)


def _files(found: Results) -> list[str]:
    """The limits that lengths were held against."""
    return [key for key in next(iter(found.values())) if ", " in key]


def _middle(score: float | list[float]) -> float:
    return score[0] if isinstance(score, list) else score


def ablation(results: Results) -> str:
    """What each part of the input is worth: a row for each."""
    return markdown_table(["input", "parameters", "SST-2"], (_ablated(results, name) for name in results["ablation"]))


def questions(results: Results) -> str:
    """The rows of `ablation` that answer what the paper asks."""
    rows = ([question, *_ablated(results, name)] for name, question in QUESTIONS.items())
    return markdown_table(["question", "input", "parameters", "SST-2"], rows)


def _ablated(results: Results, name: str) -> list[str]:
    parameters, *scores = results["ablation"][name]
    return [name, f"{parameters:,}", _spread(scores)]


def shapes(results: Results) -> str:
    """The paper's models and the BERTs that they are of, counted: a row for each."""
    header = ["model", "layers", "width", "heads", "inner width", "parameters", "float32", "word table's part", "paper"]
    rows = []
    for name in (f"{family}_{size}" for size in ("base", "mini", "tiny", "uno") for family in ("bert", "eelbert")):
        if name not in CONFIG_NAMES:
            continue
        config = named_config(name)
        total, table = parameters(config), (config.vocab_size or 0) * config.hidden_size
        shape = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
        share = f"{100 * table / total:.0f} %" if table else "none"
        said = results["paper"].get(name, "")
        rows.append([f"`{name}`", *map(str, shape), f"{total:,}", f"{4e-6 * total:.2f} MB", share, said])
    return markdown_table(header, rows)


def parameters(config: EelbertConfig, num_classes: int = 2) -> int:
    """Numbers of a classifier of one of the paper's shapes, counted without building it: of 86 million, say."""
    width, inner = config.hidden_size, config.intermediate_size
    embeddings = (config.vocab_size or 0) + config.max_position_embeddings + config.type_vocab_size
    norm, dense = 2 * width, width * width + width
    block = 4 * dense + 2 * width * inner + inner + width + 2 * norm
    return embeddings * width + norm + config.num_hidden_layers * block + dense + width * num_classes + num_classes


TABLES = {
    "presets": presets,
    "scores": scores,
    "languages": languages,
    "transfer": transfer,
    "few": few,
    "all": all_texts,
    "lengths": lengths,
    "ablation": ablation,
    "questions": questions,
    "shapes": shapes,
}


def _score(model: Results, measure: str, spread: bool = True) -> str:
    """A score, and between which seeds it lies; empty where it was not measured."""
    value = model["scores"].get(measure)
    if isinstance(value, list):
        return _spread(value) if spread else f"{value[0]:.1f}"
    return "" if value is None else f"{value:.1f}"


def _spread(values: list[float]) -> str:
    middle, least, greatest = values
    return f"{middle:.1f} ({least:.1f} to {greatest:.1f})"


def written(page: str, results: Results) -> str:
    """A page with its tables as they should be."""
    return _MARKED.sub(lambda match: match[1] + TABLES[match[2]](results) + match[3], page)


def read_results() -> Results:
    """results.json, with what stands in the files beside it under their names."""
    beside = {Path(name).name: json.loads((SOURCE.parent / f"{name}.json").read_text("utf-8")) for name in BESIDE}
    return json.loads(SOURCE.read_text("utf-8")) | beside


def measured(name: str, results: Results) -> str:
    """A row of a preset's card: every score that it has, or nothing where it has none."""
    names = ((measure["name"], _score(results["models"][name], key)) for key, measure in results["measures"].items())
    scores = "; ".join(f"{words}: {score}" for words, score in names if score)
    return f"| {MEASURED} | {scores} |\n" if scores else ""


def card(text: str, row: str) -> str:
    """A preset's card with the row of its scores in place of an older one, or as the last of its first table."""
    text = re.sub(rf"^\| {MEASURED} \|.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"((?:^\|.*\n)+)", lambda match: match[1] + row, text, count=1, flags=re.MULTILINE)


def scores_by_preset(results: Results) -> str:
    """What `eelbert presets` shows: the middle of each score, by preset."""
    rows = {
        name: {key: _middle(score) for key, score in model["scores"].items()}
        for name, model in results["models"].items()
    }
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(scores)}" for name, scores in rows.items())
    return f"{{\n{lines}\n}}\n"


def outdated(results: Results) -> dict[Path, str]:
    """Files that show something else than the results, with what they should hold."""
    wanted = {page: written(page.read_text("utf-8"), results) for page in PAGES}
    wanted |= {ROOT / "docs" / name: text for name, text in drawn(results).items()}
    for name in results["models"]:
        path = PRESETS / name / "README.md"
        wanted[path] = card(path.read_text("utf-8"), measured(name, results))
    wanted[SCORES] = scores_by_preset(results)
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}


def main() -> int:
    """Rewrites the files, or compares them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a file differs")
    args = parser.parse_args()
    old = outdated(read_results())
    for path, text in old.items():
        if args.check:
            print(f"{path.relative_to(ROOT)}: not what experiments/results.json says; run experiments/results.py")
        else:
            with replace_file(path) as temporary:
                temporary.write_text(text, "utf-8")
    return int(args.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
