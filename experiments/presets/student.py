"""The encoder in torch, for training in bfloat16: the same function as `EelbertBackbone`, whose weights it writes."""

import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SLOWLY = 0.3  # of the length that answers in a lexicon have, beside a preset's own embeddings


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

    @torch.no_grad()
    def follow(self, gamma, beta):
        """Begins near the identity on what a normalization with these `[width]` gives."""
        for layer in (self.attention_output, self.output):
            nn.init.zeros_(layer.weight)
        for norm in (self.attention_norm, self.output_norm):
            norm.weight.fill_(float(np.sqrt((gamma**2).mean() + beta.var())))
            norm.bias.fill_(float(beta.mean()))


# What makes an encoder's shape, of all that a preset's config.json says.
SHAPE = (
    *("hidden_size", "num_hidden_layers", "num_hidden_groups", "num_attention_heads", "intermediate_size"),
    *("lexicon_size", "lexicon_width", "lexicon_lookups", "lexicon_codes", "lexicon_skip"),
)


def shape_of(config):
    """The part of a configuration that run.json has, with what all of these encoders have in common."""
    found = {name: config[name] for name in SHAPE if name in config}
    return found | {"pooling": "mean", "max_position_embeddings": 128}


def preset_weights(folder):
    """Configuration and weights of a preset's folder."""
    from safetensors.numpy import load_file

    return json.loads((folder / "config.json").read_text())["config"], load_file(folder / "weights.safetensors")


def quantized_start(lexicon, data):
    """Books float `[groups * 256, width / groups]` and projection of a lexicon of lexicon.py, to the targets of data.

    A lexicon that says what a preset's says does so from the start; what it knows of the answers comes in slowly.
    """
    to_answers, to_own = lexicon["to_answers"], lexicon["to_own"]
    start = torch.from_numpy(to_answers @ data.basis_of_first(to_answers.shape[1]))
    if "own_basis" in lexicon:
        start, own = start * SLOWLY, torch.from_numpy(lexicon["own_basis"]).float()
    else:
        own = nn.init.orthogonal_(torch.empty(to_own.shape[1], data.basis.shape[1]), gain=0.3)
    return torch.from_numpy(lexicon["books"]).flatten(0, 1), start + torch.from_numpy(to_own.copy()) @ own


def entries(rows, config, codes=None):
    """Entries of the books int32 `[V + 3, m]` of words with 24-bit rows; the last three, zero, are no words."""
    if codes is None:  # one table, of which each word has `lexicon_lookups` rows
        size = config["lexicon_size"]
        found = np.stack([rows // size**k % size for k in reversed(range(config["lexicon_lookups"]))], 1)
    else:
        groups = codes.shape[1]
        found = codes[rows >> (24 - (len(codes).bit_length() - 1))] + 256 * np.arange(groups, dtype=np.int32)
    return torch.from_numpy(np.concatenate([found, np.zeros((3, found.shape[1]))]).astype(np.int32))


def books_of(arrays):
    """The books of a preset's lexicon one below the other, or its only table: float32 `[n, width]`."""
    if "lexicon/table" in arrays:
        return arrays["lexicon/table"]
    return arrays["lexicon/books"].reshape(-1, arrays["lexicon/books"].shape[-1])


def fill(parameter, array):
    """Puts an array into a parameter."""
    parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))


