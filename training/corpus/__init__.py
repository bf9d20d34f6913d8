"""Text for pretraining: sources, counting, shards, sentences."""
