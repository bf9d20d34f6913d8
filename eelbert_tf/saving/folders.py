"""Models on disk: a directory with `config.json` and `weights.safetensors`, and the ones shipped in the package.

The format holds names, numbers and shapes only; loading it builds the model from its configuration and copies arrays,
so that nothing in a directory can execute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import CONFIG_NAMES, EelbertConfig, HashConfig, named_config
from eelbert_tf.disk.files import recover_directory, replace_directory
from eelbert_tf.errors import InputError

from .checksum import CHECKSUM_FIELD, has_valid_checksum, with_checksum

FORMAT = "eelbert"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
VOCABULARY_FILE = "vocab.txt"
TFLITE_FILE = "model.tflite"  # beside the weights of a preset that is ready to use
VOCABULARY_SHA256 = "vocabulary_sha256"
PRESETS = Path(__file__).parent / "presets"
DRAFT = ".model"  # in a folder that holds more than a model: the one that takes its place, its configuration last

# A configuration that asks for longer inputs is damaged: it bounds the memory that one text can take.
MAX_INPUT_BYTES = 2**20
MAX_REPEATS = 1000  # of a block; likewise the time


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


def preset_file(name: str) -> Path | None:
    """The TFLite file that comes with a preset, where one does."""
    path = PRESETS / name / TFLITE_FILE
    return path if name in preset_names() and path.is_file() else None


def find_model(name: str | Path) -> Path:
    """The directory of a preset, or of a model the user saved.

    Args:
        name: a preset's name, or a directory.

    Returns:
        The directory; it has a configuration.

    Raises:
        InputError: there is neither.
    """
    if str(name) in preset_names():
        return PRESETS / str(name)
    path = Path(name)
    try:
        if not path.exists():
            recover_directory(path)
        finish_draft(path)
        if (path / CONFIG_FILE).is_file():
            return path
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    known = ", ".join(preset_names()) or "none in this installation"
    if path.is_dir():
        raise InputError(f"{path}: not a model directory: it has no {CONFIG_FILE}.")
    raise InputError(f"{name}: neither a directory nor a preset. Presets: {known}.")


def read_config(name: str) -> EelbertConfig:
    """A configuration by name, or from a JSON file: its fields, or a saved model's `config.json`.

    Raises:
        InputError: there is neither, or the file is no configuration.
    """
    if name in CONFIG_NAMES:
        return named_config(name)
    path = Path(name)
    if path.suffix != ".json" and not path.is_file():
        raise InputError(f"--config: {name}: neither a name ({', '.join(CONFIG_NAMES)}) nor a JSON file")
    try:
        fields = json.loads(path.read_text("utf-8"))
        return EelbertConfig.from_dict(fields.get("config", fields))
    except OSError as error:
        raise InputError(f"--config: {path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--config: {path}: not a configuration: {error}") from None


def weights_digest(name: str) -> str:
    """The SHA-256 of a model's file of weights, as hexadecimal digits.

    Args:
        name: a preset's name, a model directory, or a folder in Hugging Face's layout.

    Raises:
        InputError: there is no such model.
    """
    foreign = Path(name, "model.safetensors")
    path = foreign if foreign.is_file() else find_model(name) / WEIGHTS_FILE
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def finish_draft(directory: Path) -> None:
    """Gives new weights their configuration, as the process that was replacing both does, or should have done."""
    draft = directory / DRAFT
    if (draft / CONFIG_FILE).is_file() and not (draft / WEIGHTS_FILE).exists():
        with contextlib.suppress(OSError):  # another process was faster, or a reader lacks the right
            os.replace(draft / CONFIG_FILE, directory / CONFIG_FILE)


def holds_model(directory: Path) -> bool:
    """Whether a directory holds a model of this library and nothing else, so that a newer one may replace it."""
    try:
        fields = json.loads((directory / CONFIG_FILE).read_text("utf-8"))
        names = {path.name for path in directory.iterdir()}
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(fields, dict)
        and fields.get("format") == FORMAT
        and names <= {CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE}
    )


def read_info(directory: Path) -> tuple[ModelInfo, str]:
    """`config.json` of a model directory, and the checksum it gives for the weights.

    Raises:
        InputError: the file is no configuration of ours, of another version, or damaged.
    """
    path = directory / CONFIG_FILE
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise InputError(f'{path}: not a model of this library: expected "format": "{FORMAT}".')
    if fields.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: written in format version {fields.get('format_version')}; this library reads version "
            f"{FORMAT_VERSION}. Train the model again, or install the version that wrote it."
        )
    with _damage(path):
        info = ModelInfo(
            config=EelbertConfig.from_dict(fields["config"]),
            kind=fields["kind"],
            pair=bool(fields["pair"]),
            num_classes=int(fields["num_classes"]),
            labels=fields["labels"],
            task=fields["task"],
            notes=fields.get("notes", {}),
        )
        _check_info(info)
        weights_sha256 = str(fields["weights_sha256"])
    if not has_valid_checksum(fields):
        raise InputError(
            f"{path}: damaged: its checksum differs. Copy it again; if you edited it, remove its field "
            f"{CHECKSUM_FIELD!r}."
        )
    return info, weights_sha256


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What goes wrong in the block is the fault of a configuration.

    Raises:
        InputError: in place of errors of values and types.
    """
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{path}: incomplete or damaged configuration: {error} is missing.") from None
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise InputError(f"{path}: incomplete or damaged configuration: {error}") from None


