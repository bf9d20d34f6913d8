"""Keras layers and models: the encoder and the tasks on top of it."""
