"""Training speed, and baselines for comparison."""
