"""EELBERT in Keras: BERT encoders whose input embeddings are computed from the bytes of each word.

The names below are loaded on first use, so that what needs no Keras (the runtime for devices) starts without it.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "EelbertConfig": "config",
    "HashConfig": "config",
    "named_config": "config",
    "EelbertBackbone": "models.backbone",
    "InputError": "errors",
    "NgramHashEmbedding": "models.layers",
    "EelbertSentenceEncoder": "models.sentence_encoder",
    "load_backbone": "saving.folders",
    "load_classifier": "saving.folders",
    "preset_names": "saving.folders",
    "save_model": "saving.folders",
    "encode_texts": "text.strings",
    "EelbertClassifier": "models.classifier",
    "EelbertMaskedLM": "models.classifier",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
