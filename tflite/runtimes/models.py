"""One interface to all models: Keras for a directory, LiteRT for a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from eelbert_tf.errors import InputError
from eelbert_tf.saving.folders import find_model, preset_file, preset_names
from eelbert_tf.saving.info import CONFIG_FILE, MAX_INPUT_BYTES, read_info
from eelbert_tf.saving.stored import read_stored_info
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.spans import tag_names
from eelbert_tf.text.strings import Text, TextOrPair
from eelbert_tf.tflite.flatbuffer.metadata import Metadata

from .finite import check_logits

if TYPE_CHECKING:
    from eelbert_tf.config import EelbertConfig
    from eelbert_tf.models.task import Task

    ModelOrName: TypeAlias = str | os.PathLike[str] | Task  # a directory or a preset, or the model itself

RUNTIMES = ("keras", "litert", "tflm")


class Model(Protocol):
    """The interface that commands use; `EelbertRuntime` has it."""

    metadata: Metadata
    crc32: int  # of the TFLite file; 0 of a model that is none

    def predict(self, texts: Sequence[TextOrPair]) -> np.ndarray:
        """Logits, or embeddings: float32 `[n, num_classes]`."""

    def tag_outputs(self, texts: Sequence[Text]) -> list[dict[str, np.ndarray]]:
        """Outputs of a tagger: `tags`, `positions` and perhaps `label` of each text."""

    def is_truncated(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of the text."""


class KerasModel:
    """A model run by Keras.

    Args:
        model: a model directory, a preset, or a model, which is run as it is.
        max_tokens: token slots instead of the model's own.
        max_bytes: bytes of a text instead of the model's own.
        task: as for `load_keras`.

    Attributes:
        metadata: labels, limits and kind of the model.

    Raises:
        InputError: there is no such model.
    """

    batch_size = 64
    crc32 = 0

    def __init__(
        self,
        model: ModelOrName,
        max_tokens: int | None = None,
        max_bytes: int | None = None,
        task: str | None = None,
    ) -> None:
        self._model: Any = load_keras(model, max_tokens, max_bytes, task)
        self.metadata = metadata_of(self._model)

    def predict(self, texts: Sequence[TextOrPair]) -> np.ndarray:
        """Logits, or embeddings: float32 `[n, num_classes]`."""
        if not texts:
            return np.zeros((0, self.metadata.num_classes), np.float32)
        return check_logits(self._model.predict(list(texts), batch_size=self.batch_size, verbose=0))

    def tag_outputs(self, texts: Sequence[Text]) -> list[dict[str, np.ndarray]]:
        """Outputs of a tagger: `tags`, `positions` and perhaps `label` of each text."""
        found = self._model.predict(list(texts), batch_size=self.batch_size)
        check_logits(found["tags"].reshape(len(found["tags"]), -1))
        return [{name: values[i] for name, values in found.items()} for i in range(len(found["tags"]))]

    def is_truncated(self, text: TextOrPair) -> bool:
        """Whether the model reads only a part of the text."""
        return self.metadata.is_truncated(text)


def load_keras(
    model: ModelOrName, max_tokens: int | None = None, max_bytes: int | None = None, task: str | None = None
) -> Any:
    """A Keras classifier, tagger or sentence encoder.

    Args:
        model: a model directory, a preset, or a model: this one itself, or with other limits a float32 copy.
        max_tokens: token slots instead of the model's own.
        max_bytes: bytes of a text instead of the model's own.
        task: "embedding" for the sentence encoder in any directory or preset; by default what it was saved for.

    Raises:
        InputError: there is no such model, or the limits do not suit it.
    """
    limits = given_limits(max_tokens, max_bytes)
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        kind = read_stored_info(name).kind
        if task == EMBEDDING or kind == "backbone":
            from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder

            return EelbertSentenceEncoder.from_preset(name, **limits)
        if kind == "tagger":
            from eelbert_tf.models.tagger import EelbertTagger

            return EelbertTagger.from_preset(name, **limits)
        from eelbert_tf.models.classifier import EelbertClassifier

        return EelbertClassifier.from_preset(name, **limits)
    check_model(model, max_tokens, max_bytes)
    if not limits:
        return model
    from .copies import copy_of

    return copy_of(model, **limits)


def given_limits(max_tokens: int | None, max_bytes: int | None) -> dict[str, Any]:
    """Those limits that are to differ from the model's own, by the name of the configuration's field."""
    limits = {"max_tokens": max_tokens, "max_bytes": max_bytes}
    return {name: limit for name, limit in limits.items() if limit is not None}


