"""From a corpus's words to batches of tokens: masking, hashed words, WordPiece."""
