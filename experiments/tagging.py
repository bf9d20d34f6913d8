"""Slots and intents: a tagger beside a conditional random field with hand-made features, on the same texts.

    python experiments/tagging.py --data slurp_slots.csv.xz --output experiments/tagging.json [--int8]

The file has the columns tokens, tags and label. Texts are divided by a checksum of their words: a fifth to test on, a
tenth aside, the rest to learn from. The field is CRFsuite's (pip install python-crfsuite), with words, the first and
last one to three letters, shapes and pairs of words in a window of five, and c1 = c2 = 0.1.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf import metrics
from eelbert_tf.disk.tagged import TaggedText, intent_names, read_tagged, span_names
from eelbert_tf.text.spans import tags_of_words


def part_of(text: TaggedText) -> str:
    """Which part a text is of: train, dev or test."""
    number = zlib.crc32(text.text.encode()) % 10
    return "test" if number < 2 else "dev" if number < 3 else "train"


def shape(word: str) -> str:
    """A word with X for capitals, x for other letters and d for digits."""
    return "".join("X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word)[:6]


def features(words: Sequence[str], place: int) -> list[str]:
    """What the field sees of a word and of those beside it."""
    found = ["bias"]
    for by in range(-2, 3):
        if not 0 <= place + by < len(words):
            found.append(f"{by}:none")
            continue
        word = words[place + by]
        lower = word.lower()
        found += [f"{by}:{lower}", f"{by}:shape={shape(word)}"]
        if abs(by) < 2:
            found += [f"{by}:first={lower[:k]}" for k in (1, 2, 3)] + [f"{by}:last={lower[-k:]}" for k in (1, 2, 3)]
    for by in range(-2, 2):
        if 0 <= place + by < len(words) - 1:
            found.append(f"{by}:pair={words[place + by].lower()} {words[place + by + 1].lower()}")
    return found


def field_figures(parts: dict[str, list[TaggedText]]) -> dict[str, dict[str, float]]:
    """Figures of the conditional random field, by part."""
    import pycrfsuite

    trainer = pycrfsuite.Trainer(verbose=False)
    for row in parts["train"]:
        rows = [features(row.words, i) for i in range(len(row.words))]
        trainer.append(rows, tags_of_words(row.text, row.words, row.spans))
    trainer.set_params({"c1": 0.1, "c2": 0.1, "max_iterations": 150, "feature.possible_transitions": True})
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(f"{folder}/model")
        tagger = pycrfsuite.Tagger()
        tagger.open(f"{folder}/model")
        figures = {}
        for part in ("dev", "test"):
            truth = [tags_of_words(row.text, row.words, row.spans) for row in parts[part]]
            answers = [tagger.tag([features(row.words, i) for i in range(len(row.words))]) for row in parts[part]]
            figures[part] = metrics.tagging_figures(truth, answers)
    return figures


def main() -> None:
    """Trains, measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--preset", default="uno_en")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--int8", action="store_true", help="also convert to int8 and measure the file")
    args = parser.parse_args()
    import keras

    from eelbert_tf.training.finetune.labelled import Tagged
    from eelbert_tf.training.finetune.run import finetune, score
    from eelbert_tf.training.finetune.tagging import start_tagger, tagging_recipe

    parts: dict[str, list[TaggedText]] = {"train": [], "dev": [], "test": []}
    for row in read_tagged(args.data):
        parts[part_of(row)].append(row)
    train, test = parts["train"], parts["test"]
    figures: dict[str, Any] = {"texts": {name: len(rows) for name, rows in parts.items()}}
    figures["crf"] = field_figures(parts)
    print(json.dumps(figures), flush=True)
    keras.utils.set_random_seed(args.seed)
    names, intents = span_names(train, args.data), intent_names(train, args.data)
    model = start_tagger(args.preset, None, names, intents, {})
    recipe = tagging_recipe(len(train), args.preset != "scratch", args.epochs, 32, None, args.seed)
    trained = finetune(model, Tagged.of(train), Tagged.of(parts["dev"]), recipe)
    epochs = {"epochs": len(trained.passes.done), "best_epoch": trained.passes.best}
    figures[args.preset] = {**epochs, "dev": trained.dev, "test": score(model, Tagged.of(test))}
    if args.int8:
        from eelbert_tf.tflite.commands.evaluate import measure_tags
        from eelbert_tf.tflite.conversion.convert import convert
        from eelbert_tf.tflite.runtimes.litert import EelbertRuntime

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            convert(model, path, quantize="int8")
            figures[args.preset]["int8"] = {
                "bytes": path.stat().st_size,
                **measure_tags(EelbertRuntime(path), iter(test))[0],
            }
    Path(args.output).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
