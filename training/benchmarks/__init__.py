"""The speed of pretraining, and trained baselines."""
