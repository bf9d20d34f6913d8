"""A small tagger, trained on sentences of a grammar, saved and converted once for all tests of a run."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

from eelbert_tf.config import HashConfig
from tests.configs import TINY
from tests.shared import once

FILE = "model.tflite"
_PLACES = ("Rome", "New York", "Bonn", "São Paulo", "Rio de Janeiro")
_TIMES = ("nine", "half past ten", "5 pm", "noon")
_RULES = {
    "alarm": ("wake me at {time}", "set an alarm for {time} please"),
    "weather": ("will it rain in {place}", "weather in {place} at {time} ?"),
    "hello": ("good morning", "hi there !"),
}


def sentences(count: int, seed: int = 0) -> list[tuple[list[str], list[str], str]]:
    """Words, tags and intents of random sentences."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        intent = rng.choice(sorted(_RULES))
        words: list[str] = []
        tags: list[str] = []
        for part in rng.choice(_RULES[intent]).split():
            name = part.strip("{}") if part.startswith("{") else ""
            filled = rng.choice(_PLACES if name == "place" else _TIMES).split() if name else [part]
            words += filled
            tags += [f"{'I' if i else 'B'}-{name}" if name else "O" for i in range(len(filled))]
        found.append((words, tags, intent))
    return found


def as_csv(rows: list[tuple[list[str], list[str], str]]) -> str:
    """Sentences as a file with the columns `tokens`, `tags` and `intent`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["tokens", "tags", "intent"])
    writer.writerows([" ".join(words), " ".join(tags), intent] for words, tags, intent in rows)
    return out.getvalue()


def trained() -> Path:
    """A folder with `train.csv`, `test.csv` and the tagger's directory `model`."""
    return once("tagger", _train)


def _train(folder: Path) -> None:
    import keras

    from eelbert_tf import EelbertBackbone, EelbertTagger
    from eelbert_tf.disk.tagged import intent_names, read_tagged, span_names
    from eelbert_tf.training.finetune.labelled import Tagged
    from eelbert_tf.training.finetune.recipe import Recipe
    from eelbert_tf.training.finetune.run import Options, finetune

    folder.mkdir(exist_ok=True)
    for name, count, seed in (("train", 128, 0), ("test", 40, 1)):
        (folder / f"{name}.csv").write_text(as_csv(sentences(count, seed)), "utf-8")
    train = read_tagged(folder / "train.csv")
    keras.utils.set_random_seed(0)
    config = TINY.replace(hash=HashConfig(widths=(6, 5, 5), normalization=1), max_position_embeddings=24, max_tokens=24)
    backbone = EelbertBackbone(config)
    features = {"word_rows": 64, "word_width": 4, "affix_rows": 16, "affix_width": 4}
    names, intents = span_names(train, "train.csv"), intent_names(train, "train.csv")
    model = EelbertTagger(backbone, names, intents, units=24, dropout=0.0, features=features)
    finetune(model, Tagged.of(train), None, Recipe(9, 16, 0.02), Options(folder / "model", quiet=True))


def converted(target: str, quantize: str, lengths: tuple[int, ...] | None = None) -> tuple[Path, dict[str, Any]]:
    """A TFLite file of `trained()`, and the report of its conversion."""

    def build(folder: Path) -> None:
        from eelbert_tf.disk.tagged import read_tagged
        from eelbert_tf.tflite.conversion.convert import convert

        folder.mkdir(exist_ok=True)
        texts = [row.text for row in read_tagged(trained() / "train.csv")] if quantize == "int8" else None
        report = convert(trained() / "model", folder / FILE, target, quantize, calibration=texts, lengths=lengths)
        (folder / "report.json").write_text(json.dumps(report), "utf-8")

    folder = once(f"tagger-{target}-{quantize}-{lengths}", build)
    return folder / FILE, json.loads((folder / "report.json").read_text("utf-8"))
