"""The experiment: what is trained and decoded, where its files lie, what makes them stale. Imports no torch."""
