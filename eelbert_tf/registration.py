"""Makes `keras.models.load_model` know this package's classes, whichever of Keras and this package comes first.

Keras finds a class of somebody else's by its registered name, and a class is registered when its module is imported.
This package imports no Keras by itself, since the runtime for devices needs none.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_MODULES = ("models.classifier", "models.sentence_encoder", "preprocessing.hashed_texts", "preprocessing.wordpiece")


def register_classes() -> None:
    """Imports the modules whose classes stand in Keras's files: now if Keras is there, else right after it."""
    if "keras" in sys.modules:
        _import_modules()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _import_modules() -> None:
    for name in _MODULES:
        importlib.import_module(f"{__package__}.{name}")


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Sees Keras being imported, once."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Keras's own spec, whose loader also imports the modules."""
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, and then the modules."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The other loader's module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Runs Keras, then imports the modules that need it."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _import_modules()
