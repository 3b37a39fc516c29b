"""Pre-trained models from elsewhere: where they come from, how they are read, and how they become a base."""
