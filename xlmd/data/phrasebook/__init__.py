"""The phrasebook: parallel text in real languages, generated from sampled meanings and each language's own grammar."""
