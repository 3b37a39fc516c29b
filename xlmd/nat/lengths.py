"""The target's length: predicting it from the source, its loss, and trying several lengths of each sentence."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional as F

from xlmd.options import check, option
from xlmd.tensors import inside

if TYPE_CHECKING:
    from xlmd.nat.model import NATConfig


@dataclass
class LengthBeamDecoding:
    """Options of decoding that try several target lengths (Ghazvininejad et al., 2019, §3.3)."""

    length_beam: int = option(1, "how many target lengths are tried; 1 is the most probable one", 1)
    length_candidates: Literal["most_probable", "neighbours"] = option(
        "most_probable", "which ones: the most probable, or the most probable one and those around it"
    )

    def __post_init__(self) -> None:
        check(self)


class LengthHead(nn.Linear):
    """Scores of the target's length from the source's states.

    config.length: "absolute" lengths 1..max_position_embeddings, or "offset", J − I from −length_range to length_range.
    config.length_pooling: the state at `<s>` ("first") or the mean of all states. Lengths are of bare sentences.
    """

    def __init__(self, config: "NATConfig") -> None:
        absolute, longest = config.length == "absolute", config.max_position_embeddings
        super().__init__(config.d_model, longest if absolute else 2 * config.length_range + 1, bias=False)
        self.absolute, self.longest, self.range = absolute, longest, config.length_range
        self.pooling, self.detached = config.length_pooling, config.length_detached

    def forward(self, encoded: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(B, classes) from states (B, I, d) and source_mask (B, I) bool."""
        if self.detached:
            encoded = encoded.detach()
        if self.pooling == "first":
            return super().forward(encoded[:, 0])
        inside = source_mask.unsqueeze(2)
        return super().forward(encoded.masked_fill(~inside, 0).sum(1) / inside.sum(1))

    def classes(self, target_lengths: torch.Tensor, source_lengths: torch.Tensor) -> torch.Tensor:
        """The class (B,) int64 of each length (B,); a difference out of range is that at its end."""
        if self.absolute:
            return target_lengths - 1
        return (target_lengths - source_lengths + self.range).clamp(0, 2 * self.range)

    def loss(self, logits: torch.Tensor, target_lengths: torch.Tensor, source_lengths: torch.Tensor) -> torch.Tensor:
        """The mean cross entropy of the lengths, a scalar; logits: (B, classes); lengths: (B,) int64."""
        return F.cross_entropy(logits.float(), self.classes(target_lengths, source_lengths))

    def beam(self, logits: torch.Tensor, source_lengths: torch.Tensor, decoding: LengthBeamDecoding) -> "LengthBeam":
        """The lengths that decoding tries: `decoding.length_beam` of them per sentence, or all if there are fewer."""
        logits = logits.float()
        size = min(decoding.length_beam, logits.shape[1])
        if decoding.length_candidates == "most_probable":
            chosen = logits.topk(size, dim=-1).indices
        else:
            # 0, 1, −1, 2, −2, … from the most probable class, moved so that all are classes
            around = torch.arange(size, device=logits.device)
            around = torch.where(around % 2 == 1, around + 1, -around) // 2
            lowest, highest = (size - 1) // 2, logits.shape[1] - 1 - size // 2
            chosen = logits.argmax(dim=-1, keepdim=True).clamp(lowest, highest) + around
        lengths = chosen + 1 if self.absolute else chosen - self.range + source_lengths.unsqueeze(1)
        return LengthBeam(lengths.clamp(1, self.longest).flatten(), size)


@dataclass
class LengthBeam:
    """Candidates of different lengths, those of a sentence side by side.

    lengths: (B·size,) int64; size: candidates per sentence.
    """

    lengths: torch.Tensor
    size: int

    @property
    def visible(self) -> torch.Tensor:
        """What is not padding: (B·size, longest) bool."""
        return inside(self.lengths)

    def repeat(self, tensor: torch.Tensor) -> torch.Tensor:
        """Of each sentence (B, …) one for each of its candidates: (B·size, …)."""
        return tensor.repeat_interleave(self.size, dim=0)

    def winners(self, log_probability: torch.Tensor, divisor: torch.Tensor | None = None) -> torch.Tensor:
        """The number of each sentence's candidate with the highest score, (B,) int64 below B·size.

        log_probability: (B·size, J) float32, 0 at padding. A candidate's score is their sum over `divisor` (B·size,),
        or over its length: the mean.
        """
        score = log_probability.sum(dim=1) / (self.lengths if divisor is None else divisor)
        best = score.view(-1, self.size).argmax(dim=1)
        return best + self.size * torch.arange(len(best), device=best.device)

    def best(
        self, tokens: torch.Tensor, log_probability: torch.Tensor, divisor: torch.Tensor | None = None
    ) -> list[list[int]]:
        """The tokens of the candidate with the highest score of each sentence.

        tokens: (B·size, J) int64; log_probability, divisor: as for `winners`.
        """
        best = self.winners(log_probability, divisor)
        chosen = zip(tokens[best].tolist(), self.lengths[best].tolist(), strict=True)
        return [row[:length] for row, length in chosen]
