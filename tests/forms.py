"""The front end, computed twice: by `keras.ops` and by the reference. Also run as a program, in a process with JAX."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eelbert_tf.config import HashConfig
from eelbert_tf.text.reference import CLS, SEP, embed_token, lexicon_index, tokenize
from eelbert_tf.text.strings import to_bytes
from eelbert_tf.tflite.checks import hard_texts as hard

ROOT = Path(__file__).resolve().parent.parent
LEXICON_SIZE = 64


@dataclass(frozen=True)
class Form:
    """What a front end is compiled for."""

    hash: HashConfig
    max_tokens: int = 16
    max_bytes: int = 64
    pair: bool = False


FULL = HashConfig(widths=(5, 4, 3), boundaries=True, word_width=4)
FORMS = {
    "texts": Form(FULL),
    "pairs": Form(FULL, pair=True),
    "sqrtn": Form(HashConfig(widths=(5, 4, 3, 2), pooling="sqrtn")),
    "long": Form(HashConfig(word_width=8), max_tokens=24, max_bytes=200, pair=True),
    "normalized": Form(HashConfig(widths=(5, 4, 3), boundaries=True, normalization=1), max_tokens=20),
    "normalized pairs": Form(HashConfig(widths=(5, 4), word_width=4, normalization=1), max_bytes=70, pair=True),
}


def hard_texts(count: int, seed: int = 0) -> list[bytes]:
    """Bytes that are hard on a tokenizer, up to 220 of each."""
    return [to_bytes(text)[:220] for text in hard.hard_texts(count, seed)[:count]]


def padded(texts: Sequence[bytes], width: int) -> np.ndarray:
    """int32 `[len(texts), width]`, without help from the library."""
    data = np.zeros((len(texts), width), np.int32)
    for row, text in zip(data, texts, strict=True):
        row[: len(text[:width])] = list(text[:width])
    return data


def tolerance(token: bytes, config: HashConfig) -> float:
    """What float32 sums may differ by: docs/hash.md, "How exact an implementation must be"."""
    grams = max(1, len(token))
    return (min(grams, 20 + grams / 32) + 4) * 2.0**-24 * (grams**0.5 if config.pooling == "sqrtn" else 1.0)


def assert_close(found: np.ndarray, tokens: Sequence[bytes], config: HashConfig) -> None:
    """Asserts that each row is the embedding of its token."""
    for row, token in zip(np.asarray(found), tokens, strict=True):
        expected = _token(token, config)[0]
        np.testing.assert_allclose(row, expected, rtol=0, atol=tolerance(token, config), err_msg=repr(token))


def by_ops(data: Any, form: Form) -> dict[str, Any]:
    """The front end of `keras.ops`, from int32 `[B, L]` on."""
    from keras import ops

    from eelbert_tf.text import hashing, splitting

    tokens = splitting.split(data, form.hash.normalization)
    tokens, layout = splitting.lay_out(tokens, form.max_bytes, form.max_tokens, form.pair)
    rows, lasts = hashing.lexicon_rows(tokens.chars, tokens.starts, tokens.continues, form.hash, LEXICON_SIZE)
    return {
        "embeddings": hashing.embed_tokens(
            tokens.chars, tokens.starts, tokens.continues, layout.slots, form.max_tokens, form.hash
        ),
        "padding_mask": layout.padding_mask,
        "segment_ids": layout.segment_ids,
        "separate": layout.separate,
        "classify": layout.classify + ops.zeros_like(layout.separate),
        "slots": layout.slots,
        "chars": tokens.chars,
        "inside": tokens.starts + tokens.continues,
        "rows": rows,
        "lasts": lasts,
    }


@functools.cache
def _token(token: bytes, config: HashConfig) -> tuple[np.ndarray, int]:
    return embed_token(token, config), lexicon_index(token, config, LEXICON_SIZE)


def check(texts: Sequence[bytes], form: Form, found: dict[str, Any]) -> None:
    """Asserts that `by_ops` gave what the reference gives: everything exact but the embeddings."""
    found = {key: np.asarray(value) for key, value in found.items()}
    for i, data in enumerate(texts):
        found_tokens = tokenize(data, form.max_tokens, form.max_bytes, form.pair, form.hash.normalization)
        words, segments = found_tokens.with_specials()
        spare = [0] * (form.max_tokens - len(words))
        assert found["padding_mask"][i].tolist() == [1] * len(words) + spare, data
        assert found["segment_ids"][i].tolist() == segments + spare, data
        assert found["separate"][i].tolist() == [int(w == SEP) for w in words] + spare, data
        assert found["classify"][i].tolist() == [int(w == CLS) for w in words] + spare, data

        got, rows = [b""] * form.max_tokens, [-1] * form.max_tokens
        for p in np.flatnonzero(found["inside"][i]):
            slot = found["slots"][i, p]
            got[slot] += bytes([found["chars"][i, p]])
            if found["lasts"][i, p]:
                rows[slot] = found["rows"][i, p]
        plain = [b"" if w in (CLS, SEP) else w for w in words] + [b"" for _ in spare]
        assert got == plain, data
        assert rows == [_token(w, form.hash)[1] if w else -1 for w in plain], data
        assert_close(found["embeddings"][i], plain, form.hash)


def ready_arrays(tokens: Sequence[bytes], width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each token as a row of its own: chars, starts, continues, int32 `[len(tokens), width]`."""
    length = np.array([[len(token)] for token in tokens])
    inside = (np.arange(width)[None] < length).astype(np.int32)
    starts = inside * (np.arange(width)[None] == 0)
    return padded(tokens, width), starts.astype(np.int32), (inside - starts).astype(np.int32)


