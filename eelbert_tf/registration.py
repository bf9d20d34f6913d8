"""Makes `keras.models.load_model` know this package's classes, whichever of Keras and this package comes first.

Keras finds a class of somebody else's by its registered name, and a class is registered when its module is imported.
This package imports no Keras by itself, since the runtime for devices needs none. So Keras gets stand-ins, which import
a class's module when a file names the class. To import the modules as soon as Keras is there would not do: one of them
may be the module that is importing Keras.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .config import PACKAGE

CLASSES = {
    "models.backbone": ("EelbertBackbone",),
    "models.classifier": ("EelbertClassifier",),
    "models.layers": ("HashLexicon", "NgramHashEmbedding"),
    "models.lexical": ("LexicalHead",),
    "models.optimizer": ("AdamW", "WarmupLinearDecay"),
    "models.sentence_encoder": ("EelbertSentenceEncoder",),
    "models.tagger": ("EelbertTagger",),
    "models.tagging_layers": ("TokenFeatures", "Window"),
    "models.target_unit": ("TargetUnit",),
    "models.transformer": ("TransformerBlock",),
    "preprocessing.hashed_texts": ("HashedTexts",),
    "preprocessing.wordpiece": ("WordPiece",),
}


class StandIn:
    """What Keras finds in place of a class whose module has not been imported.

    Args:
        module: where the class is, in this package.
        name: the class.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        """What the class itself makes of a configuration; importing its module has put it in this object's place."""
        return getattr(importlib.import_module(f"{__package__}.{self.module}"), self.name).from_config(config)


def register_classes() -> None:
    """Tells Keras of the classes: now if it is there, else right after its import."""
    keras = sys.modules.get("keras")  # or `None`, which forbids the import
    if keras is not None:
        _register(keras)
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register(keras: ModuleType) -> None:
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            known.setdefault(f"{PACKAGE}>{name}", StandIn(module, name))


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Sees Keras being imported, once."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Keras's own spec, whose loader also registers the classes."""
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, and then the classes."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The other loader's module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Runs Keras, then tells it of the classes."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(module)
