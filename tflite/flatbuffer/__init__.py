"""Reading and editing TFLite files."""
