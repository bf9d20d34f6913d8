"""What typing errors cost a ready classifier: accuracy on a table as it is, and with errors in each text.

    python experiments/typos.py --model uno_en_sst2 tiny_en_sst2 uno_en_sst2_v1 --test SST-2/dev.tsv \
        --text-columns sentence

Prints a Markdown table of accuracies, in percent. A model is a preset, a folder or a file; the table has its names of
classes, or their numbers. An error is a letter replaced, dropped, doubled or exchanged with the next; which one follows
from the number of the text.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.reports import markdown_table
from eelbert_tf.disk.tables import read_table
from eelbert_tf.tflite.runtimes.models import open_model

sys.path.insert(0, str(Path(__file__).parent))
from quality import misspelt

ERRORS = (0, 1, 2)


def main() -> None:
    """Scores each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, nargs="+")
    parser.add_argument("--test", required=True, help="table of texts and labels")
    parser.add_argument("--text-columns", nargs="+", default=["text"])
    args = parser.parse_args()
    table = read_table(args.test, tuple(args.text_columns))
    rows: list[list[str]] = []
    for name in args.model:
        model = open_model(name)
        names = model.metadata.labels or []
        classes = {name: i for i, name in enumerate(names)} | {str(i): i for i in range(len(names))}
        truth = np.array([classes[label] for label in table.labels])
        rows.append([f"`{name}`"])
        for errors in ERRORS:
            texts = [misspelt(str(text), errors, number) for number, text in enumerate(table.texts)]
            rows[-1].append(f"{100 * np.mean(model.predict(texts).argmax(axis=1) == truth):.1f}")
    print(markdown_table(["model", *(f"{n} errors" for n in ERRORS)], rows), end="")


if __name__ == "__main__":
    main()
