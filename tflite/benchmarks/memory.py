"""Memory of a classifier: the growth of the resident set of a fresh process that loads it and classifies."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Protocol

Classify = Callable[[str], str]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"


class Loadable(Protocol):
    """A classifier in a file, to be pickled into another process."""

    @property
    def modules(self) -> Sequence[str]:
        """Modules to import before it is loaded; their memory is not counted."""

    def load(self) -> Classify:
        """A call from a text to its class."""


def peak_growth(classifier: Loadable, texts: Sequence[str]) -> int | None:
    """The growth of a fresh process's peak resident set, from after the imports to the last text.

    Args:
        classifier: what to load there.
        texts: what it classifies there, one at a time.

    Returns:
        Bytes, in whole pages; `None` on systems other than Linux, which do not report it for one process.
    """
    if not _CLEAR.exists():
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, classifier, texts).result()


def _measure(classifier: Loadable, texts: Sequence[str]) -> int:
    for module in classifier.modules:
        importlib.import_module(module)
    _CLEAR.write_text(_CLEAR_PEAK)  # without this, a peak during the imports would count
    before = _status("VmRSS")
    classify = classifier.load()
    for text in texts:
        classify(text)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return 1024 * int(lines[field].split()[0])
