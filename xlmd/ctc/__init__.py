"""CTC for large vocabularies: losses, Viterbi alignments, and both straight from hidden states.

`linear_ctc_loss` and `linear_ctc_best_path` never hold the T x V table that a projection followed by `ctc_loss` would.
`CTCLoss` and `LinearCTCLoss` are the losses as modules. docs/ctc-on-its-own.md starts from torch's own
loss; docs/ctc.md has the formulas and the memory they take.
"""

from xlmd.ctc.functional import (
    BestPath,
    ctc_best_path,
    ctc_feasible,
    ctc_loss,
    linear_ctc_best_path,
    linear_ctc_loss,
)
from xlmd.ctc.modules import CTCLoss, LinearCTCLoss

__all__ = [
    "BestPath",
    "CTCLoss",
    "LinearCTCLoss",
    "ctc_best_path",
    "ctc_feasible",
    "ctc_loss",
    "linear_ctc_best_path",
    "linear_ctc_loss",
]
