"""GLUE: tasks, experiments, scores, reports."""
