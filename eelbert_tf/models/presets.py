"""Loading and saving, which all models share: presets, folders, and Keras's own files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from eelbert_tf.saving.folders import write_model
from eelbert_tf.saving.info import ModelInfo
from eelbert_tf.saving.shipped import ShippedPresets
from eelbert_tf.saving.stored import StoredModel, check_shape


class Saveable:
    """What a model needs to be saved and loaded, by presets and by Keras.

    Attributes:
        presets: presets that the class can be made from, by name.
        preset_kinds: kinds of stored models that the class can be made from.
    """

    presets = ShippedPresets(lambda cls, info: info.kind in cls.preset_kinds)
    preset_kinds: tuple[str, ...] = ("backbone", "classifier")

    def describe(self) -> ModelInfo:
        """The description for `config.json`."""
        raise NotImplementedError

    def save_to_preset(
        self,
        folder: str | Path,
        notes: dict[str, Any] | None = None,
        vocabulary: Sequence[bytes] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Writes the model to a folder that `from_preset` reads; the folder appears whole or not at all.

        Args:
            folder: where to; an older model there is replaced.
            notes: JSON values kept in the configuration.
            vocabulary: pieces by id, for an encoder with a vocabulary; a task has them in its preprocessor.
            files: more files of the folder, by name, as `saving.folders.write_model` takes them.

        Raises:
            InputError: the place cannot be written, or holds something else.
            ValueError: the model is in a state that the folder cannot hold.
        """
        check_saveable(self)
        info = dataclasses.replace(self.describe(), notes=notes or {})
        owner = getattr(self, "backbone", self) if info.kind == "backbone" else self
        arrays = {name: _as_numpy(variable) for name, variable in weight_names(owner).items()}
        preprocessor = getattr(self, "preprocessor", None)
        write_model(folder, info, arrays, vocabulary or getattr(preprocessor, "vocabulary", None), files)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """`keras.Model.save`. It checks the model before it opens the file: an error leaves an older file whole.

        Args:
            filepath: where to, a name that ends in `.keras`.
            overwrite: whether to replace an older file without asking.
            zipped: as Keras takes it.
            **kwargs: likewise.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        check_saveable(self)
        super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)  # type: ignore[misc]

    def saved_state(self) -> dict[str, Any]:
        """The state in Keras's files beside the constructor's own arguments.

        Returns:
            `name`, `dtype`, and `trainable` with the layers that differ from what it sets.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        check_saveable(self)
        return {
            "name": self.name,  # type: ignore[attr-defined]
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),  # type: ignore[attr-defined]
            "trainable": {path: layer.trainable for path, layer in _layers(self)},
        }

    @classmethod
    def restore(cls, config: dict[str, Any]) -> Any:
        """A model from its constructor's arguments and `saved_state`."""
        config = dict(config)
        trainable = config.pop("trainable", {})
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        model = cls(**config)
        if isinstance(trainable, bool):
            model.trainable = trainable  # type: ignore[attr-defined]
        else:
            for path, layer in _layers(model):  # outer layers first, since they set their inner ones
                if trainable.get(path, layer.trainable) != layer.trainable:
                    layer.trainable = trainable[path]
        return model


def _layers(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A model and its layers with their paths, without those of a task's backbone, which the backbone saves itself."""
    yield path, model
    for i, layer in enumerate(model._layers):
        if not (isinstance(layer, Saveable) and path == ""):
            yield from _layers(layer, f"{path}/{i}")


def check_saveable(model: Any) -> None:
    """Checks, before anything is written, that the constructor and the weights describe the model completely.

    Raises:
        ValueError: a layer is quantized, or has LoRA's matrices.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            raise ValueError(
                f"Layer {layer.path!r} has LoRA's matrices, which cannot be saved. Save the model before "
                "`enable_lora`, or train its weights themselves"
            )
        if getattr(layer.dtype_policy, "quantization_mode", None) is not None:
            raise ValueError(
                f"Layer {layer.path!r} is quantized ({layer.dtype_policy.name}), which cannot be saved. Save the model "
                "before `quantize`; `eelbert convert --quantize` makes small files from a float model"
            )


def _as_numpy(variable: Any) -> np.ndarray:
    """A weight as NumPy has it, bytes too; bfloat16, which NumPy lacks, as float32."""
    array = keras.ops.convert_to_numpy(variable)
    return array if array.dtype.kind == "f" or array.dtype.itemsize == 1 else array.astype(np.float32)


def weight_names(model: Any) -> dict[str, Any]:
    """Variables that a folder holds of a model, by stable names: those of its encoder begin with "backbone/".

    The unit of a regression's targets is not among them: it stands in the configuration.

    Raises:
        ValueError: two weights share a name.
    """
    encoder = getattr(model, "backbone", None)
    names = {f"backbone/{name}": variable for name, variable in weight_names(encoder).items()} if encoder else {}
    unit = getattr(model, "target_unit", None)
    apart = [] if unit is None else unit.weights
    inner = {id(variable) for variable in (*names.values(), *apart)}
    own = [variable for variable in model.weights if id(variable) not in inner]
    names |= {variable.path.partition("/")[2]: variable for variable in own}  # the path begins with the model's name
    if len(names) + len(apart) != len(model.weights):
        raise ValueError(f"Two weights of {model.name} share a name: {sorted(names)}")
    return names


def assign(model: Any, stored: StoredModel, prefix: str = "") -> None:
    """Copies stored arrays into a model's weights, by name.

    Args:
        model: whose weights change.
        stored: where they come from.
        prefix: how their stored names begin.

    Raises:
        InputError: a weight is missing, or has another shape.
    """
    for name, variable in weight_names(model).items():
        name = prefix + name
        if stored.optional and name.startswith(stored.optional) and name not in stored.arrays:
            continue
        check_shape(name, tuple(variable.shape), stored.arrays, stored.path)
        variable.assign(stored.arrays[name])
