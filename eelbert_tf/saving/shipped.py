"""`presets`: which models of the package a class can be made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .folders import PRESETS, preset_names
from .info import ModelInfo, read_info


class ShippedPresets:
    """The presets that a class can be made from: their names, each with what its configuration notes.

    Args:
        suits: tells whether a class can be made from a preset.
    """

    def __init__(self, suits: Callable[[Any, ModelInfo], bool]) -> None:
        self._suits = suits

    def __get__(self, instance: Any, owner: Any) -> dict[str, dict[str, Any]]:
        infos = {name: read_info(PRESETS / name)[0] for name in preset_names()}
        return {name: info.notes for name, info in infos.items() if self._suits(owner, info)}
