"""What the application needs of the system: files, tables, the terminal, reports."""
