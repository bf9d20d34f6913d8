"""`config.json`: what a model's folder says of the model, checked before anything is built from it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig, HashConfig, LexicalConfig
from eelbert_tf.disk.refusals import read_error
from eelbert_tf.disk.settled import settled
from eelbert_tf.errors import InputError
from eelbert_tf.scores import TASKS, Outputs

from .checksum import CHECKSUM_FIELD, has_valid_checksum

FORMAT = "eelbert"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"

# A configuration that asks for longer inputs is damaged: it bounds the memory that one text can take.
MAX_INPUT_BYTES = 2**20
MOST_ROWS = 2**20  # of a tagger's tables, likewise
MAX_REPEATS = 1000  # of a block; likewise the time


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What `config.json` says of a model.

    Args:
        config: shape of the encoder.
        kind: "backbone", "classifier" or "tagger".
        pair: whether its input is pairs of texts.
        num_classes: logits of a classifier, or of a tagger for texts as wholes; 0 for a backbone.
        labels: names of the classes.
        task: one of `TASKS`, or "tagging".
        head: of a tagger, the names of its spans and the sizes of its layers.
        lexical: size of a classifier's lexical head; `None` for none.
        notes: anything else worth keeping, training settings for example.
        thresholds: least probabilities of a binary task's second class, or of each of several labels.
        target_unit: `mean` and `scale` of a regression's targets, which the head's numbers are counted in.
    """

    config: EelbertConfig
    kind: str = "backbone"
    pair: bool = False
    num_classes: int = 0
    labels: list[str | None] | None = None
    task: str = "classification"
    head: dict[str, Any] = dataclasses.field(default_factory=dict)
    lexical: LexicalConfig | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    thresholds: list[float] | None = None
    target_unit: dict[str, list[float]] | None = None


def read_info(directory: Path) -> tuple[ModelInfo, str]:
    """`config.json` of a model directory, and the checksum it gives for the weights.

    Raises:
        InputError: the file is no configuration of ours, of another version, or damaged.
    """
    return settled(directory, (CONFIG_FILE,), lambda: _read_info(directory / CONFIG_FILE))


def _read_info(path: Path) -> tuple[ModelInfo, str]:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise read_error(error, path) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise InputError(f'{path}: not a model of this library: expected "format": "{FORMAT}".')
    if fields.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: written in format version {fields.get('format_version')}; this library reads version "
            f"{FORMAT_VERSION}. Train the model again, or install the version that wrote it."
        )
    with damage_in(path):
        info = ModelInfo(
            config=EelbertConfig.from_dict(fields["config"]),
            kind=fields["kind"],
            pair=bool(fields["pair"]),
            num_classes=int(fields["num_classes"]),
            labels=fields["labels"],
            task=fields["task"],
            head=fields.get("head", {}),
            lexical=None if fields.get("lexical") is None else LexicalConfig(**fields["lexical"]),
            notes=fields.get("notes", {}),
            thresholds=fields.get("thresholds"),
            target_unit=fields.get("target_unit"),
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
def damage_in(path: Path) -> Iterator[None]:
    """Reports value and type errors raised in the block as a damaged configuration.

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
    for part in (config, config.hash, info.lexical):
        if part is not None and not isinstance(part, EelbertConfig | HashConfig | LexicalConfig):
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
    if info.kind not in ("backbone", "classifier", "tagger"):
        raise ValueError(f"`kind` must be backbone, classifier or tagger. Received: {info.kind!r:.100}")
    tasks = ("tagging",) if info.kind == "tagger" else TASKS
    if info.task not in tasks:
        raise ValueError(f"`task` must be one of {', '.join(tasks)}. Received: {info.task!r:.100}")
    if info.kind == "tagger":
        _check_head(info.head)
    labels = info.labels
    if labels is not None and not (isinstance(labels, list) and all(isinstance(x, str | None) for x in labels)):
        raise ValueError(f"`labels` must be a list of names. Received: {labels!r:.100}")
    if labels is not None and info.kind == "tagger" and len(labels) != info.num_classes:
        raise ValueError(f"`labels` must have one name per class. Received: {len(labels)} for {info.num_classes}")
    if info.kind == "classifier":
        Outputs(info.task, info.num_classes, labels, info.thresholds).check()
    if info.target_unit is not None:
        _check_unit(info.target_unit, info.num_classes)


def _check_head(head: Any) -> None:
    """Checks what a configuration says of a tagger's head.

    Raises:
        ValueError: a field is missing or of another type, or a size is hopeless.
    """
    names, features = head["names"], head["features"]
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise ValueError(f"`names` must be a list of names. Received: {names!r:.100}")
    sizes = [head["units"], *features.values()]
    if any(isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size <= MOST_ROWS for size in sizes):
        raise ValueError(f"Sizes of a head must be numbers up to {MOST_ROWS}. Received: {head!r:.200}")
    if not isinstance(head.get("lexicon", False), bool):
        raise ValueError(f"`lexicon` must be true or false. Received: {head['lexicon']!r:.100}")


def _check_unit(unit: Any, count: int) -> None:
    """Checks the unit of a regression's targets.

    Raises:
        ValueError: it is something else than so many means and scales.
    """
    values = [unit[key] for key in ("mean", "scale")] if isinstance(unit, dict) and len(unit) == 2 else []
    if not values or not all(
        isinstance(row, list) and len(row) == count and all(map(_is_finite, row)) for row in values
    ):
        raise ValueError(
            f"`target_unit` must have {count} finite numbers as `mean` and as `scale`. Received: {unit!r:.100}"
        )
    if min(unit["scale"]) <= 0:
        raise ValueError(f"`target_unit` must have a positive `scale`. Received: {unit!r:.100}")


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
