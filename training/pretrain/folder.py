"""The folder of a pretraining run: whose it is, that one process at a time writes it, and the model it holds."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.files import replace_file
from eelbert_tf.errors import InputError
from eelbert_tf.models.presets import weight_names
from eelbert_tf.saving.folders import DRAFT, VOCABULARY_FILE, WEIGHTS_FILE, finish_draft
from eelbert_tf.saving.info import CONFIG_FILE

from .log import CURVE_FILE, LOG_FILE
from .settings import RUN_FILE, check_same

CHECKPOINTS = "checkpoints"
_OURS = (RUN_FILE, CHECKPOINTS, LOG_FILE, CURVE_FILE, CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE)


@contextmanager
def claim(folder: Path, run: dict[str, Any], resume: bool) -> Iterator[None]:
    """Takes a folder for a run, and keeps other processes away in the `with` block.

    Args:
        folder: the run's; made if it is not there.
        run: what the run is (`pretrain_settings.identity`).
        resume: whether a run that lies there is to be continued.

    Raises:
        InputError: the folder holds something else or another run, cannot be written, or is in use. One that is raised
            in the block is raised on, and leaves no trace of a run that never made a step.
    """
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    foreign = [name for name in names if name not in _OURS and not name.startswith(".")]
    record = folder / RUN_FILE
    if foreign or (folder.exists() and not folder.is_dir()):
        what = f"holds something else ({foreign[0]})" if foreign else "is a file"
        raise InputError(f"{folder}: {what}; choose another folder for --output")
    if record.is_file():
        if not resume:
            raise InputError(f"{folder}: holds a run; continue it with --resume, or choose another folder")
        try:
            found = json.loads(record.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{record}: cannot be read: {error}; choose another folder") from None
        check_same(run, found if isinstance(found, dict) else {}, record)
    elif any(name in _OURS for name in names):
        raise InputError(f"{folder}: holds a model, but no run ({RUN_FILE}); choose another folder for --output")
    made = not folder.exists()
    if not record.is_file():  # one that is there may be locked, and a new one would not be
        with replace_file(record) as temporary:
            temporary.write_text(json.dumps(run, indent=1) + "\n", "utf-8")
    with record.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = os.path.samestat(os.fstat(file.fileno()), record.stat())
        except OSError:
            locked = False
        if not locked:
            raise InputError(f"{folder}: another process is training here; wait for it, or stop it")
        try:
            yield
        except InputError:
            if sorted(os.listdir(folder)) == [RUN_FILE]:
                record.unlink()
                if made:
                    folder.rmdir()
            raise


def save_encoder(
    model: Any,
    config: EelbertConfig,
    weights: dict[int, Any],
    folder: Path,
    notes: dict[str, Any],
    vocabulary: list[bytes] | None = None,
) -> None:
    """Writes the encoder under a pretraining model to the run's folder, where `from_preset` finds it.

    Args:
        model: a `PretrainingModel`.
        config: the configuration to save: it may differ from the trained one in its dropout.
        weights: float arrays to save in the place of weights, by the weight's `id`: averages of them.
        folder: the run's.
        notes: kept in the configuration.
        vocabulary: pieces by id, of a model that has a vocabulary.
    """
    import keras

    from eelbert_tf.models.backbone import EelbertBackbone

    trained = {name: weights.get(id(v), v) for name, v in weight_names(model.backbone).items()}
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)  # this process alone makes and writes the copy
    try:
        encoder = EelbertBackbone(config, name=model.backbone.name)
        for name, variable in weight_names(encoder).items():
            variable.assign(keras.ops.convert_to_numpy(trained[name]))
    finally:
        keras.distribution.set_distribution(distribution)
    # The folder itself holds more, and so cannot be replaced; between the renames `find_model` helps.
    draft = folder / DRAFT
    encoder.save_to_preset(draft, notes, vocabulary)
    if vocabulary is not None:  # first: it is the same through all of the run
        os.replace(draft / VOCABULARY_FILE, folder / VOCABULARY_FILE)
    os.replace(draft / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    finish_draft(folder)
    shutil.rmtree(draft, ignore_errors=True)
