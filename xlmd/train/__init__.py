"""Training: one loop for every model, its checkpoints and processes, and the runs made with it."""
