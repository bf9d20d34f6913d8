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
    "EelbertBackbone": "encoder",
    "InputError": "errors",
    "NgramHashEmbedding": "layers",
    "EelbertSentenceEncoder": "sentence_encoder",
    "load_backbone": "saving",
    "load_classifier": "saving",
    "preset_names": "saving",
    "save_model": "saving",
    "encode_texts": "strings",
    "EelbertClassifier": "tasks",
    "EelbertMaskedLM": "tasks",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
