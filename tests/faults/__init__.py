"""The fault campaign: what goes wrong is told, and nothing is lost. `python -m tests.faults --help`."""
