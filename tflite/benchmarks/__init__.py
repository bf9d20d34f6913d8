"""Speed, size and memory on devices, beside baselines in the same run."""