def signatures_by_ops(chars: Any, starts: Any, continues: Any, config: HashConfig) -> dict[str, Any]:
    """Signatures, lexicon rows and embeddings of ready tokens, each a row of int32 `[B, W]`."""
    from keras import ops

    from eelbert_tf.text import hashing

    units = hashing.token_units(chars, starts, continues, config)
    grams = hashing.ngram_signatures(units, starts, continues, len(config.widths))
    whole, lasts = hashing.word_signatures(units, starts, continues)
    embeddings = hashing.embed_tokens(chars, starts, continues, ops.zeros_like(chars), 1, config)
    found = {"word": whole, "lasts": lasts, "embeddings": embeddings[:, 0]}
    for size in (64, 2048):
        found[f"lexicon_{size}"] = hashing.lexicon_rows(chars, starts, continues, config, size)[0]
    for order, (signature, valid) in enumerate(grams, 1):
        found[f"signatures_{order}"], found[f"valid_{order}"] = signature, valid
    return found


def main(path: str) -> None:
    """Writes what JAX computes for the texts and tokens of the tests."""
    # Whoever imports the first now fails; Keras would import the others because they are there.
    sys.modules.update(dict.fromkeys(["tensorflow", "sklearn", "pandas", "matplotlib"]))
    import jax

    from eelbert_tf.models.layers import NgramHashEmbedding
    from tests.make_golden import HASHES, TOKENS

    results: dict[str, np.ndarray] = {}
    layer = jax.jit(NgramHashEmbedding(FULL, 16, 64, pair=True))
    for key, value in layer(padded(hard_texts(200), 64)).items():
        results[f"layer/{key}"] = np.asarray(value)
    layer = jax.jit(NgramHashEmbedding(FORMS["normalized pairs"].hash, 16, 64, pair=True))
    for key, value in layer(padded(hard_texts(200), 64)).items():
        results[f"normalized/{key}"] = np.asarray(value)
    compiled = jax.jit(functools.partial(signatures_by_ops, config=HASHES["all"]))
    for key, value in compiled(*ready_arrays(TOKENS, 200)).items():
        results[f"golden/{key}"] = np.asarray(value)
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
