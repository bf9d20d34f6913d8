"""Small models with random weights, saved and converted once for all tests of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import HashConfig, named_config
from tests.configs import TINY
from tests.shared import FOLDER as FOLDER  # for files beside these models
from tests.shared import once
from tests.task_texts import task_rows, write_task

FILE = "model.tflite"
LABELS = ["lights_on", "lights_off", "größer"]
_SMALL = TINY.replace(intermediate_size=24, max_position_embeddings=32)
_EVERYTHING = HashConfig(widths=(6, 5), boundaries=True, word_width=4, pooling="sqrtn")
CONFIGS = {
    "small": _SMALL,
    "pair": _SMALL.replace(hash=_EVERYTHING, lexicon_size=64, lexicon_width=4),  # all that a model can have
    "regression": _SMALL,
    "means": _SMALL.replace(
        pooling="mean", lexicon_size=64, lexicon_width=4, lexicon_lookups=2, num_hidden_layers=2, num_hidden_groups=1
    ),
    "codes": _SMALL.replace(
        hash=HashConfig(widths=(6, 5, 5), normalization=1),
        pooling="mean",
        lexicon_size=2**17,  # more codes than converters fold by themselves where that makes a constant larger
        lexicon_width=6,
        lexicon_codes=3,
        lexicon_skip=True,
    ),
    "encoder": _SMALL.replace(pooling="mean", lexicon_size=64, lexicon_width=4),
    "pair_means": _SMALL.replace(pooling="mean", lexicon_size=64, lexicon_width=4),
    "uno": named_config("eelbert_uno").replace(max_tokens=32, max_bytes=128),
    "normalized": _SMALL.replace(hash=HashConfig(widths=(6, 5, 5), normalization=1)),
    "normalized_pair": _SMALL.replace(
        hash=dataclasses.replace(_EVERYTHING, normalization=1), lexicon_size=64, lexicon_width=4
    ),
}


def saved(name: str) -> Path:
    """A model directory. The weights are larger than fresh ones, so that logits differ between texts."""
    return once(name, lambda path: _save(name, path))


def _save(name: str, path: Path) -> None:
    import keras

    from eelbert_tf import EelbertBackbone, EelbertClassifier, EelbertSentenceEncoder

    keras.utils.set_random_seed(7)
    backbone = EelbertBackbone(CONFIGS[name], pair="pair" in name)
    if name == "encoder":
        model: Any = EelbertSentenceEncoder(backbone)
    elif name == "regression":
        model = EelbertClassifier(backbone, 1, task="regression")
    else:
        model = EelbertClassifier(backbone, 3, LABELS)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if not weight.dtype.startswith("float"):  # codes
            continue
        spread = 0.2 if len(weight.shape) < 2 else 1.0 if "position" in weight.path else weight.shape[0] ** -0.5
        weight.assign(np.asarray(weight) + rng.normal(0, spread, weight.shape).astype(np.float32))
    model.save_to_preset(path)


def converted(name: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    """A TFLite file of `saved(name)`, and the report of its conversion."""

    def build(folder: Path) -> None:
        from eelbert_tf.tflite.conversion.convert import convert

        folder.mkdir(exist_ok=True)
        report = convert(saved(name), folder / FILE, **options)
        (folder / "report.json").write_text(json.dumps(report), "utf-8")

    digest = hashlib.blake2b(repr(sorted(options.items())).encode(), digest_size=8).hexdigest()
    folder = once(f"{name}-{digest}", build)
    return folder / FILE, json.loads((folder / "report.json").read_text("utf-8"))


def with_metadata(data: bytes, **digits: int) -> bytes:
    """A TFLite file that says something else of itself: numbers of one digit, and as many digits before."""
    from eelbert_tf.tflite.flatbuffer.metadata import add_checksum

    for name, digit in digits.items():
        place = data.rindex(f'"{name}": '.encode()) + len(name) + 4
        data = data[:place] + b"%d" % digit + data[place + 1 :]
    place = data.index(b'"crc32": "') + 10
    return add_checksum(data[:place] + b"--------" + data[place + 8 :])


TASKS = ("classification", "binary", "multilabel", "regression")
LEARNS = TINY.replace(  # enough to learn the sets of `task_texts` in seconds
    hidden_size=32,
    intermediate_size=48,
    hash=HashConfig(widths=(12, 10, 10)),
    lexicon_size=256,
    lexicon_width=8,
    pooling="mean",
    hidden_dropout_prob=0.0,
)


def trained(task: str) -> Path:
    """A folder for a task: `train.csv`, `test.csv`, the `model` trained by the command, and its file for TFLite Micro.

    That of classification refuses texts that belong to no class, the regression has two numbers.
    """
    return once(f"trained-{task}", lambda folder: _train(task, folder))


def _train(task: str, folder: Path) -> None:
    from eelbert_tf.__main__ import main
    from eelbert_tf.tflite.conversion.convert import convert

    folder.mkdir(exist_ok=True)
    train = write_task(folder / "train.csv", task, 360)
    write_task(folder / "test.csv", task, 100, seed=1)
    config = folder / "tiny.json"
    config.write_text(json.dumps(LEARNS.to_dict()))
    arguments = ["finetune", "--train", str(train), "--output", str(folder / "model"), "--task", task]
    arguments += ["--config", str(config), "--epochs", "5", "--learning-rate", "0.01"]
    arguments += {"classification": ["--unknown"], "regression": ["--label-column", "price", "size"]}.get(task, [])
    assert main(arguments) == 0
    texts = [row[0] for row in task_rows(task, 100)[1]]
    convert(folder / "model", folder / FILE, target="micro", quantize="int8", calibration=texts)
