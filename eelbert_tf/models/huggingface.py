"""BERT models in Hugging Face's layout as this project's encoders: the teachers that others have trained.

A folder holds config.json, model.safetensors and vocab.txt; nothing but arrays and JSON is read from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.errors import InputError
from eelbert_tf.preprocessing.wordpiece import number_pieces
from eelbert_tf.saving.folders import weight_names

from .backbone import EelbertBackbone

WEIGHTS_FILE = "model.safetensors"
VOCABULARY_FILE = "vocab.txt"

# Our names to theirs; kernels are transposed.
_NAMES = {
    "position_embedding": "embeddings.position_embeddings.weight",
    "segment_embedding": "embeddings.token_type_embeddings.weight",
    "token_embedding/embeddings": "embeddings.word_embeddings.weight",
    "embeddings_norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
_BLOCK_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_KINDS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def is_bert_folder(folder: str | Path) -> bool:
    """Whether a folder holds a BERT model in Hugging Face's layout."""
    return _read_config(Path(folder)).get("model_type") == "bert"


def load_bert(folder: str | Path, pair: bool = False, **changes: Any) -> tuple[EelbertBackbone, dict[bytes, int]]:
    """The encoder, and the ids of its pieces.

    Args:
        folder: holds config.json, model.safetensors and vocab.txt.
        pair: whether texts are pairs.
        **changes: fields of our configuration to change, `max_tokens` for example.

    Raises:
        InputError: something is missing or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    try:
        config = _config(_read_config(folder)).replace(**changes)
        arrays = load_file(folder / WEIGHTS_FILE)
        data = (folder / VOCABULARY_FILE).read_bytes()
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a BERT model in Hugging Face's layout: {error}") from None
    vocabulary = number_pieces(data, config, folder / VOCABULARY_FILE)
    backbone = EelbertBackbone(config, pair=pair, name="backbone")
    for name, variable in weight_names(backbone).items():
        theirs = foreign_name(name)
        found = next((arrays[key] for key in (theirs, f"bert.{theirs}") if key in arrays), None)
        if found is None and name.startswith("pooler/"):
            continue  # left out where it was not trained; it keeps its fresh weights
        if found is None:
            raise InputError(f"{folder / WEIGHTS_FILE}: has no {theirs}")
        array = np.asarray(found, np.float32)
        array = array.T if name.endswith("/kernel") else array
        if array.shape != tuple(variable.shape):
            raise InputError(
                f"{folder / WEIGHTS_FILE}: {theirs} has the shape {found.shape}, expected {variable.shape}"
            )
        variable.assign(array)
    return backbone, vocabulary


def foreign_name(name: str) -> str:
    """What Hugging Face calls one of our weights."""
    if name in _NAMES:
        return _NAMES[name]
    layer, _, kind = name.rpartition("/")
    if layer.startswith("block_"):
        block, _, part = layer.partition("/")
        return f"encoder.layer.{block.removeprefix('block_')}.{_BLOCK_NAMES[part]}.{_KINDS[kind]}"
    return f"{_NAMES[layer]}.{_KINDS[kind]}"


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(fields: dict[str, Any]) -> EelbertConfig:
    """Our configuration for theirs.

    Raises:
        ValueError: it is something else than BERT.
    """
    kind, activation = fields.get("model_type"), fields.get("hidden_act", "gelu")
    positions = fields.get("position_embedding_type", "absolute")
    if (kind, activation, positions) != ("bert", "gelu", "absolute"):
        found = f"{kind}, {activation}, {positions}"
        raise ValueError(f"expected model_type bert, gelu and absolute positions; found {found}")
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    others = ("max_position_embeddings", "type_vocab_size", "layer_norm_eps")
    shape = {name: fields[name] for name in (*names, *others)}
    return EelbertConfig(**shape, max_tokens=min(128, shape["max_position_embeddings"]))
