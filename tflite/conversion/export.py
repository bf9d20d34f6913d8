"""From a Keras model to TFLite, by tracing the model's own `call` on the bytes of one text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.errors import InputError
from eelbert_tf.scores import EMBEDDING
from eelbert_tf.tflite.flatbuffer.graph import Graph

Tensor = Any

INPUT_NAME, OUTPUT_NAME = "bytes", "logits"


def with_constant_weights(model: Any) -> Callable[[Any], Any]:
    """A function that calls a Keras model with its weights as constants, because the converter would lose variables."""
    import tensorflow as tf

    weights = [
        [tf.constant(ops.convert_to_numpy(variable.value)) for variable in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    return lambda inputs: model.stateless_call(*weights, inputs, training=False)[0]


def to_concrete_function(model: Any) -> Any:
    """The model as a TensorFlow graph with its weights as constants: int32 `[1, L]` to float32 `[1, C]`.

    A tagger gives what its call does.
    """
    import tensorflow as tf

    call, name = with_constant_weights(model), EMBEDDING if model.task == EMBEDDING else OUTPUT_NAME

    def serve(bytes: Any) -> dict[str, Any]:
        found = call(bytes)
        return found if isinstance(found, dict) else {name: found}

    shape = (1, model.backbone.config.max_bytes)
    signature = [tf.TensorSpec(shape, tf.int32, name=INPUT_NAME)]
    return tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()


def normalize(layer: keras.layers.LayerNormalization, x: Tensor) -> Tensor:
    """Layer normalisation in few operators; it subtracts the mean first, so that no intermediate value is large."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(centred * centred, axis=-1, keepdims=True)
    return centred * ops.rsqrt(variance + layer.epsilon) * layer.gamma + layer.beta


def simplify_norms(model: Any) -> None:
    """Makes the layers of a model that will only be exported use `normalize`."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.LayerNormalization):
            layer.call = functools.partial(normalize, layer)


def to_tflite(model: Any) -> Graph:
    """A float32 TFLite graph of a model for phones, browsers and computers.

    Args:
        model: a classifier, tagger or sentence encoder that is only to be exported: the form of its layers is changed.
            The file has the `max_tokens` and `max_bytes` of its configuration.

    Raises:
        InputError: Keras runs on another backend than TensorFlow, or the model has a vocabulary.
    """
    check_exportable(model)
    model.backbone.scatter_codes = True
    for layer in (model.backbone.hash_embedding, model.backbone.lexicon):
        if layer is not None:
            layer.scatter = True
    simplify_norms(model)
    graph = Graph(translate(model, to_concrete_function(model)))
    order_outputs(graph)
    merge_added_constants(graph)
    drop_selects(graph)
    return graph


def check_exportable(model: Any) -> None:
    """Checks that Keras runs on TensorFlow and that the model is a hashed one.

    Raises:
        InputError: it is not.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Conversion needs Keras on TensorFlow; it runs on {keras.backend.backend()}. Set KERAS_BACKEND=tensorflow"
        )
    if model.backbone.config.hash is None:
        raise InputError("A model with a vocabulary takes token ids, not bytes; only hashed models can be converted")


def translate(model: Any, function: Any, fuse_scales: bool = True) -> bytes:
    """A TensorFlow graph of a model, without variables, as a TFLite file of builtin operators.

    Args:
        model: what the graph is of.
        function: the graph.
        fuse_scales: whether the scale of a normalisation becomes part of the dense layers after it.
    """
    import tensorflow as tf

    # The function has all that it needs: beside it the converter would save and load the whole model.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if not fuse_scales or model.backbone.config.num_hidden_groups is not None:
        # Otherwise the weights of shared layers would differ by the scale of the norm before each use.
        converter._experimental_disable_fuse_mul_and_fc = True
    return converter.convert()


def order_outputs(graph: Graph) -> None:
    """Puts a tagger's outputs in the order that runtimes read them: tags, positions, and the class of the whole."""

    def place(tensor: int) -> int:
        return 1 if not graph.is_float(tensor) else 0 if len(graph.shape(tensor)) == 3 else 2

    graph.reorder_outputs(sorted(graph.outputs, key=place))


def merge_added_constants(graph: Graph) -> None:
    """Adds up the constants of a chain of additions: positions, segment and [CLS] become one table."""
    producers, consumers = graph.producers(), graph.consumers()
    for last in graph.operators:
        if graph.name(last) != "ADD" or not graph.is_float(int(last.outputs[0])):
            continue
        size, chain, added = graph.shape(int(last.outputs[0])), [last], []
        while (before := producers.get(int(chain[-1].inputs[0]))) is not None:
            output = int(before.outputs[0])
            if graph.name(before) != "ADD" or graph.shape(output) != size or len(consumers[output]) > 1:
                break
            chain.append(before)
        for add in chain:
            values = graph.constant(int(add.inputs[1]))
            if values is not None and _is_linear(add):
                added.append((add, values))
        for add, _ in added[1:]:  # its result is what it was given
            for reader in consumers[int(add.outputs[0])]:
                graph.replace(reader, int(add.outputs[0]), int(add.inputs[0]))
        if len(added) > 1:
            total = functools.reduce(np.add, [values for _, values in added])
            added[0][0].inputs = np.array([added[0][0].inputs[0], graph.add_constant(total)], np.int32)
            producers, consumers = graph.producers(), graph.consumers()


def drop_selects(graph: Graph) -> None:
    """Removes Keras's handling of negative indices before lookups: no index here is negative.

    It uses SELECT, which TFLite Micro lacks.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for select in graph.operators:
        if graph.name(select) != "SELECT":
            continue
        condition, _, index = (int(i) for i in select.inputs)
        zero = graph.constant(int(producers[condition].inputs[1]))
        readers = consumers[int(select.outputs[0])]
        if graph.name(producers[condition]) == "LESS" and zero is not None and not zero.any():
            for reader in readers:
                if graph.name(reader) == "GATHER":
                    graph.replace(reader, int(select.outputs[0]), index)


def _is_linear(add: Any) -> bool:
    return not add.builtinOptions.fusedActivationFunction
