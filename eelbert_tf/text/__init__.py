"""The front end: bytes, splitting, hashing. `reference` is the specification in NumPy."""
