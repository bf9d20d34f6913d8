"""The encoder alone, in int8, for a kit whose front end is C: operators that would make numbers of a text fall away."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.text.strings import TextOrPair, to_bytes
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import Length
from eelbert_tf.tflite.flatbuffer.roots import with_roots
from eelbert_tf.tflite.kits.c_sources import Arena
from eelbert_tf.tflite.kits.front_end import HASH_SCALE, Encoder, FrontEnd, LexicalTables, Lexicon
from eelbert_tf.tflite.runtimes.interpreter import LiteRT

from .calibrate import Calibration
from .export import check_exportable, with_constant_weights
from .instructions import predict_instructions
from .micro import prepare, to_micro_float, use_products
from .quantize import quantize_rows
from .quantize_int8 import Scale, to_int8


def check_front_end(model: Any) -> None:
    """Checks that C can stand in front of a model's encoder.

    Raises:
        InputError: it cannot.
    """
    config = model.backbone.config
    reasons = {
        "takes pairs of texts": model.backbone.pair,
        "tags tokens": model.task == "tagging",
        'has a hash with the pooling "sqrtn"': config.hash is not None and config.hash.pooling != "mean",
    }
    for reason, holds in reasons.items():
        if holds:
            raise InputError(f"--front-end c: is not for a model that {reason}: leave the option out")


def to_encoder(model: Any, texts: Sequence[TextOrPair], shorter: Sequence[Length] = ()) -> Encoder:
    """An encoder in int8 for TFLite Micro, and its front end.

    Args:
        model: a classifier or sentence encoder that is only to be exported: its layers are changed.
        texts: to calibrate on.
        shorter: lengths of further graphs, for short texts.

    Raises:
        InputError: C cannot stand in front of the model's encoder.
    """
    check_exportable(model)
    check_front_end(model)
    prepare(model, "int8")
    config = model.backbone.config
    front_end = FrontEnd(config.hash, config.max_tokens, config.max_bytes, _lexicon(model.backbone), _lexical(model))
    if front_end.lexical is not None:
        model.remove_lexical()
    scales = [Scale(HASH_SCALE, 0), *([Scale(front_end.lexicon.scale, 0)] if front_end.lexicon else []), None]
    calibration = Calibration(
        [_in_float(front_end, scales, to_bytes(text)) for text in texts if not isinstance(text, tuple)]
    )
    graphs: list[Graph] = []
    # The longest comes first: ranges are measured on it.
    for slots in (config.max_tokens, *(length.tokens for length in reversed(shorter))):
        graph = to_micro_float(model, _function(model, front_end, slots))
        (signature,) = graph.model.signatureDefs
        graph.set_inputs([entry.tensorIndex for entry in sorted(signature.inputs, key=lambda entry: entry.name)])
        to_int8(graph, calibration, [], scales)
        use_products(graph)
        masks = _take_off_inputs(graph)
        if not graphs:
            front_end = dataclasses.replace(front_end, masks=masks)
        graphs.append(graph)
    graphs.reverse()
    data = with_roots(graphs)
    slots = [graph.shape(graph.inputs[0])[1] for graph in graphs]
    ops = sorted({graph.name(operator) for graph in graphs for operator in graph.operators})
    return Encoder(front_end, data, slots, ops, max(len(graph.operators) for graph in graphs))


def describe_encoder(encoder: Encoder, arena: Arena) -> dict[str, Any]:
    """What a report says of an encoder: sizes, operators, memory, and of each length the predicted instructions."""
    front_end = encoder.front_end
    runs = [predict_instructions(Graph(encoder.graph(number)), slots) for number, slots in enumerate(encoder.slots)]
    parts = (part for part in (front_end.lexicon, front_end.lexical) if part is not None)
    tables = [table for part in parts for table in vars(part).values()]
    return {
        "bytes": len(encoder.data),
        "table_bytes": sum(table.nbytes for table in tables if isinstance(table, np.ndarray)),
        "lengths": encoder.slots,
        "instructions": {core: [run[core] for run in runs] for core in runs[0]},
        "ops": encoder.ops,
        **arena.report(),
    }


def _lexicon(backbone: Any) -> Lexicon | None:
    """The rows of a model's lexicon in int8."""
    layer = backbone.lexicon
    if layer is None:
        return None
    table, scale = quantize_rows(ops.convert_to_numpy(layer.books if layer.codes else layer.table), per_row=False)
    codes = ops.convert_to_numpy(layer.code_table) if layer.codes else None
    return Lexicon(layer.size, layer.lookups, table, codes, float(scale[0]))