def _check_info(info: ModelInfo) -> None:
    """Checks what the dataclasses do not, since a file may hold anything.

    Raises:
        ValueError: a field has another type than it ought to have, or a hopeless value.
    """
    config = info.config
    for part in (config, config.hash):
        if part is not None and not isinstance(part, EelbertConfig | HashConfig):
            raise ValueError(f"`hash` must be a dictionary. Received: {part!r:.100}")
        for field in dataclasses.fields(part) if part is not None else ():
            value = getattr(part, field.name)
            is_count = type(value) is int and (value >= 0 or field.name == "seed")
            if field.type in ("int", "int | None") and value is not None and not is_count:
                raise ValueError(f"`{field.name}` must be a positive integer. Received: {value!r:.100}")
    if config.max_bytes > MAX_INPUT_BYTES:
        raise ValueError(f"`max_bytes` must be at most {MAX_INPUT_BYTES}. Received: {config.max_bytes}")
    if config.num_hidden_layers > MAX_REPEATS * config.num_blocks:  # the number of blocks is bounded by the weights
        raise ValueError(
            f"`num_hidden_layers` must be at most {MAX_REPEATS} times `num_hidden_groups`. "
            f"Received: {config.num_hidden_layers} and {config.num_hidden_groups}"
        )
    if info.kind not in ("backbone", "classifier"):
        raise ValueError(f"`kind` must be backbone or classifier. Received: {info.kind!r:.100}")
    if info.task not in ("classification", "regression"):
        raise ValueError(f"`task` must be classification or regression. Received: {info.task!r:.100}")
    labels = info.labels
    if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise ValueError(f"`labels` must be a list of names. Received: {labels!r:.100}")
    if labels is not None and len(labels) != info.num_classes:
        raise ValueError(f"`labels` must have one name per class. Received: {len(labels)} for {info.num_classes}")


