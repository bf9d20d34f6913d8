"""Pretraining runs: settings, folder, loop, checkpoints."""
