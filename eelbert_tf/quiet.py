"""Imported before what loads TensorFlow, has it start without messages: `import eelbert_tf.quiet`."""

from eelbert_tf.disk.terminal import start_quietly

start_quietly()
