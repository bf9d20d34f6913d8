"""Throughput of the string front end: tf.string texts to hashed embeddings."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

METHOD = (
    "Texts as tf.string, sorted by length, in batches of 256, to float32 embeddings by NgramHashEmbedding in a "
    "tf.function (decode_raw, split, hash), each batch as wide as its longest text, to the next 32 bytes and 8 token "
    "slots. Tokens are counted by the layer's own padding mask, [CLS] and [SEP] included. A round is one pass over the "
    "texts, after one that traces; the median round is reported, by the clock, all cores in use."
)
BATCH = 256


def run_suite(texts: Sequence[str], rounds: int = 5) -> dict[str, Any]:
    """Measures tokens per second of the default hash.

    Args:
        texts: real texts; few of them are repeated up to 20,000.
        rounds: timed passes.

    Returns:
        The method, the counts, and tokens per second: median, lowest and highest.
    """
    import tensorflow as tf

    from eelbert_tf.config import named_config
    from eelbert_tf.models.layers import NgramHashEmbedding
    from eelbert_tf.preprocessing.hashed_texts import EncodedBytes
    from eelbert_tf.text.strings import decode_strings

    texts = list(texts) * max(1, 20000 // len(texts))
    config = named_config("eelbert_uno")
    encoded = EncodedBytes(texts, config.max_tokens, config.max_bytes)
    order = np.argsort([len(row) for row in encoded.rows], kind="stable")[: len(texts) // BATCH * BATCH]
    tokens = int(encoded.token_counts[order].sum())
    batches: dict[tuple[int, int], list[np.ndarray]] = {}  # by shape: each is compiled once
    for members in order.reshape(-1, BATCH):
        width = -len(encoded.rows[members[-1]]) // 32 * -32
        slots = -int(encoded.token_counts[members].max()) // 8 * -8
        batches.setdefault((min(slots, config.max_tokens), min(width, config.max_bytes)), []).append(members)
    calls = []
    for (slots, width), groups in batches.items():
        layer = NgramHashEmbedding(config.hash, slots, config.max_bytes)
        embed = tf.function(
            lambda strings, layer=layer, width=width: layer(decode_strings(strings, width))["embeddings"]
        )
        calls += [partial(embed, tf.constant([texts[i] for i in members])) for members in groups]
    rates = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        for call in calls:
            call()
        rates.append(tokens / (time.perf_counter() - begin))
    rates = rates[1:]
    return {
        "method": METHOD,
        "texts": len(texts),
        "tokens": tokens,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "tokens_per_second": round(float(np.median(rates))),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
    }
