"""Masking and mask-predict, the iterative decoding of CMLM and those that follow it (Ghazvininejad et al., 2019)."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from xlmd.nat.lengths import LengthBeam
from xlmd.tensors import inside, longest_of, rank_within_blocks, where_true


class MaskedDecoder(Protocol):
    """What mask-predict asks of a model: see `xlmd.nat.model.NATForTranslation`."""

    config: Any

    def embed(self, tokens: torch.Tensor) -> torch.Tensor: ...

    def decode(
        self, inputs: torch.Tensor, visible: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor: ...

    def most_probable(
        self, hidden: torch.Tensor, forbidden: Sequence[int] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


def uniform_mask(lengths: torch.Tensor, generator: torch.Generator, width: int | None = None) -> torch.Tensor:
    """The training mask (§3.1 of the CMLM paper): k random tokens of each target, k ~ U{1..J}.

    lengths: (B,) int64, J of each sentence, at least 1; width: the longest. Returns (B, J) bool, True = masked, False
    at padding. The draws are made on the CPU, so that every device masks alike.
    """
    width = longest_of(lengths, width)
    share = torch.rand(len(lengths), generator=generator, dtype=torch.float64).to(lengths.device, non_blocking=True)
    noise = torch.rand(len(lengths), width, generator=generator).to(lengths.device, non_blocking=True)
    k = 1 + (share * lengths).long()
    return rank_within_blocks(noise, lengths, width) < k.unsqueeze(1)


def masked_count(lengths: torch.Tensor, iteration: int, iterations: int) -> torch.Tensor:
    """How many tokens iteration t = 0..T−1 predicts: ⌊J·(T−t)/T⌋, at least 1 (§3.2 of the CMLM paper).

    lengths: (B,) int64, J of each sentence. Returns (B,) int64. The first iteration predicts all of them.
    """
    return (lengths * (iterations - iteration) // iterations).clamp(min=1)


def least_probable(log_probability: torch.Tensor, lengths: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The `count` (B,) least probable positions of each sentence, (B, J) bool; ties go to the earlier position.

    log_probability: (B, J) float32; lengths: (B,) int64.
    """
    return rank_within_blocks(-log_probability, lengths, log_probability.shape[1]) < count.unsqueeze(1)


@torch.inference_mode()
def mask_predict(
    model: MaskedDecoder,
    encoded: torch.Tensor,
    source_mask: torch.Tensor,
    beam: LengthBeam,
    *,
    iterations: int,
    forbidden: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of every candidate, (B·k, J) int64, and their log-probabilities, float32, 0 at padding (§3.2).

    All tokens are predicted at once; every further iteration masks the least probable ones of each candidate and
    predicts these anew, while the others keep token and probability.

    encoded: (B, I, d) from `model.encode`; source_mask: (B, I) bool. forbidden: token ids never predicted.
    """
    encoded, source_mask = beam.repeat(encoded), beam.repeat(source_mask)
    lengths = beam.lengths.cpu()  # the only values read: how many positions every iteration asks follows from them
    counts = [int(masked_count(lengths, iteration, iterations).sum()) for iteration in range(iterations)]
    masked = visible = inside(beam.lengths, int(lengths.max()))
    tokens = torch.full(visible.shape, model.config.pad_token_id, device=encoded.device)
    log_probability = torch.zeros(visible.shape, device=encoded.device)
    for iteration in range(iterations):
        if iteration:
            masked = least_probable(log_probability, beam.lengths, masked_count(beam.lengths, iteration, iterations))
        shown = tokens.masked_fill(masked, model.config.mask_token_id)
        hidden = model.decode(model.embed(shown), visible, encoded, source_mask)
        asked = where_true(masked, counts[iteration])
        predicted = model.most_probable(hidden.flatten(0, 1)[asked], forbidden)
        tokens, log_probability = (
            kept.flatten().scatter(0, asked, new).view_as(kept)
            for kept, new in zip((tokens, log_probability), predicted, strict=True)
        )
    return tokens, log_probability