def read_weights(directory: Path, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a model directory, by name.

    Raises:
        InputError: the file is missing, or differs from its checksum.
    """
    import safetensors
    import safetensors.numpy

    path = directory / WEIGHTS_FILE
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file.")  # a device may never end
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except MemoryError:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes do not fit into memory.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: damaged: its checksum differs from the one in {CONFIG_FILE}.")
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file that NumPy can read: {error}") from None
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise InputError(f"{path}: weight {name!r} has the type {array.dtype}; expected floating point.")
    return arrays


def _check_sizes(info: ModelInfo, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Compares, before anything is built, the weights that between them show every size of the configuration.

    Whatever a configuration asks for, building its model then takes little more memory than the weights at hand.

    Raises:
        InputError: a weight is missing, or has another shape.
    """
    config, prefix = info.config, "" if info.kind == "backbone" else "backbone/"
    width = config.hidden_size
    shapes = {
        "position_embedding": (config.max_position_embeddings, width),
        "segment_embedding": (config.type_vocab_size, width),
    }
    if config.pooling == "cls":
        shapes["pooler/kernel"] = (width, width)
    if config.hash is None:
        shapes["token_embedding/embeddings"] = (config.vocab_size or 0, width)
    elif config.hash.size != width:
        shapes["projection/kernel"] = (config.hash.size, width)
    if config.lexicon_size:
        shapes["lexicon/table"] = (config.lexicon_size, config.lexicon_width)
    shapes = {prefix + name: shape for name, shape in shapes.items()}
    if info.kind == "classifier":
        shapes["classifier/kernel"] = (config.pooled_size(info.pair), info.num_classes)
    for name, shape in shapes.items():
        _check_shape(name, shape, arrays, path)
    for i in range(config.num_blocks):
        _check_shape(f"{prefix}block_{i}/intermediate/kernel", (width, config.intermediate_size), arrays, path)


def _check_shape(name: str, shape: tuple[int, ...], arrays: dict[str, np.ndarray], path: Path) -> None:
    """Checks that there is a weight of this name and shape.

    Raises:
        InputError: there is none, or of another shape.
    """
    if name not in arrays:
        raise InputError(f"{path}: weight {name!r} is missing.")
    if arrays[name].shape != shape:
        raise InputError(f"{path}: weight {name!r} has shape {arrays[name].shape}, the configuration asks for {shape}.")


def weight_names(model: Any) -> dict[str, Any]:
    """Variables of a model by stable names: those of its encoder begin with "backbone/".

    Raises:
        ValueError: two weights share a name.
    """
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


def save_model(
    model: Any, directory: str | Path, notes: dict[str, Any] | None = None, vocabulary: Sequence[bytes] | None = None
) -> None:
    """Writes a backbone or a classifier; the directory appears whole or not at all.

    Args:
        model: an `EelbertBackbone` or `EelbertClassifier`.
        directory: where to; an older model there is replaced.
        notes: JSON values kept in the configuration.
        vocabulary: pieces by id, of a model that has a vocabulary; a `BertClassifier`'s own by default.

    Raises:
        InputError: the place cannot be written, or holds something else.
    """
    import safetensors.numpy

    info = _info_of(model, notes)
    arrays = {name: np.ascontiguousarray(variable.numpy()) for name, variable in weight_names(model).items()}
    data = safetensors.numpy.save(arrays)
    ids = getattr(model, "vocabulary", None)
    pieces = b"".join(piece + b"\n" for piece in vocabulary or (sorted(ids, key=ids.__getitem__) if ids else ()))
    fields = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **dataclasses.asdict(info),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        **({VOCABULARY_SHA256: hashlib.sha256(pieces).hexdigest()} if pieces else {}),
    }
    with replace_directory(Path(directory), holds_model) as temporary:
        (temporary / WEIGHTS_FILE).write_bytes(data)
        (temporary / CONFIG_FILE).write_text(
            json.dumps(with_checksum(fields), indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        if pieces:
            (temporary / VOCABULARY_FILE).write_bytes(pieces)


def _assign(model: Any, arrays: dict[str, np.ndarray], directory: Path) -> None:
    """Copies arrays into a model's weights, by name.

    Raises:
        InputError: a weight is missing, or has another shape.
    """
    for name, variable in weight_names(model).items():
        _check_shape(name, tuple(variable.shape), arrays, directory / WEIGHTS_FILE)
        variable.assign(arrays[name])


def load_backbone(name: str | Path, pair: bool | None = None, **changes: Any) -> Any:
    """The encoder of a preset or of a saved model.

    Args:
        name: a preset's name, or a directory.
        pair: whether the input is to be pairs; as saved by default.
        **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

    Returns:
        An `EelbertBackbone` with its weights.

    Raises:
        InputError: there is no such model, or it is damaged.
    """
    from eelbert_tf.models.backbone import EelbertBackbone

    directory = find_model(name)
    info, sha256 = read_info(directory)
    arrays = read_weights(directory, sha256)
    _check_sizes(info, arrays, directory / WEIGHTS_FILE)
    config = info.config.replace(**changes)
    with _damage(directory / CONFIG_FILE):
        backbone = EelbertBackbone(config, pair=info.pair if pair is None else pair)
    prefix = "" if info.kind == "backbone" else "backbone/"
    own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    _assign(backbone, own, directory)
    return backbone


def load_classifier(name: str | Path, **changes: Any) -> Any:
    """A classifier that `save_model` wrote.

    Args:
        name: a preset's name, or a directory.
        **changes: fields of the configuration to change that do not touch the weights.

    Returns:
        An `EelbertClassifier` with its weights; a `BertClassifier` where the model has a vocabulary.

    Raises:
        InputError: there is no such model, it is damaged, or it is an encoder without a head.
    """
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier

    directory = find_model(name)
    info, sha256 = read_info(directory)
    if info.kind != "classifier":
        raise InputError(f"{name}: an encoder without a classification head: fine-tune it first (eelbert finetune).")
    arrays = read_weights(directory, sha256)
    _check_sizes(info, arrays, directory / WEIGHTS_FILE)
    config = info.config.replace(**changes)
    with _damage(directory / CONFIG_FILE):
        backbone = EelbertBackbone(config, pair=info.pair, name="backbone")
        head: dict[str, Any] = {"num_classes": info.num_classes, "labels": info.labels, "task": info.task}
        if config.vocab_size is None:
            model: EelbertClassifier = EelbertClassifier(backbone, **head)
        else:
            from eelbert_tf.preprocessing.wordpiece import BertClassifier, read_vocabulary

            model = BertClassifier(backbone, **head, vocabulary=read_vocabulary(directory, config))
    _assign(model, arrays, directory)
    return model
