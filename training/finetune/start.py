"""The model that a fine-tuning starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.info import MAX_INPUT_BYTES

SCRATCH = "scratch"


@contextmanager
def changing(preset: str, changes: dict[str, Any]) -> Iterator[None]:
    """Reports, in words of the command, what does not allow the changes to a preset that the block makes.

    Args:
        preset: its name, for messages.
        changes: fields of the configuration to change.

    Raises:
        InputError: a change is out of range, or the block refuses it.
    """
    if changes.get("max_bytes", 0) > MAX_INPUT_BYTES:
        raise InputError(f"--max-bytes: must be at most {MAX_INPUT_BYTES}, not {changes['max_bytes']}")
    try:
        yield
    except InputError:
        raise
    except ValueError as error:  # the configuration says which field and why
        raise InputError(f"{preset}: {error}") from None


def start(
    preset: str,
    config: EelbertConfig,
    pair: bool,
    classes: Sequence[str | None] | None,
    changes: dict[str, Any],
    task: str | None = None,
) -> EelbertClassifier:
    """The model to fine-tune, with a fresh head or with one that was saved for the same classes.

    Args:
        preset: "scratch" for fresh weights of `config`, a preset's name, a model directory, or a folder in Hugging
            Face's layout.
        config: used from scratch only.
        pair: whether the texts are pairs.
        classes: names of the classes, in the order of the logits, or of a regression's numbers; `None` for one number.
        changes: fields of the configuration to change, `max_tokens` for example.
        task: the classifier's; by default "classification" where there are classes, else "regression".

    Raises:
        InputError: there is no such preset, or it cannot be changed like that.
    """
    task = task or ("classification" if classes else "regression")
    with changing(preset, changes):
        if preset == SCRATCH:
            backbone = EelbertBackbone(config.replace(**changes), pair=pair, name="backbone")
            return EelbertClassifier(backbone, labels=classes, task=task)
        one = None if classes else 1  # number
        return EelbertClassifier.from_preset(preset, labels=classes, num_classes=one, task=task, pair=pair, **changes)
