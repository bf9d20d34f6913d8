"""The encoder in torch, for training in bfloat16: the same function as `EelbertBackbone`, whose weights it writes."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """BERT's block, normalised after each half; query, key and value are one layer."""

    def __init__(self, width, inner, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.intermediate = nn.Linear(width, inner)
        self.output = nn.Linear(inner, width)
        self.output_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x, bias):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        a = q @ k.transpose(2, 3) * (width // self.heads) ** -0.5
        a = (a if bias is None else a + bias).softmax(3).to(v.dtype) @ v
        a = self.attention_output(a.transpose(1, 2).reshape(batch, length, width))
        x = self.attention_norm(x + a)
        return self.output_norm(x + self.output(functional.gelu(self.intermediate(x))))


class Student(nn.Module):
    """The encoder, up to the outputs that means are taken of.

    Called with hash embeddings float `[B, T, h]`, lexicon entries int64 `[B, T, m]`, `words` float `[B, T, 1]` (1 for
    a word), and mask `[B, T]` or None where every slot is filled; gives float32 `[B, T, width]`.
    """

    def __init__(self, config, lexicon, basis):
        super().__init__()
        width, self.config = config["hidden_size"], config
        self.projection = nn.Linear(128, width) if width != 128 else None
        self.books = nn.Parameter(torch.from_numpy(lexicon["books"]).flatten(0, 1).clone())
        self.lexicon_projection = nn.Parameter(
            torch.from_numpy(lexicon["to_answers"] @ basis[: lexicon["to_answers"].shape[1]]).clone()
        )
        self.position = nn.Parameter(torch.randn(128, width) * 0.02)
        self.segment = nn.Parameter(torch.randn(2, width) * 0.02)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        groups = config.get("num_hidden_groups") or config["num_hidden_layers"]
        self.blocks = nn.ModuleList(
            Block(width, config["intermediate_size"], config["num_attention_heads"]) for _ in range(groups)
        )
        self.repeats = config["num_hidden_layers"] // groups
        self.lexicon_scale = nn.Parameter(torch.ones(width)) if config["lexicon_skip"] else None
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, hashed, codes, words, mask, segments=None):
        lexical = functional.embedding(codes, self.books).flatten(2) @ self.lexicon_projection * words
        x = hashed if self.projection is None else self.projection(hashed)
        x = (
            x
            + lexical
            + self.position[: x.shape[1]]
            + (self.segment[0] if segments is None else self.segment[segments])
        )
        x = self.norm(x)
        bias = None if mask is None else (mask.float() - 1)[:, None, None] * 100
        for block in self.blocks:
            for _ in range(self.repeats):
                x = block(x, bias)
        x = x.float()
        return x if self.lexicon_scale is None else x + lexical * self.lexicon_scale

    def weights(self, codes):
        """Arrays by the names of `EelbertBackbone`'s weights."""

        def get(parameter):
            return parameter.detach().float().numpy()

        groups = codes.shape[1]
        found = {
            "lexicon/codes": codes,
            "lexicon/books": get(self.books).reshape(groups, 256, -1),
            "lexicon/projection/kernel": get(self.lexicon_projection),
            "position_embedding": get(self.position),
            "segment_embedding": get(self.segment),
            "embeddings_norm/gamma": get(self.norm.weight),
            "embeddings_norm/beta": get(self.norm.bias),
        }
        if self.lexicon_scale is not None:
            found["lexicon_scale"] = get(self.lexicon_scale)
        if self.projection is not None:
            found |= {"projection/kernel": get(self.projection.weight).T, "projection/bias": get(self.projection.bias)}
        for i, block in enumerate(self.blocks):
            for name in ("attention_output", "intermediate", "output"):
                layer = getattr(block, name)
                found |= {f"block_{i}/{name}/kernel": get(layer.weight).T, f"block_{i}/{name}/bias": get(layer.bias)}
            for name in ("attention_norm", "output_norm"):
                layer = getattr(block, name)
                found |= {f"block_{i}/{name}/gamma": get(layer.weight), f"block_{i}/{name}/beta": get(layer.bias)}
            width = block.qkv.weight.shape[1]
            kernels = get(block.qkv.weight).T.reshape(width, 3, width)
            shifts = get(block.qkv.bias).reshape(3, width)
            for part, name in enumerate(("query", "key", "value")):
                found |= {f"block_{i}/{name}/kernel": kernels[:, part], f"block_{i}/{name}/bias": shifts[part]}
        return found
