"""Models on disk. Knows configurations, names and arrays, and no classes."""
