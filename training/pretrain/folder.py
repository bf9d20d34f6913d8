"""The folder of a pretraining run: which run it holds, a lock for the process that writes it, and its model."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.files import only_process, replace_file
from eelbert_tf.disk.refusals import write_error
from eelbert_tf.disk.workspaces import remove
from eelbert_tf.errors import InputError
from eelbert_tf.models.presets import weight_names
from eelbert_tf.saving.folders import DRAFT, VOCABULARY_FILE, WEIGHTS_FILE
from eelbert_tf.saving.info import CONFIG_FILE

from .log import CURVE_FILE, LOG_FILE
from .settings import RUN_FILE, check_same

CHECKPOINTS = "checkpoints"
_OURS = (RUN_FILE, CHECKPOINTS, LOG_FILE, CURVE_FILE, CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE)


@contextmanager
def lock(folder: Path, run: dict[str, Any], resume: bool) -> Iterator[None]:
    """Locks a run's folder in the `with` block, so that no other process trains there.

    If the block raises an `InputError` before a step was done, the folder becomes what it was before.

    Args:
        folder: the run's folder; created if it does not exist.
        run: what identifies the run (`settings.identity`).
        resume: whether to continue a run that is in the folder.

    Raises:
        InputError: the folder holds something else or another run, cannot be written, or is in use.
    """
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    record = folder / RUN_FILE
    foreign = [] if record.is_file() else [n for n in names if n not in _OURS and not n.startswith(".")]
    if foreign or (folder.exists() and not folder.is_dir()):
        what = f"holds something else ({foreign[0]})" if foreign else "is a file"
        raise InputError(f"{folder}: {what}; choose another folder for --output")
    if record.is_file():
        if not resume:
            raise InputError(f"{folder}: holds a run; continue it with --resume, or choose another folder")
        try:
            recorded = json.loads(record.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{record}: cannot be read: {error}; choose another folder") from None
        check_same(run, recorded if isinstance(recorded, dict) else {}, record)
    elif any(name in _OURS for name in names):
        raise InputError(f"{folder}: holds a model, but no run ({RUN_FILE}); choose another folder for --output")
    created = not folder.exists()
    if not record.is_file():  # an existing one may be locked, which a new file would not be
        with replace_file(record) as temporary:
            temporary.write_text(json.dumps(run, indent=1) + "\n", "utf-8")
    with only_process(record, f"{folder}: another process is training here; wait for it, or stop it"):
        try:
            yield
        except InputError:
            if sorted(os.listdir(folder)) == [RUN_FILE]:
                record.unlink()
                if created:
                    folder.rmdir()
            raise


def save_encoder(
    model: Any,
    config: EelbertConfig,
    folder: Path,
    notes: dict[str, Any],
    vocabulary: list[bytes] | None = None,
) -> None:
    """Writes the encoder of a pretraining model to the run's folder, in the form that `from_preset` reads.

    Args:
        model: a `PretrainingModel`.
        config: the configuration to save; its dropout may differ from the one in training.
        folder: the run's folder.
        notes: saved with the configuration.
        vocabulary: WordPieces by id, for a model with a vocabulary.

    Raises:
        InputError: the folder cannot be written.
    """
    import keras

    from eelbert_tf.models.backbone import EelbertBackbone

    trained = weight_names(model.backbone)
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)  # only this process creates and writes the copy
    try:
        encoder = EelbertBackbone(config, name=model.backbone.name)
        for name, variable in weight_names(encoder).items():
            variable.assign(keras.ops.convert_to_numpy(trained[name]))
    finally:
        keras.distribution.set_distribution(distribution)
    # The folder also holds the run, so it cannot be replaced as a whole. If the process ends between the renames,
    # `find_model` completes them.
    draft = folder / DRAFT
    encoder.save_to_preset(draft, notes, vocabulary)
    try:
        if vocabulary is not None:  # first, since it never changes in a run
            os.replace(draft / VOCABULARY_FILE, folder / VOCABULARY_FILE)
        os.replace(draft / WEIGHTS_FILE, folder / WEIGHTS_FILE)
        with contextlib.suppress(FileNotFoundError):  # a reader was faster (`finish_draft`)
            os.replace(draft / CONFIG_FILE, folder / CONFIG_FILE)
    except OSError as error:
        raise write_error(error, folder) or error from error
    remove(draft)
