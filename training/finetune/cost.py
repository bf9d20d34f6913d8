"""What a model will cost on a device: the size of its file, and its time for a text."""

from __future__ import annotations

from typing import Any

from eelbert_tf.config import EelbertConfig

# Of docs/benchmarks.md: LiteRT, one thread of an x86-64 core, int8 weights. The front end takes time per token slot,
# the encoder per operation.
_MS_PER_SLOT = 0.0007
_MS_PER_MILLION_OPERATIONS = 0.0024

# Bytes of a file beside its weights: operators, those of shorter lengths among them, and scales of int8 weights.
_GRAPH_BYTES = 45_000
_SCALES_BYTES = 20_000


def operations(config: EelbertConfig, slots: int) -> int:
    """Multiplications and additions of dense layers and matrix products for one text.

    Args:
        config: of the encoder.
        slots: token slots.
    """
    size = config.hidden_size
    per_slot = 4 * size * size + 2 * slots * size + 2 * size * config.intermediate_size
    return 2 * config.num_hidden_layers * slots * per_slot


def expected_cost(config: EelbertConfig, parameters: int) -> dict[str, Any]:
    """Estimates for a report; `eelbert convert` and `eelbert evaluate` measure.

    Args:
        config: of the encoder.
        parameters: learned numbers, those of the head included.

    Returns:
        `parameters`, `float32_bytes`, `int8_bytes`, `ms` of a text that fills the model's slots, and what `ms` is.
    """
    slots = config.max_tokens
    ms = _MS_PER_SLOT * slots + _MS_PER_MILLION_OPERATIONS * operations(config, slots) / 1e6
    return {
        "parameters": parameters,
        "float32_bytes": 4 * parameters + _GRAPH_BYTES,
        "int8_bytes": parameters + _GRAPH_BYTES + _SCALES_BYTES,
        "ms": round(ms, 3),
        "ms_note": f"a text of {slots} tokens, estimated for one thread of an x86-64 core",
    }
