"""A small BERT in Hugging Face's layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import safetensors.numpy

from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.presets import weight_names
from eelbert_tf.preprocessing.wordpiece import RESERVED
from tests.configs import TINY

LETTERS = [bytes([c]) for c in range(ord("a"), ord("z") + 1)]
PIECES = [*RESERVED, b".", *LETTERS, *(b"##" + letter for letter in LETTERS)]
BERT = TINY.replace(
    hash=None,
    vocab_size=len(PIECES),
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=40,
    max_position_embeddings=64,
    max_tokens=64,
)


def write_bert(folder: Path, backbone: EelbertBackbone) -> Path:
    """A model in Hugging Face's layout, by their names as their library writes them."""
    own = {name: variable.numpy() for name, variable in weight_names(backbone).items()}
    theirs = {
        "embeddings.word_embeddings.weight": own["token_embedding/embeddings"],
        "embeddings.position_embeddings.weight": own["position_embedding"],
        "embeddings.token_type_embeddings.weight": own["segment_embedding"],
        "embeddings.LayerNorm.weight": own["embeddings_norm/gamma"],
        "embeddings.LayerNorm.bias": own["embeddings_norm/beta"],
        "pooler.dense.weight": own["pooler/kernel"].T,
        "pooler.dense.bias": own["pooler/bias"],
    }
    for i in range(backbone.config.num_hidden_layers):
        for part, name in (
            ("attention.self.query", "query"),
            ("attention.self.key", "key"),
            ("attention.self.value", "value"),
            ("attention.output.dense", "attention_output"),
            ("intermediate.dense", "intermediate"),
            ("output.dense", "output"),
        ):
            theirs[f"encoder.layer.{i}.{part}.weight"] = own[f"block_{i}/{name}/kernel"].T
            theirs[f"encoder.layer.{i}.{part}.bias"] = own[f"block_{i}/{name}/bias"]
        for part, name in (("attention.output", "attention_norm"), ("output", "output_norm")):
            theirs[f"encoder.layer.{i}.{part}.LayerNorm.weight"] = own[f"block_{i}/{name}/gamma"]
            theirs[f"encoder.layer.{i}.{part}.LayerNorm.bias"] = own[f"block_{i}/{name}/beta"]
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in theirs.items()}, folder / "model.safetensors")
    fields = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    config = {name: getattr(backbone.config, name) for name in (*fields, "max_position_embeddings", "layer_norm_eps")}
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "type_vocab_size": 2, **config}))
    (folder / "vocab.txt").write_bytes(b"\n".join(PIECES) + b"\n")
    return folder
