"""From texts to what a backbone takes: hashed texts, WordPiece, and their batches."""
