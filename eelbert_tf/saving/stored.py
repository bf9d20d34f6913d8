"""A model on disk, in this project's format or in Hugging Face's, as its description and its arrays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from eelbert_tf.config import BOOK_ENTRIES
from eelbert_tf.disk.settled import settled
from eelbert_tf.errors import InputError

from .folders import MODEL_FOLDER, VOCABULARY_FILE, WEIGHTS_FILE, find_model, read_vocabulary, read_weights
from .huggingface import FOREIGN_WEIGHTS_FILE, is_foreign, read_bert
from .info import ModelInfo, read_info


@dataclasses.dataclass(frozen=True)
class StoredModel:
    """What a folder holds.

    Args:
        path: of the file of weights, for messages.
        info: what the model is.
        arrays: its weights by name; those of a classifier's encoder begin with "backbone/".
        vocabulary: pieces by id, of a model that has a vocabulary.
        optional: the beginning of names of weights that may be missing.
    """

    path: Path
    info: ModelInfo
    arrays: dict[str, np.ndarray]
    vocabulary: list[bytes] | None = None
    optional: tuple[str, ...] = ()


def backbone_prefix(info: ModelInfo) -> str:
    """How names of the encoder's weights begin."""
    return "" if info.kind == "backbone" else "backbone/"


def read_stored_info(name: str | Path) -> ModelInfo:
    """What a preset or a model folder holds, without its weights.

    Raises:
        InputError: there is no such model, or it is damaged.
    """
    return settled(
        Path(name),
        MODEL_FOLDER.names,
        lambda: read_bert(Path(name))[0] if is_foreign(name) else read_info(find_model(name))[0],
    )


def read_stored(name: str | Path) -> StoredModel:
    """A preset, or a model folder.

    Args:
        name: a preset's name, a folder that `save_to_preset` wrote, or a BERT in Hugging Face's layout.

    Raises:
        InputError: there is no such model, or it is damaged.
    """
    return settled(Path(name), MODEL_FOLDER.names, lambda: _read_stored(name))


def _read_stored(name: str | Path) -> StoredModel:
    if is_foreign(name):
        info, arrays, vocabulary = read_bert(Path(name), arrays=True)
        path = Path(name, FOREIGN_WEIGHTS_FILE)
        model = StoredModel(path, info, arrays, vocabulary, optional=("pooler/",))
    else:
        directory = find_model(name)
        info, sha256 = read_info(directory)
        arrays = read_weights(directory, sha256)
        pieces = (
            read_vocabulary(directory) if info.config.vocab_size and (directory / VOCABULARY_FILE).exists() else None
        )
        model = StoredModel(directory / WEIGHTS_FILE, info, arrays, pieces)
    if model.vocabulary is not None and len(model.vocabulary) > (info.config.vocab_size or 0):
        raise InputError(
            f"{model.path.parent / VOCABULARY_FILE}: {len(model.vocabulary)} pieces, more than the "
            f"{info.config.vocab_size} of the model"
        )
    _check_sizes(model)
    return model


def _check_sizes(model: StoredModel) -> None:
    """Compares, before anything is built, the weights that between them show every size of the configuration.

    Whatever a configuration asks for, building its model then takes little more memory than the weights at hand.

    Raises:
        InputError: a weight is missing, or has another shape.
    """
    info, arrays, path = model.info, model.arrays, model.path
    config, prefix = info.config, backbone_prefix(info)
    width = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "position_embedding": (config.max_position_embeddings, width),
        "segment_embedding": (config.type_vocab_size, width),
    }
    if config.pooling == "cls" and not model.optional:
        shapes["pooler/kernel"] = (width, width)
    if config.hash is None:
        shapes["token_embedding/embeddings"] = (config.vocab_size or 0, width)
    elif config.hash.size != width:
        shapes["projection/kernel"] = (config.hash.size, width)
    if config.lexicon_codes:
        shapes["lexicon/codes"] = (config.lexicon_size, config.lexicon_codes)
        shapes["lexicon/books"] = (config.lexicon_codes, BOOK_ENTRIES, config.lexicon_width // config.lexicon_codes)
    elif config.lexicon_size:
        shapes["lexicon/table"] = (config.lexicon_size, config.lexicon_width)
    shapes = {prefix + name: shape for name, shape in shapes.items()}
    if info.kind == "tagger":
        sizes = info.head["features"]
        shapes["tagger/kernel"] = (info.head["units"], 2 * len(info.head["names"]) + 1)
        shapes["features/words"] = (sizes["word_rows"], sizes["word_width"])
        shapes["features/first_2"] = (sizes["affix_rows"], sizes["affix_width"])
    if info.kind == "classifier":
        shapes["classifier/kernel"] = (config.pooled_size(info.pair), info.num_classes)
    if info.lexical is not None:
        shapes["lexical/table"] = (info.lexical.rows, info.lexical.rank)
        if info.lexical.coded:
            shapes["lexical/codes"] = (info.lexical.rows, info.lexical.rank)
            shapes["lexical/book"] = (BOOK_ENTRIES, info.num_classes)
    for name, shape in shapes.items():
        check_shape(name, shape, arrays, path)
    for i in range(config.num_blocks):
        check_shape(f"{prefix}block_{i}/intermediate/kernel", (width, config.intermediate_size), arrays, path)


def check_shape(name: str, shape: tuple[int, ...], arrays: dict[str, np.ndarray], path: Path) -> None:
    """Checks that there is a weight of this name and shape.

    Raises:
        InputError: there is none, or of another shape.
    """
    if name not in arrays:
        raise InputError(f"{path}: weight {name!r} is missing.")
    if arrays[name].shape != shape:
        raise InputError(f"{path}: weight {name!r} has shape {arrays[name].shape}, the configuration asks for {shape}.")
