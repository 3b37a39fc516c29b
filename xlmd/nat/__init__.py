"""What the encoder–decoder systems of the tables share."""
