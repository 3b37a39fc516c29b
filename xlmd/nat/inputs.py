"""What a non-autoregressive decoder reads where it knows no target token: the source, spread over the target's length.

Each function takes vectors of the source, (B, I, d), its lengths and those of the target, (B,) int64, at least 1, and
returns (B, J, d) with J the longest target. Padding of the source never enters; rows beyond a target's length are of no
meaning. Positions count from 0: those of a sentence start where its words do.
"""

import torch
from torch import nn

from xlmd.tensors import inside


def uniform_copy(vectors: torch.Tensor, source_lengths: torch.Tensor, target_lengths: torch.Tensor) -> torch.Tensor:
    """Position j takes the source's position ⌊j·(I−1)/(J−1) + ½⌋: first to first, last to last (Gu et al., 2018)."""
    steps, last = (target_lengths - 1).clamp(min=1).unsqueeze(1), (source_lengths - 1).unsqueeze(1)
    j = torch.arange(int(target_lengths.max()), device=vectors.device).minimum(steps)
    i = (2 * j * last + steps) // (2 * steps)  # in integers: no rounding that differs between devices
    return vectors.gather(1, i.unsqueeze(2).expand(-1, -1, vectors.shape[2]))


def soft_copy(
    vectors: torch.Tensor, source_lengths: torch.Tensor, target_lengths: torch.Tensor, temperature: float = 0.3
) -> torch.Tensor:
    """Position j takes Σ_i softmax_i( −|i − j| / τ ) of the source (Wei et al., 2019)."""
    i, j = _grid(vectors, target_lengths)
    return _weighted(-(i - j).abs() / temperature, vectors, source_lengths)


def interpolate(
    vectors: torch.Tensor, source_lengths: torch.Tensor, target_lengths: torch.Tensor, temperature: float = 0.3
) -> torch.Tensor:
    """Position j takes Σ_i softmax_i( −(i − j·I/J)² / τ ) of the source, i = 1..I, j = 1..J."""
    i, j = _grid(vectors, target_lengths)
    centre = (j + 1) * (source_lengths / target_lengths)[:, None, None]
    return _weighted(-((i + 1 - centre) ** 2) / temperature, vectors, source_lengths)


class AttentionCopy(nn.Module):
    """Position j takes Σ_i softmax_i( W·p_j · (x_i + p_i) ) of the source, W learned, p the position embeddings.

    The input of GLAT's decoder in its authors' code (Qian et al., 2021).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)

    def forward(
        self,
        vectors: torch.Tensor,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
        source_positions: torch.Tensor,
        target_positions: torch.Tensor,
    ) -> torch.Tensor:
        """source_positions: (I, d); target_positions: (J, d)."""
        keys = (vectors + source_positions).transpose(1, 2)  # (B, d, I)
        return _weighted(self.query(target_positions) @ keys, vectors, source_lengths)


def _grid(vectors: torch.Tensor, target_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """i (1, 1, I) and j (1, J, 1), from 0."""
    i = torch.arange(vectors.shape[1], device=vectors.device)
    return i[None, None, :], torch.arange(int(target_lengths.max()), device=vectors.device)[None, :, None]


def _weighted(scores: torch.Tensor, vectors: torch.Tensor, source_lengths: torch.Tensor) -> torch.Tensor:
    """softmax of the scores (B or 1, J, I) over what is not padding, times the vectors."""
    seen = inside(source_lengths, vectors.shape[1]).unsqueeze(1)
    scores = scores.masked_fill(~seen, float("-inf"))
    return scores.softmax(dim=-1).to(vectors.dtype) @ vectors
