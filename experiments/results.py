"""Writes the tables of figures that stand on more than one page, from experiments/results.json.

    python experiments/results.py            # rewrites what stands between the marks of README.md and docs/results.md
    python experiments/results.py --check    # changes nothing; exits with 1 if a page says something else

A table stands between `<!-- results: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`.
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

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "experiments" / "results.json"
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
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


TABLES = {"presets": presets, "scores": scores}


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


def main() -> int:
    """Rewrites the pages, or compares them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page differs")
    args = parser.parse_args()
    results = json.loads(SOURCE.read_text("utf-8"))
    for page in PAGES:
        old = page.read_text("utf-8")
        new = written(old, results)
        if new == old:
            continue
        if args.check:
            print(
                f"{page.relative_to(ROOT)}: other figures than in experiments/results.json; run experiments/results.py"
            )
            return 1
        with replace_file(page) as temporary:
            temporary.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
