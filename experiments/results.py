"""Writes the tables of figures that stand on more than one page, and the plots, from experiments/results.json.

    python experiments/results.py            # rewrites what stands between the marks of the pages, and docs/*.svg
    python experiments/results.py --check    # changes nothing; exits with 1 if a page or plot shows something else

A table stands between `<!-- results: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`. Figures that a script of
this folder measured are read from its own file beside results.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.reports import markdown_table
from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE

sys.path.insert(0, str(Path(__file__).parent))
from plots import drawn

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "experiments" / "results.json"
BESIDE = ("languages", "lexical", "picture")
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "languages.md")
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
_MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Results = dict[str, Any]


def presets(results: Results) -> str:
    """What each preset is and how large: a row for each."""
    header = ["preset", "what it is", "learned numbers", "float32", "int8 file", "STS-B", "ten examples", "SST-2"]
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


TABLES = {"presets": presets, "scores": scores, "languages": languages}


def _score(model: Results, measure: str, spread: bool = True) -> str:
    """A score, and between which seeds it lies; empty where it was not measured."""
    value = model["scores"].get(measure)
    if isinstance(value, list):
        middle, least, greatest = value
        return f"{middle:.1f} ({least:.1f} to {greatest:.1f})" if spread else f"{middle:.1f}"
    return "" if value is None else f"{value:.1f}"


def written(page: str, results: Results) -> str:
    """A page with its tables as they should be."""
    return _MARKED.sub(lambda match: match[1] + TABLES[match[2]](results) + match[3], page)


def read_results() -> Results:
    """results.json, with what stands in the files beside it under their names."""
    beside = {name: json.loads((SOURCE.parent / f"{name}.json").read_text("utf-8")) for name in BESIDE}
    return json.loads(SOURCE.read_text("utf-8")) | beside


def outdated(results: Results) -> dict[Path, str]:
    """Pages and plots that show something else than the results, with what they should hold."""
    wanted = {page: written(page.read_text("utf-8"), results) for page in PAGES}
    wanted |= {ROOT / "docs" / name: text for name, text in drawn(results).items()}
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}


def main() -> int:
    """Rewrites pages and plots, or compares them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page or plot differs")
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
