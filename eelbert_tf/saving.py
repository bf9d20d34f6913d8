"""Models on disk: a directory with `config.json` and `weights.safetensors`, and the ones shipped in the package.

The format holds names, numbers and shapes only; loading it builds the model from its configuration and copies arrays,
so that nothing in a directory can execute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.files import replace_directory

FORMAT = "eelbert"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
PRESETS = Path(__file__).parent / "presets"


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What `config.json` says of a model.

    Args:
        config: shape of the encoder.
        kind: "backbone" or "classifier".
        pair: whether its input is pairs of texts.
        num_classes: logits of a classifier; 0 for a backbone.
        labels: names of the classes.
        task: "classification" or "regression".
        notes: anything else worth keeping, training settings for example.
    """

    config: EelbertConfig
    kind: str = "backbone"
    pair: bool = False
    num_classes: int = 0
    labels: list[str] | None = None
    task: str = "classification"
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


def preset_names() -> list[str]:
    """Names of the presets in the package."""
    return sorted(path.parent.name for path in PRESETS.glob(f"*/{CONFIG_FILE}"))


def find_model(name: str | Path) -> Path:
    """The directory of a preset, or of a model the user saved.

    Raises:
        InputError: there is neither.
    """
    if str(name) in preset_names():
        return PRESETS / str(name)
    path = Path(name)
    if (path / CONFIG_FILE).is_file():
        return path
    known = ", ".join(preset_names()) or "none in this installation"
    if path.is_dir():
        raise InputError(f"{path}: not a model directory: it has no {CONFIG_FILE}.")
    raise InputError(f"{name}: neither a directory nor a preset. Presets: {known}.")


def read_info(directory: Path) -> tuple[ModelInfo, str]:
    """`config.json` of a model directory, and the checksum it gives for the weights.

    Raises:
        InputError: the file is no configuration of ours, or of another version.
    """
    path = directory / CONFIG_FILE
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise InputError(f'{path}: not a model of this library: expected "format": "{FORMAT}".')
    if fields.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: written in format version {fields.get('format_version')}; this library reads version "
            f"{FORMAT_VERSION}. Train the model again, or install the version that wrote it."
        )
    try:
        info = ModelInfo(
            config=EelbertConfig.from_dict(fields["config"]),
            kind=fields["kind"],
            pair=bool(fields["pair"]),
            num_classes=int(fields["num_classes"]),
            labels=fields["labels"],
            task=fields["task"],
            notes=fields.get("notes", {}),
        )
        return info, str(fields["weights_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: incomplete or damaged configuration: {error}") from None


def read_weights(directory: Path, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a model directory, by name.

    Raises:
        InputError: the file is missing, or differs from its checksum.
    """
    import safetensors
    import safetensors.numpy

    path = directory / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: damaged: its checksum differs from the one in {CONFIG_FILE}.")
    try:
        return safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file: {error}") from None


def weight_names(model: Any) -> dict[str, Any]:
    """Variables of a model by stable names: those of its encoder begin with "backbone/"."""
    encoder = getattr(model, "backbone", None)
    names = {f"backbone/{name}": variable for name, variable in weight_names(encoder).items()} if encoder else {}
    inner = {id(variable) for variable in names.values()}
    own = [variable for variable in model.weights if id(variable) not in inner]
    names |= {variable.path.partition("/")[2]: variable for variable in own}  # the path begins with the model's name
    if len(names) != len(model.weights):
        raise ValueError(f"Two weights of {model.name} share a name: {sorted(names)}")
    return names


def _info_of(model: Any, notes: dict[str, Any] | None) -> ModelInfo:
    backbone = getattr(model, "backbone", model)
    if backbone is model:
        return ModelInfo(model.config, "backbone", model.pair, notes=notes or {})
    return ModelInfo(
        backbone.config, "classifier", backbone.pair, model.num_classes, model.labels, model.task, notes or {}
    )


def save_model(model: Any, directory: str | Path, notes: dict[str, Any] | None = None) -> None:
    """Writes a backbone or a classifier; the directory appears whole or not at all.

    Args:
        model: an `EelbertBackbone` or `EelbertClassifier`.
        directory: where to; an older model there is replaced.
        notes: JSON values kept in the configuration.

    Raises:
        InputError: the place cannot be written, or holds something else.
    """
    import safetensors.numpy

    info = _info_of(model, notes)
    arrays = {name: np.ascontiguousarray(variable.numpy()) for name, variable in weight_names(model).items()}
    data = safetensors.numpy.save(arrays)
    fields = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **dataclasses.asdict(info),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
    }
    with replace_directory(Path(directory)) as temporary:
        (temporary / WEIGHTS_FILE).write_bytes(data)
        (temporary / CONFIG_FILE).write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _assign(model: Any, arrays: dict[str, np.ndarray], directory: Path) -> None:
    """Copies arrays into a model's weights, by name.

    Raises:
        InputError: a weight is missing, or has another shape.
    """
    for name, variable in weight_names(model).items():
        if name not in arrays:
            raise InputError(f"{directory / WEIGHTS_FILE}: weight {name!r} is missing.")
        if tuple(arrays[name].shape) != tuple(variable.shape):
            raise InputError(
                f"{directory / WEIGHTS_FILE}: weight {name!r} has shape {arrays[name].shape}, "
                f"the configuration asks for {tuple(variable.shape)}."
            )
        variable.assign(arrays[name])


def load_backbone(name: str | Path, pair: bool | None = None, **changes: Any) -> Any:
    """The encoder of a preset or of a saved model.

    Args:
        name: a preset's name, or a directory.
        pair: whether the input is to be pairs; as saved by default.
        **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

    Raises:
        InputError: there is no such model, or it is damaged.
    """
    from eelbert_tf.encoder import EelbertBackbone

    directory = find_model(name)
    info, sha256 = read_info(directory)
    arrays = read_weights(directory, sha256)
    backbone = EelbertBackbone(info.config.replace(**changes), pair=info.pair if pair is None else pair)
    prefix = "" if info.kind == "backbone" else "backbone/"
    own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    _assign(backbone, own, directory)
    return backbone


def load_classifier(name: str | Path, **changes: Any) -> Any:
    """A classifier that `save_model` wrote.

    Args:
        name: a preset's name, or a directory.
        **changes: fields of the configuration to change that do not touch the weights.

    Raises:
        InputError: there is no such model, it is damaged, or it is an encoder without a head.
    """
    from eelbert_tf.encoder import EelbertBackbone
    from eelbert_tf.tasks import EelbertClassifier

    directory = find_model(name)
    info, sha256 = read_info(directory)
    if info.kind != "classifier":
        raise InputError(f"{name}: an encoder without a classification head: fine-tune it first (eelbert finetune).")
    arrays = read_weights(directory, sha256)
    backbone = EelbertBackbone(info.config.replace(**changes), pair=info.pair, name="backbone")
    model = EelbertClassifier(backbone, info.num_classes, info.labels, task=info.task)
    _assign(model, arrays, directory)
    return model
