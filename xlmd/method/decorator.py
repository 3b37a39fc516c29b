"""The decorator of XLM-D (§2.2): all that is added to a pre-trained masked language model.

It has one trainable scalar, σ of the latent transform. All else is borrowed from the pre-trained model or fixed.
"""

import math

import torch
from torch import nn

from xlmd.tensors import longest_of

# 1.1 × 10 is 11.000000000000002 in floating point: without this small step down its ceiling would be 12.
_STEP_DOWN = 1e-6


def upsampled_lengths(lengths: torch.Tensor, ratio: float) -> torch.Tensor:
    """T = ⌈s·I⌉ of each sentence (§2.2, "the predicted output has the length s × I").

    lengths: (B,) int64, I of each sentence, specials included. ratio: s ≥ 1. Returns (B,) int64.
    """
    return torch.ceil(lengths.double() * ratio - _STEP_DOWN).long()


def upsampled_length(length: int, ratio: float) -> int:
    """The same of one length."""
    return math.ceil(length * ratio - _STEP_DOWN)


class LatentTransform(nn.Module):
    """Distance-based latent transform (§2.2): I hidden states become T = ⌈s·I⌉ vectors.

    z_j = Σ_i w_ij h_i with w_ij = softmax_i( −(i − j·I/T)² / 2σ² ), i = 1..I, j = 1..T.
    """

    def __init__(self, initial_sigma: float = 1.0) -> None:
        super().__init__()
        self.initial_sigma = initial_sigma
        self.sigma = nn.Parameter(torch.tensor(float(initial_sigma)))

    def weights(
        self,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
        source_width: int | None = None,
        target_width: int | None = None,
    ) -> torch.Tensor:
        """The attention weights w, (B, T, I) in σ's dtype, with I and T the longest of the batch, or these widths.

        source_lengths: (B,) int64, I of each sentence; target_lengths: (B,) int64, T of each sentence. Padding among
        the I gets weight 0; rows of padding among the T are valid distributions that nobody should read.
        """
        device = source_lengths.device
        i = torch.arange(1, longest_of(source_lengths, source_width) + 1, device=device)
        j = torch.arange(1, longest_of(target_lengths, target_width) + 1, device=device)
        centre = j * (source_lengths / target_lengths).unsqueeze(1)  # (B, T): j·I/T
        distance = i - centre.unsqueeze(2)  # (B, T, I)
        # The small constant keeps σ = 0 meaningful: the nearest state alone.
        scores = -distance.square() / (2 * self.sigma.float().square() + 1e-6)
        padding = i > source_lengths.unsqueeze(1)  # (B, I)
        return scores.masked_fill(padding.unsqueeze(1), float("-inf")).softmax(dim=-1).to(self.sigma.dtype)

    def forward(
        self, hidden: torch.Tensor, source_lengths: torch.Tensor, target_lengths: torch.Tensor, width: int | None = None
    ) -> torch.Tensor:
        """z: (B, T, d) from hidden: (B, I, d); width: T, if not the longest of the batch."""
        return self.weights(source_lengths, target_lengths, hidden.shape[1], width).to(hidden.dtype) @ hidden


class AddAndScale(nn.Module):
    """Position-wise add and scale (Eq. 4): z' = (z + e)·γ + p. No parameter: e and p are the MLM's own tables."""

    def __init__(self, gamma: float = 0.5) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, z: torch.Tensor, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """z: transformed states; tokens: e, the embedded alignment; positions: p; each (B, T, d) or broadcast to it."""
        return (z + tokens) * self.gamma + positions

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}"
