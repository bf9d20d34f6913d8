"""What a model is worth on labelled texts, as JSON and as one page."""
