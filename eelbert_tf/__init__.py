"""EELBERT in Keras: BERT encoders whose input embeddings are computed from the bytes of each word.

The names below are loaded on first use, so that what needs no Keras (the runtime for devices) starts without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import EelbertConfig as EelbertConfig
    from .config import HashConfig as HashConfig
    from .config import named_config as named_config
    from .errors import InputError as InputError
    from .models.backbone import EelbertBackbone as EelbertBackbone
    from .models.classifier import EelbertClassifier as EelbertClassifier
    from .models.layers import NgramHashEmbedding as NgramHashEmbedding
    from .models.sentence_encoder import EelbertSentenceEncoder as EelbertSentenceEncoder
    from .models.tagger import EelbertTagger as EelbertTagger
    from .preprocessing.hashed_texts import HashedTexts as HashedTexts
    from .preprocessing.wordpiece import WordPiece as WordPiece
    from .saving.folders import preset_names as preset_names
    from .text.strings import encode_texts as encode_texts

from .registration import register_classes

__version__ = "0.2.0"

_HOME = {
    "EelbertConfig": "config",
    "HashConfig": "config",
    "named_config": "config",
    "InputError": "errors",
    "EelbertBackbone": "models.backbone",
    "EelbertClassifier": "models.classifier",
    "NgramHashEmbedding": "models.layers",
    "EelbertSentenceEncoder": "models.sentence_encoder",
    "EelbertTagger": "models.tagger",
    "HashedTexts": "preprocessing.hashed_texts",
    "WordPiece": "preprocessing.wordpiece",
    "preset_names": "saving.folders",
    "encode_texts": "text.strings",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


register_classes()
