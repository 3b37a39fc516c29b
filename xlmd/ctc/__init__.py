"""CTC for large vocabularies: losses, Viterbi alignments, and both straight from hidden states.

`linear_ctc_loss` and `linear_ctc_best_path` never hold the T x V table that a projection followed by `ctc_loss` would.
See docs/ctc.md for the formulas, the memory they take and an example.
"""

from xlmd.ctc.functional import (
    BestPath,
    ctc_best_path,
    ctc_feasible,
    ctc_loss,
    linear_ctc_best_path,
    linear_ctc_loss,
)

__all__ = [
    "BestPath",
    "ctc_best_path",
    "ctc_feasible",
    "ctc_loss",
    "linear_ctc_best_path",
    "linear_ctc_loss",
]
