"""Depths as the paper counts them: it has M of 12 layers, whatever the depth that is measured here."""

from fractions import Fraction

PAPER_LAYERS = 12


def paper_depth(m: int, layers: int) -> str:
    """M of `layers` as of the paper's 12, as "6" or "2.4"."""
    return f"{float(Fraction(m * PAPER_LAYERS, layers)):.4g}"
