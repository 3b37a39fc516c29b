"""Decoding in a constant number of iterations (§2.3): mask, predict, commit the most probable tokens of each block."""

from collections.abc import Sequence

import torch

from xlmd.method.masking import committed_per_block, decoding_block
from xlmd.method.model import XLMDForTranslation
from xlmd.tensors import most_probable, rank_within_blocks


def collapse(alignment: torch.Tensor, lengths: torch.Tensor, blank: int) -> list[list[int]]:
    """Γ⁻¹ (§2.2): merge consecutive repeats, then drop blanks.

    alignment: (B, T) int64; lengths: (B,) int64. Returns the translations as lists of token ids.
    """
    positions = torch.arange(alignment.shape[1], device=alignment.device)
    kept = (positions < lengths.unsqueeze(1)) & (alignment != blank)
    kept[:, 1:] &= alignment[:, 1:] != alignment[:, :-1]
    return [row[keep].tolist() for row, keep in zip(alignment.cpu(), kept.cpu(), strict=True)]


@torch.inference_mode()
def iterative_refinement(
    model: XLMDForTranslation,
    source: torch.Tensor,
    source_lengths: torch.Tensor,
    *,
    iterations: int,
    strategy: str = "dynamic",
    static_block: int = 8,
    committed: str = "keep",
    forbidden: Sequence[int] = (),
    blank_penalty: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode a batch: the final alignment (B, T) int64 and its lengths (B,).

    source: (B, I) int64 with `<s> … </s>`, padded; source_lengths: (B,) int64. Layers 1..M run once, the layers above
    once an iteration (§2.4). strategy: the size of the blocks (Table 9). committed: what becomes of settled positions:
    "keep" them as they are, "repredict" their token at every iteration, or "remask": choose anew among all positions
    which ones to keep, as mask-predict does. forbidden: token ids never predicted. blank_penalty:
    subtracted from the blank's logit in every iteration: the choice of a token and its confidence are those of the
    distribution that an output bias lower by as much would give; 0 in the paper.
    """

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        table = model.logits(hidden)
        table[..., model.config.blank_token_id] -= blank_penalty
        return table

    z, lengths = model.encode(source, source_lengths)
    block = decoding_block(strategy, iterations, static_block)
    alignment = torch.full(z.shape[:2], model.config.mask_token_id, dtype=torch.long, device=z.device)
    settled = torch.zeros_like(alignment, dtype=torch.bool)
    confidence = torch.full(alignment.shape, float("-inf"), device=z.device)
    for iteration in range(1, iterations + 1):
        tokens, log_probability = most_probable(logits, model.refine(z, lengths, alignment), forbidden)
        if committed != "repredict":
            tokens = torch.where(settled, alignment, tokens)
        confidence = torch.where(settled, confidence, log_probability)
        # Settled positions rank first, unless they have to defend their place.
        priority = confidence if committed == "remask" else confidence.masked_fill(settled, float("inf"))
        settled = rank_within_blocks(priority, lengths, block) < committed_per_block(iteration, iterations, block)
        alignment = torch.where(settled, tokens, model.config.mask_token_id)
    return alignment, lengths
