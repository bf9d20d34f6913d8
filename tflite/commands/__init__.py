"""Sub-commands of `eelbert` that convert and run models."""
