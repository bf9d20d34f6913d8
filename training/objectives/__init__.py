"""Objectives: what a pretraining step learns from."""
