"""From a Keras model to a TFLite file."""
