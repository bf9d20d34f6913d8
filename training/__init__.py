"""Reading data, fine-tuning and measuring: everything between text files and trained weights."""
