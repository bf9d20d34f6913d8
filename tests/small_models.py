"""Small classifiers with random weights, saved and converted once for all test modules of a run."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig, HashConfig, named_config

FOLDER = Path(tempfile.mkdtemp(prefix="eelbert-tests-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

LABELS = ["lights_on", "lights_off", "größer"]
_SMALL = EelbertConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=24,
    hash=HashConfig(widths=(6, 5, 5)),
    max_position_embeddings=32,
    max_tokens=16,
    max_bytes=64,
)
_EVERYTHING = HashConfig(widths=(6, 5), boundaries=True, word_width=4, pooling="sqrtn")
CONFIGS = {
    "small": _SMALL,
    "pair": _SMALL.replace(hash=_EVERYTHING, lexicon_size=64, lexicon_width=4),  # all that a model can have
    "regression": _SMALL,
    "means": _SMALL.replace(
        pooling="mean", lexicon_size=64, lexicon_width=4, lexicon_lookups=2, num_hidden_layers=2, num_hidden_groups=1
    ),
    "pair_means": _SMALL.replace(pooling="mean", lexicon_size=64, lexicon_width=4),
    "uno": named_config("eelbert_uno").replace(max_tokens=32, max_bytes=128),
    "normalized": _SMALL.replace(hash=HashConfig(widths=(6, 5, 5), normalization=1)),
    "normalized_pair": _SMALL.replace(
        hash=dataclasses.replace(_EVERYTHING, normalization=1), lexicon_size=64, lexicon_width=4
    ),
}

# What learns from a teacher.
PUPIL = EelbertConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    hash=HashConfig(widths=(8, 8)),
    max_position_embeddings=32,
    max_tokens=32,
)


@functools.cache
def saved(name: str) -> Path:
    """A model directory. The weights are larger than fresh ones, so that logits differ between texts."""
    import keras

    from eelbert_tf import EelbertBackbone, EelbertClassifier, save_model

    keras.utils.set_random_seed(7)
    backbone = EelbertBackbone(CONFIGS[name], pair="pair" in name)
    if name == "regression":
        model = EelbertClassifier(backbone, 1, task="regression")
    else:
        model = EelbertClassifier(backbone, 3, LABELS)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        spread = 0.2 if len(weight.shape) < 2 else 1.0 if "position" in weight.path else weight.shape[0] ** -0.5
        weight.assign(np.asarray(weight) + rng.normal(0, spread, weight.shape).astype(np.float32))
    save_model(model, FOLDER / name)
    return FOLDER / name


@functools.cache
def converted(name: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    """A TFLite file of `saved(name)`, and the report of its conversion."""
    from eelbert_tf.tflite.conversion.convert import convert

    suffix = "-".join(value for value in options.values() if isinstance(value, str))
    path = FOLDER / f"{name}{suffix}.tflite"
    report = convert(saved(name), path, **options)
    return path, json.loads(json.dumps(report))
