"""From a Keras classifier to TFLite: the model's own `call`, on the bytes of one text."""

from __future__ import annotations

from typing import Any

import keras

from eelbert_tf.errors import InputError

INPUT_NAME, OUTPUT_NAME, SIGNATURE = "bytes", "logits", "serving_default"


def to_concrete_function(model: Any) -> Any:
    """The model as a TensorFlow graph with its weights as constants: int32 `[1, L]` to float32 `[1, C]`."""
    import tensorflow as tf

    # Constants, not variables: the converter would keep variables as resources, or lose them.
    trainable, others = (
        [tf.constant(keras.ops.convert_to_numpy(v.value)) for v in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    )

    def serve(bytes: Any) -> dict[str, Any]:
        logits, _ = model.stateless_call(trainable, others, bytes, training=False)
        return {OUTPUT_NAME: logits}

    shape = (1, model.backbone.config.max_bytes)
    signature = [tf.TensorSpec(shape, tf.int32, name=INPUT_NAME)]
    return tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()


def to_tflite(model: Any) -> bytes:
    """A float32 TFLite file of a classifier.

    Args:
        model: an `EelbertClassifier`, with `max_tokens` and `max_bytes` of its configuration as the file shall have.

    Raises:
        InputError: Keras runs on another backend than TensorFlow, or the model has a vocabulary.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Conversion needs Keras on TensorFlow; it runs on {keras.backend.backend()}. Set KERAS_BACKEND=tensorflow"
        )
    if model.backbone.config.hash is None:
        raise InputError("A model with a vocabulary takes token ids, not bytes; only hashed models can be converted")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([to_concrete_function(model)], model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()
