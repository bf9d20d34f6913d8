"""GLUE: tasks, runs, scores."""