def _lexical(model: Any) -> LexicalTables | None:
    """The tables of a model's lexical head."""
    layer = None if model.task == EMBEDDING else model.lexical
    if layer is None:
        return None
    high, low = ops.convert_to_numpy(layer.tags).astype(np.int32).T + 128
    values, kernel = (ops.convert_to_numpy(weight) for weight in (layer.table, layer.kernel))
    tags = (high * 256 + low).astype(np.uint16)
    if not layer.config.coded:
        return LexicalTables(tags, values, kernel)
    codes = (ops.convert_to_numpy(layer.codes).astype(np.int32) + 128).astype(np.uint8)
    return LexicalTables(tags, values, kernel, codes, ops.convert_to_numpy(layer.book))


def _in_float(front_end: FrontEnd, scales: Sequence[Scale | None], text: bytes) -> tuple[np.ndarray, ...]:
    """What the float32 graph is given for a text: the int8 inputs in float32, and the mask."""
    pairs = zip(front_end.inputs(text), scales, strict=False)
    inputs = [values * np.float32(scale.scale) for values, scale in pairs if scale is not None]
    mask = (np.arange(front_end.max_tokens) < front_end.count(text)).astype(np.int32)
    return (*inputs, mask[None])


def _function(model: Any, front_end: FrontEnd, slots: int) -> Any:
    """The encoder and what follows as a TensorFlow graph: hash embeddings, rows of the lexicon, and mask to logits."""
    import tensorflow as tf

    backbone = model.backbone
    if backbone.lexicon is not None:
        backbone.lexicon.look_up = backbone.lexicon.projection  # the rows are found already
    call = with_constant_weights(model)

    def serve(*inputs: Any) -> dict[str, Any]:
        fields = {"embeddings": inputs[0], "padding_mask": inputs[-1]}
        if len(inputs) > 2:
            fields["lexicon_rows"] = inputs[1]
        return {"output": call(fields)}

    widths = [front_end.hash.size, *([front_end.lexicon.width] if front_end.lexicon else [])]
    signature = [tf.TensorSpec((1, slots, width), tf.float32, name=f"input_{i}") for i, width in enumerate(widths)]
    signature.append(tf.TensorSpec((1, slots), tf.int32, name=f"input_{len(widths)}"))
    return tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()


def _take_off_inputs(graph: Graph) -> list[np.ndarray]:
    """Makes the inputs int8, and lets what depends on the mask alone be given too.

    Returns:
        Of each input that takes the mask's place, what stands in filled and in empty slots, `[slots + 1, 2]`.
    """
    graph.prune()
    *hashed, mask = graph.inputs
    readers, given = graph.consumers(), []
    for number in hashed:
        (quantize,) = readers[number]
        given.append(int(quantize.outputs[0]))
    of_mask = {mask}
    for operator in graph.operators:
        computed = {int(i) for i in operator.inputs if i >= 0 and not graph.is_constant(int(i))}
        if computed and computed <= of_mask:
            of_mask.update(int(i) for i in operator.outputs)
    needed = [
        number for number in sorted(of_mask) if any(int(reader.outputs[0]) not in of_mask for reader in readers[number])
    ]
    tables = _tables(graph, needed)
    graph.set_inputs([*given, *needed])
    return tables


def _tables(graph: Graph, tensors: Sequence[int]) -> list[np.ndarray]:
    """Values of tensors that depend on the mask alone, by the number of filled slots.

    Raises:
        InputError: one has not the same number in all filled, and in all empty slots.
    """
    slots = graph.shape(graph.inputs[-1])[1]
    part = Graph(graph.to_bytes())
    part.set_outputs(tensors)
    run = LiteRT(part.to_bytes())
    others = [np.zeros(part.shape(number), part.dtype(number)) for number in part.inputs[:-1]]
    tables = [np.zeros((slots + 1, 2), part.dtype(number)) for number in part.outputs]
    for filled in range(1, slots + 1):
        run(*others, (np.arange(slots) < filled).astype(np.int32)[None])
        for table, number in zip(tables, run.outputs, strict=True):
            values = run.tensor(number).reshape(-1)
            table[filled] = values[0], values[-1]
            if values.size != slots or not np.array_equal(values, np.repeat(table[filled], (filled, slots - filled))):
                raise InputError("--front-end c: is not for this model: it does more with empty slots than mask them")
    return tables
