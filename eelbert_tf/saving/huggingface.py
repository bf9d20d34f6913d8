"""BERT models in Hugging Face's layout: the teachers that others have trained.

A folder holds config.json, model.safetensors and vocab.txt; nothing but arrays and JSON is read from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import EelbertConfig
from eelbert_tf.disk.refusals import read_if_any
from eelbert_tf.errors import InputError

from .info import CONFIG_FILE, ModelInfo

FOREIGN_WEIGHTS_FILE = "model.safetensors"
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


def is_foreign(folder: str | Path) -> bool:
    """Whether a folder has Hugging Face's layout; `read_bert` tells whether it holds a BERT."""
    return "model_type" in _read_config(Path(folder))


def read_bert(folder: Path, arrays: bool = False) -> tuple[ModelInfo, dict[str, np.ndarray], list[bytes]]:
    """An encoder: what it is, its weights by our names, and its pieces by id.

    Args:
        folder: holds config.json, model.safetensors and vocab.txt.
        arrays: whether to read weights and pieces; else there are none.

    Raises:
        InputError: something is missing or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for name in (FOREIGN_WEIGHTS_FILE, VOCABULARY_FILE):
        if (folder / name).exists() and not (folder / name).is_file():
            raise InputError(f"{folder / name}: is no regular file.")  # a device may never end
    try:
        info = ModelInfo(_config(_read_config(folder)))
        if not arrays:
            return info, {}, []
        theirs = load_file(folder / FOREIGN_WEIGHTS_FILE)
        pieces = (folder / VOCABULARY_FILE).read_bytes().removesuffix(b"\n").split(b"\n")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a BERT model in Hugging Face's layout: {error}") from None
    theirs = {name.removeprefix("bert."): array for name, array in theirs.items()}
    found = {}
    for name in _own_names(info.config):
        foreign = foreign_name(name)
        if foreign in theirs:
            array = np.asarray(theirs[foreign], np.float32)
            found[name] = array.T if name.endswith("/kernel") else array
        elif not name.startswith("pooler/"):  # left out where it was not trained
            raise InputError(f"{folder / FOREIGN_WEIGHTS_FILE}: has no {foreign}")
    return info, found, pieces


def foreign_name(name: str) -> str:
    """What Hugging Face calls one of our weights."""
    if name in _NAMES:
        return _NAMES[name]
    layer, _, kind = name.rpartition("/")
    if layer.startswith("block_"):
        block, _, part = layer.partition("/")
        return f"encoder.layer.{block.removeprefix('block_')}.{_BLOCK_NAMES[part]}.{_KINDS[kind]}"
    return f"{_NAMES[layer]}.{_KINDS[kind]}"


def _own_names(config: EelbertConfig) -> list[str]:
    """Our names of all weights of such an encoder."""
    layers = ["embeddings_norm", "pooler"]
    layers += [f"block_{i}/{part}" for i in range(config.num_hidden_layers) for part in _BLOCK_NAMES]
    own = ["position_embedding", "segment_embedding", "token_embedding/embeddings"]
    return own + [
        f"{layer}/{kind}" for layer in layers for kind in (("gamma", "beta") if "norm" in layer else ("kernel", "bias"))
    ]


def _read_config(folder: Path) -> dict[str, Any]:
    content = read_if_any(folder / CONFIG_FILE) or b"{}"
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
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
