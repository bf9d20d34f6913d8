"""Training a task on labelled texts."""
