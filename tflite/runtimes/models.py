"""One way to run any model: Keras from a directory, LiteRT from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import CONFIG_FILE, find_model, preset_file, preset_names, read_info
from eelbert_tf.text.strings import TextOrPair
from eelbert_tf.tflite.flatbuffer.metadata import Settings

RUNTIMES = ("keras", "litert", "tflm")


class Model(Protocol):
    """What commands need of a model; `EelbertRuntime` has it."""

    settings: Settings

    def predict(self, texts: Sequence[TextOrPair]) -> np.ndarray:
        """Logits, float32 `[n, num_classes]`."""

    def is_cut(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of the text."""


class KerasModel:
    """A model directory, run by Keras.

    Args:
        name: the directory, or a preset.
        max_tokens: token slots instead of the model's own.
        max_bytes: bytes of a text instead of the model's own.

    Attributes:
        settings: labels, limits and kind of the model.

    Raises:
        InputError: there is no such model, or it is no classifier.
    """

    batch_size = 64

    def __init__(self, name: str | Path, max_tokens: int | None = None, max_bytes: int | None = None) -> None:
        from eelbert_tf.saving.folders import load_classifier

        limits = {"max_tokens": max_tokens, "max_bytes": max_bytes}
        self._model: Any = load_classifier(name, **{key: limit for key, limit in limits.items() if limit is not None})
        config = self._model.backbone.config
        self.settings = Settings(
            max_tokens=config.max_tokens,
            max_bytes=config.max_bytes,
            num_classes=self._model.num_classes,
            labels=self._model.labels,
            task=self._model.task,
            pair=self._model.backbone.pair,
            config=config.to_dict(),
        )

    def predict(self, texts: Sequence[TextOrPair]) -> np.ndarray:
        """Logits, float32 `[n, num_classes]`."""
        if not texts:
            return np.zeros((0, self.settings.num_classes), np.float32)
        return self._model.predict(list(texts), batch_size=self.batch_size, verbose=0)

    def is_cut(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of the text."""
        from .scores import is_cut

        s = self.settings
        return is_cut(text, s.max_tokens, s.max_bytes, s.pair, s.normalization)


def default_runtime(model: str) -> str:
    """The runtime for a model's name: LiteRT for a file or a preset that has one, Keras for a directory."""
    return "litert" if is_file(model) or preset_file(model) else "keras"


def is_file(model: str) -> bool:
    """Whether a model's name is that of a TFLite file."""
    return Path(model).is_file() or model.endswith(".tflite")


def open_model(model: str, runtime: str | None = None) -> Model:
    """A model ready to run.

    Args:
        model: a TFLite file, a model directory, or a preset.
        runtime: one of `RUNTIMES`; by default the one that suits the model.

    Raises:
        InputError: the model is missing or damaged, or the runtime cannot run it.
    """
    runtime = runtime or default_runtime(model)
    if runtime == "keras":
        if is_file(model):
            raise InputError(f"{model}: a TFLite file runs in litert or tflm; for keras name a model directory")
        check_classifier(model)
        return KerasModel(model)
    path = Path(model) if is_file(model) else preset_file(model)
    if path is None:
        find_model(model)
        raise InputError(f"{model}: {runtime} runs TFLite files; write one with: eelbert convert --model {model}")
    if runtime == "tflm":
        from .tflm import TflmRuntime

        return TflmRuntime(path)
    from .litert import EelbertRuntime

    return EelbertRuntime(path)


def check_classifier(model: str, max_tokens: int | None = None, max_bytes: int | None = None) -> None:
    """Looks at a model directory before Keras is loaded, so that a mistake is told at once.

    Args:
        model: the directory, or a preset.
        max_tokens: a limit that the model is to get instead of its own.
        max_bytes: likewise.

    Raises:
        InputError: there is no such model, it is no classifier, or the limits do not suit it.
    """
    info, _ = read_info(find_model(model))
    if info.kind != "classifier":
        raise InputError(
            f"{model}: an encoder without a classification head ({CONFIG_FILE} says {info.kind!r}): fine-tune it first"
            " (eelbert finetune)"
        )
    limits = {"max_tokens": max_tokens, "max_bytes": max_bytes}
    try:
        info.config.replace(**{name: limit for name, limit in limits.items() if limit is not None})
    except ValueError as error:
        raise InputError(f"{model}: {error}") from None


def model_help() -> str:
    """The command line's help on `--model`."""
    names = ", ".join(preset_names())
    return "model directory, TFLite file" + (f", or preset ({names})" if names else "")
