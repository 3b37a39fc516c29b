"""From text to batches: download, preprocess, tokenise, encode, batch. Knows no model."""
