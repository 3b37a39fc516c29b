"""The CTC losses as modules, in the manner of `torch.nn.CTCLoss`: options once, tensors at each call.

Tensors and options are those of `xlmd.ctc.functional`: batch first, targets padded. docs/ctc-on-its-own.md shows what
to change in a program that has torch's.
"""

import math

import torch
from torch import Tensor, nn

from xlmd.ctc.checks import check_reduction, require
from xlmd.ctc.functional import (
    BestPath,
    Lengths,
    Reduction,
    ctc_loss,
    linear_ctc_best_path,
    linear_ctc_loss,
)


class CTCLoss(nn.Module):
    """`torch.nn.CTCLoss` with its options and their defaults, from a table of log-probabilities that is batch first.

    blank: the label of the blank. reduction: "none", "sum" or "mean", which divides each loss by its target's length
    before averaging. zero_infinity: the loss of a target that is too long for its input is 0 instead of inf; its
    gradient is 0 in either case. Raises ValueError for another reduction.
    """

    def __init__(self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        check_reduction(reduction)
        self.blank = blank
        self.reduction = reduction
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths) -> Tensor:
        """log_probs (B, T, V) floating point, targets (B, L) int64, lengths (B,): the loss, () or, unreduced, (B,).

        Raises ValueError as `ctc_loss`.
        """
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )

    def extra_repr(self) -> str:
        return f"blank={self.blank}, reduction={self.reduction!r}, zero_infinity={self.zero_infinity}"


class LinearCTCLoss(nn.Module):
    """`torch.nn.Linear`, log-softmax and `CTCLoss` in one, without the table of positions times vocabulary.

    Its parameters are those of `nn.Linear(in_features, out_features)`: weight (V, d) and bias (V,), of the same names
    and first values, so either loads the other's state. A weight is tied as any: `head.weight = embedding.weight`.
    The options are those of `CTCLoss`. Raises ValueError as that.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        require(0 <= blank < out_features, f"blank must be a column 0..{out_features - 1}, got {blank}")
        self.in_features = in_features
        self.out_features = out_features
        self.blank = blank
        self.reduction = reduction
        self.zero_infinity = zero_infinity
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Both uniform within ±1/√d, as `nn.Linear` has them, drawn in the same order."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, hidden: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths) -> Tensor:
        """hidden (B, T, d) floating point, targets (B, L) int64, lengths (B,): the loss, () or, unreduced, (B,).

        Raises ValueError as `linear_ctc_loss`.
        """
        return linear_ctc_loss(
            hidden,
            self.weight,
            targets,
            input_lengths,
            target_lengths,
            bias=self.bias,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )

    def log_prob(self, hidden: Tensor) -> Tensor:
        """The table that the loss does without, to decode from: hidden (..., d) -> (..., V)."""
        return nn.functional.linear(hidden, self.weight, self.bias).log_softmax(-1)

    def best_path(self, hidden: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths) -> BestPath:
        """The best alignment of each target; see `linear_ctc_best_path`."""
        return linear_ctc_best_path(
            hidden, self.weight, targets, input_lengths, target_lengths, bias=self.bias, blank=self.blank
        )

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{sizes}, blank={self.blank}, reduction={self.reduction!r}, zero_infinity={self.zero_infinity}"