def metadata_of(model: Any, target: str = "mobile", quantize: str = "none") -> Metadata:
    """The metadata of a TFLite file of a Keras model.

    Args:
        model: a classifier, tagger or sentence encoder.
        target: "mobile" or "micro".
        quantize: "none", "float16", "dynamic" or "int8".
    """
    config = model.backbone.config
    windows = getattr(model.preprocessor, "windows", None)
    return Metadata(
        max_tokens=config.max_tokens,
        max_bytes=config.max_bytes,
        num_classes=model.num_outputs if model.task == EMBEDDING else model.num_classes,
        labels=model.labels,
        task=model.task,
        pair=model.backbone.pair,
        target=target,
        quantize=quantize,
        config=config.to_dict(),
        tags=tag_names(model.names) if model.task == "tagging" else None,
        thresholds=getattr(model, "thresholds", None),
        max_windows=1 if windows is None else windows.max_windows,
        window_overlap=0 if windows is None else windows.overlap,
    )


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


def open_encoder(model: str, runtime: str | None = None) -> Model:
    """A sentence encoder ready to run: its `predict` gives embeddings.

    Args:
        model: a TFLite file that gives embeddings; or any model directory or preset, whose encoder is taken.
        runtime: one of `RUNTIMES`; by default LiteRT for a file and Keras for all else.

    Raises:
        InputError: the model is missing or damaged, gives no embeddings, or the runtime cannot run it.
    """
    if is_file(model):
        found = open_model(model, runtime)
        if found.metadata.task != EMBEDDING:
            raise InputError(
                f"{model}: is for {found.metadata.task}, and gives no embeddings; convert its model directory again: "
                "eelbert convert --task embedding"
            )
        return found
    if runtime in (None, "keras"):
        return KerasModel(model, task=EMBEDDING)
    raise InputError(
        f"{model}: {runtime} runs TFLite files; write one with: eelbert convert --task embedding --model {model}"
    )


def check_classifier(model: str) -> None:
    """Checks that a model has a head, before Keras is loaded.

    Args:
        model: a model directory or a preset.

    Raises:
        InputError: there is no such model, or it is an encoder alone.
    """
    info, _ = read_info(find_model(model))
    if info.kind == "backbone":
        raise InputError(
            f"{model}: an encoder without a classification head ({CONFIG_FILE} says {info.kind!r}): fine-tune it "
            "first (eelbert finetune), or see eelbert embed"
        )


def check_model(
    model: ModelOrName, max_tokens: int | None = None, max_bytes: int | None = None, task: str | None = None
) -> str:
    """Checks a model before any work, and before Keras is loaded for a directory.

    Args:
        model: a model directory, a preset, or a model.
        max_tokens: a limit that the model is to get instead of its own.
        max_bytes: likewise.
        task: as for `load_keras`.

    Returns:
        The task that it will be run for.

    Raises:
        InputError: there is no such model, it is none of a task, or the limits do not suit it.
    """
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        info, _ = read_info(find_model(name))
        config, found = info.config, EMBEDDING if info.kind == "backbone" else info.task
    else:
        backbone, found = getattr(model, "backbone", None), getattr(model, "task", "")
        name = type(model).__name__
        if not hasattr(backbone, "config") or not found:
            raise InputError(
                f"{name}: expected an EelbertClassifier, EelbertTagger or EelbertSentenceEncoder, a model directory or "
                "a preset"
            )
        config = model.backbone.config
    check_limits(name, config, max_tokens, max_bytes)
    return task or found


def check_limits(name: str, config: EelbertConfig, max_tokens: int | None, max_bytes: int | None) -> None:
    """Checks limits that replace the model's own.

    Args:
        name: the model's, for the message.
        config: its configuration.
        max_tokens: token slots.
        max_bytes: bytes of a text.

    Raises:
        InputError: one of them is no whole number, or too small or too large for the model.
    """
    ranges = {"max_tokens": (4, config.max_position_embeddings), "max_bytes": (4, MAX_INPUT_BYTES)}
    for option, value in given_limits(max_tokens, max_bytes).items():
        least, most = ranges[option]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(
                f"{name}: {option}: expected a whole number from {least} to {most} "
                f"(--{option.replace('_', '-')}). Received: {value!r:.100}"
            )


def model_help() -> str:
    """The command line's help on `--model`."""
    names = ", ".join(preset_names())
    return "model directory, TFLite file" + (f", or preset ({names})" if names else "")
