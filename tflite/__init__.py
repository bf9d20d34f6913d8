"""EELBERT on devices: conversion to TFLite, a runtime without TensorFlow, and the commands around them.

The names below are loaded on first use: the runtimes need neither Keras nor TensorFlow, the conversion both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conversion.convert import convert
    from .runtimes.index import Index
    from .runtimes.litert import EelbertRuntime
    from .runtimes.tflm import TflmRuntime

__all__ = ["EelbertRuntime", "Index", "TflmRuntime", "convert"]

_HOME = {
    "EelbertRuntime": "runtimes.litert",
    "Index": "runtimes.index",
    "TflmRuntime": "runtimes.tflm",
    "convert": "conversion.convert",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
