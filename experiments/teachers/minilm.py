"""A small BERT in torch for teachers: loads a folder with safetensors, in bfloat16 where asked.

No padding is needed where every text of a batch has the same number of tokens: then `lengths` is
left out. Sentence embedding: mean of the last layer over all tokens, to length one.
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """One transformer layer, normalised after each half."""

    def __init__(self, width, inner, heads, epsilon):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if torch.is_grad_enabled():  # the fused kernel's backward pass is four times as slow
            a = q @ k.transpose(2, 3) * (width // self.heads) ** -0.5
            a = (a if mask is None else a.masked_fill(~mask, -30000.0)).softmax(3).to(v.dtype) @ v
        else:
            a = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        a = self.out(a.transpose(1, 2).reshape(batch, length, width))
        x = self.norm1(x + a)
        return self.norm2(x + self.down(functional.gelu(self.up(x))))


class SentenceBert(nn.Module):
    """Token numbers to sentence embeddings of length one."""

    def __init__(self, settings):
        super().__init__()
        width, epsilon = settings["hidden_size"], settings["layer_norm_eps"]
        self.words = nn.Embedding(settings["vocab_size"], width)
        self.positions = nn.Embedding(settings["max_position_embeddings"], width)
        self.types = nn.Embedding(settings["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.frozen = 0  # so many of the first layers are not trained
        self.layers = nn.ModuleList(
            Layer(width, settings["intermediate_size"], settings["num_attention_heads"], epsilon)
            for _ in range(settings["num_hidden_layers"])
        )

    def forward(self, tokens, lengths=None):
        length = tokens.shape[1]
        x = self.words(tokens) + self.positions.weight[:length] + self.types.weight[0]
        x = self.norm(x)
        mask = present = None
        if lengths is not None:
            present = torch.arange(length) < lengths[:, None]
            mask = present[:, None, None, :]
        for index, layer in enumerate(self.layers):
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= self.frozen):
                x = layer(x, mask)
        mean = x.float().mean(1) if lengths is None else (x.float() * present[:, :, None]).sum(1) / lengths[:, None]
        return functional.normalize(mean, dim=-1)


def names(settings):
    """Our name of each weight, and the names it has in the file (three where queries, keys and values are one)."""
    found = {
        "words.weight": ["embeddings.word_embeddings.weight"],
        "positions.weight": ["embeddings.position_embeddings.weight"],
        "types.weight": ["embeddings.token_type_embeddings.weight"],
        "norm.weight": ["embeddings.LayerNorm.weight"],
        "norm.bias": ["embeddings.LayerNorm.bias"],
    }
    for index in range(settings["num_hidden_layers"]):
        stem = f"encoder.layer.{index}."
        for kind in ("weight", "bias"):
            found[f"layers.{index}.qkv.{kind}"] = [
                f"{stem}attention.self.{part}.{kind}" for part in ("query", "key", "value")
            ]
            for ours, theirs in (
                ("out", "attention.output.dense"),
                ("norm1", "attention.output.LayerNorm"),
                ("up", "intermediate.dense"),
                ("down", "output.dense"),
                ("norm2", "output.LayerNorm"),
            ):
                found[f"layers.{index}.{ours}.{kind}"] = [f"{stem}{theirs}.{kind}"]
    return found


def save(model, folder, source):
    """The model as a folder that `load` and Hugging Face read; the rest is copied from `source`."""
    folder, source = pathlib.Path(folder), pathlib.Path(source)
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = model.state_dict()
    kept = {}
    for ours, theirs in names(settings).items():
        for name, part in zip(theirs, weights[ours].detach().float().chunk(len(theirs)), strict=False):
            kept[name] = part.contiguous()
    save_file(kept, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / name, folder / name)


def load(folder):
    """The model and its tokenizer from a folder (config.json, model.safetensors, tokenizer.json).

    Raises:
        SystemExit: a file is missing.
    """
    folder = pathlib.Path(folder)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise SystemExit(f"{folder} has no {name}: name the folder of a BERT such as all-MiniLM-L6-v2")
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = SentenceBert(settings)
    old = {name.removeprefix("bert."): value.float() for name, value in load_file(folder / "model.safetensors").items()}
    model.load_state_dict({ours: torch.cat([old[part] for part in theirs]) for ours, theirs in names(settings).items()})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return model, tokenizer
