"""Small configurations for tests; a test that needs another one changes fields of these."""

from __future__ import annotations

from eelbert_tf.config import EelbertConfig, HashConfig

TINY = EelbertConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=20,
    hash=HashConfig(widths=(6, 5, 5)),
    max_position_embeddings=16,
    max_tokens=16,
    max_bytes=64,
)
# Everything that a hashed model can have, and more than one batch shape: (16, 128), (32, 256) and (40, 400).
RICH = TINY.replace(
    num_hidden_layers=2,
    hash=HashConfig(widths=(6, 5), boundaries=True, word_width=4, pooling="sqrtn"),
    max_position_embeddings=48,
    max_tokens=40,
    max_bytes=400,
    lexicon_size=64,
    lexicon_width=3,
)
# A model that learns from a teacher, or stands in for a preset: it reads texts of some length.
STUDENT = TINY.replace(
    intermediate_size=16, hash=HashConfig(widths=(8, 8)), max_position_embeddings=32, max_tokens=32, max_bytes=512
)
