"""What is checked and measured on a machine with a GPU, in one command."""
