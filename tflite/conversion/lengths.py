"""Shorter graphs of a model in the same file, for texts that fill only a part of its slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eelbert_tf.errors import InputError
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.merge import share_rows
from eelbert_tf.tflite.flatbuffer.metadata import Length

from .export import to_tflite

# Token slots of shorter graphs by default, where the whole has more: a sentence has 10 to 25 tokens. With fewer than 16
# the number of operators decides how long a graph takes.
DEFAULT_TOKENS = (16, 24, 32, 64, 128, 256)
# Bytes that a shorter graph reads, for each of its slots; English has about five.
BYTES_PER_TOKEN = 6
LEAST_TOKENS = 4  # that a model takes: [CLS], [SEP], and two more


def shorter_lengths(given: Sequence[int] | None, whole: Length) -> list[Length]:
    """The lengths of a file's shorter graphs, the shortest first.

    Args:
        given: token slots, those of the whole among them or not; by default `DEFAULT_TOKENS`.
        whole: the length of the longest graph.

    Raises:
        InputError: a number is no length for this model.
    """
    if given is None:
        given = [tokens for tokens in DEFAULT_TOKENS if tokens < whole.tokens]
    for tokens in given:
        if isinstance(tokens, bool) or not isinstance(tokens, int) or not LEAST_TOKENS <= tokens <= whole.tokens:
            raise InputError(
                f"--lengths: expected whole numbers from {LEAST_TOKENS} to {whole.tokens}, the model's token slots "
                f"(--max-tokens). Received: {tokens!r:.100}"
            )
    chosen = sorted(set(given) - {whole.tokens})
    return [Length(tokens, min(whole.bytes, BYTES_PER_TOKEN * tokens)) for tokens in chosen]


def to_graphs(model: Any, shorter: Sequence[Length]) -> list[Graph]:
    """Float32 graphs of a model for the target "mobile": of its own length, then of shorter ones.

    Args:
        model: as `to_tflite` takes it.
        shorter: what `shorter_lengths` gives.
    """
    graphs = [to_tflite(model)]
    layer, config = model.backbone.hash_embedding, model.backbone.config
    for length in shorter:
        layer.max_tokens, layer.max_bytes = length
        limits = {"max_tokens": length.tokens, "max_bytes": length.bytes, "max_windows": 1, "window_overlap": 0}
        model.backbone.config = config.replace(**limits)
        graphs.append(to_tflite(model))
        share_rows(graphs[-1], graphs[0])
    return graphs
