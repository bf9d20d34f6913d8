"""Sources that an application compiles: C, Java, JavaScript."""
