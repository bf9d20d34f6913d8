"""One way to run any model: Keras, LiteRT, TFLite Micro."""
