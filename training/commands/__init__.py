"""The commands that train: each has `add_arguments` and `run`."""
