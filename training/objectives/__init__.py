"""What a pretraining step learns from."""
