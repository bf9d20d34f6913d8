"""Texts that are hard to get right, and the comparison of a file with its model."""