class Student(nn.Module):
    """The encoder, up to the outputs that means are taken of.

    Called with hash embeddings float `[B, T, h]`, entries of the books int64 `[B, T, m]`, `words` float `[B, T, 1]` (1
    for a word), and mask `[B, T]` or None where every slot is filled; gives float32 `[B, T, width]`.
    """

    def __init__(self, config, books, projection):
        super().__init__()
        width, self.config = config["hidden_size"], config
        self.projection = nn.Linear(128, width) if width != 128 else None
        self.books = nn.Parameter(books.clone())
        self.lexicon_projection = nn.Parameter(projection.clone())
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

    def load(self, arrays):
        """Takes weights by the names of `EelbertBackbone`'s."""
        fill(self.books, books_of(arrays))
        fill(self.lexicon_projection, arrays["lexicon/projection/kernel"])
        if self.lexicon_scale is not None:
            fill(self.lexicon_scale, arrays["lexicon_scale"])
        self.load_blocks(arrays)

    def load_blocks(self, arrays):
        """Takes all weights but those of the lexicon; one shared block fills several, two and more are followed."""
        fill(self.position, arrays["position_embedding"])
        fill(self.segment, arrays["segment_embedding"])
        fill(self.norm.weight, arrays["embeddings_norm/gamma"])
        fill(self.norm.bias, arrays["embeddings_norm/beta"])
        known = sum(f"block_{i}/key/bias" in arrays for i in range(len(self.blocks)))
        for i, block in enumerate(self.blocks):
            if 1 < known <= i:
                block.follow(
                    arrays[f"block_{known - 1}/output_norm/gamma"], arrays[f"block_{known - 1}/output_norm/beta"]
                )
                continue
            one = f"block_{i % known}"
            for name in ("attention_output", "intermediate", "output"):
                fill(getattr(block, name).weight, arrays[f"{one}/{name}/kernel"].T)
                fill(getattr(block, name).bias, arrays[f"{one}/{name}/bias"])
            for name in ("attention_norm", "output_norm"):
                fill(getattr(block, name).weight, arrays[f"{one}/{name}/gamma"])
                fill(getattr(block, name).bias, arrays[f"{one}/{name}/beta"])
            parts = ("query", "key", "value")
            fill(block.qkv.weight, np.concatenate([arrays[f"{one}/{part}/kernel"].T for part in parts]))
            fill(block.qkv.bias, np.concatenate([arrays[f"{one}/{part}/bias"] for part in parts]))

    def weights(self, codes=None):
        """Arrays by the names of `EelbertBackbone`'s weights."""

        def get(parameter):
            return parameter.detach().float().numpy()

        if codes is None:
            found = {"lexicon/table": get(self.books)}
        else:
            books = get(self.books).reshape(codes.shape[1], 256, -1)
            found = {"lexicon/codes": codes, "lexicon/books": books}
        found |= {
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


def preset_student(folder):
    """The encoder of a preset's folder, its configuration, and its codes uint8 `[rows, groups]` where it has such."""
    config, arrays = preset_weights(folder)
    config = {"lexicon_skip": False} | config
    books, projection = books_of(arrays), arrays["lexicon/projection/kernel"]
    model = Student(config, torch.from_numpy(books), torch.from_numpy(projection))
    model.load(arrays)
    return model, config, arrays.get("lexicon/codes")


class Reader:
    """A student, and the words of prepare.py that it reads; `codes` are their entries of its books."""

    def __init__(self, model, words, codes):
        self.model, self.codes = model, codes
        self.table = torch.from_numpy(np.load(words / "table.npy"))  # float16, with [CLS], [SEP] and padding at the end
        self.number = len(self.table) - 3
        self.specials = (self.number, self.number + 1, self.number + 2)

    def sums(self, ids, segments=None):
        """Means of the outputs over each text's slots, float32 `[B or 2B, width]`, of word numbers `[B, T]`."""
        ids = torch.from_numpy(ids).long()
        used = ids != self.specials[2]
        with torch.autocast("cpu", torch.bfloat16):
            x = self.model(
                self.table[ids].float(),
                self.codes[ids].long(),
                (ids < self.number).float()[..., None],
                None if used.all() else used,
                None if segments is None else torch.from_numpy(segments),
            )
        if segments is None:
            return (x * used[..., None]).sum(1) / used.sum(1, keepdim=True)
        second = torch.from_numpy(segments).float() * used
        first = used.float() - second
        return torch.cat([(x * side[..., None]).sum(1) / side.sum(1, keepdim=True) for side in (first, second)])
