"""Decoding in a constant number of iterations (§2.3): mask, predict, commit the most probable tokens of each block."""

from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch

from xlmd.cuda_graphs import replayed
from xlmd.method.decorator import upsampled_length
from xlmd.method.masking import committed_per_block, decoding_block, unsettled
from xlmd.options import check, option
from xlmd.tensors import inside, rank_within_blocks, where_true


@dataclass
class XLMDDecoding:
    """Options of iterative refinement (§2.3)."""

    iterations: int = option(4, "T, the number of iterations", 1)
    strategy: Literal["dynamic", "static"] = option("dynamic", "block size: the number of iterations, or static_block")
    static_block: int = option(8, "positions a block of the static strategy (Table 9)", 1)
    committed: Literal["keep", "repredict", "remask"] = option("keep", "what becomes of positions once settled")
    blank_penalty: float = option(0.0, "subtracted from the blank's score in every iteration; 0 in the paper")

    def __post_init__(self) -> None:
        check(self)


class Engine(Protocol):
    """What runs a trained XLM-D: `XLMDForTranslation` in torch, or its exported graphs elsewhere."""

    config: Any  # an `xlmd.method.model.XLMDConfig`

    @property
    def device(self) -> torch.device: ...

    def encode(self, source: torch.Tensor, source_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """z: (B, T, d) and its lengths (B,) int64, of source (B, I) and source_lengths (B,), both int64."""

    def predict(
        self,
        z: torch.Tensor,
        lengths: torch.Tensor,
        alignment: torch.Tensor,
        positions: torch.Tensor,
        blank_penalty: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The most probable token, int64, and its log-probability, float32, each (N,), at some positions.

        z and lengths: from `encode`; alignment: (B, T) int64; positions: (N,) int64, numbers in the alignment laid
        flat. Never a special token, but for the blank, whose logit is lowered by blank_penalty.
        """


def collapse(alignment: torch.Tensor, lengths: torch.Tensor, blank: int) -> list[list[int]]:
    """Γ⁻¹ (§2.2): merge consecutive repeats, then drop blanks.

    alignment: (B, T) int64; lengths: (B,) int64. Returns the translations as lists of token ids.
    """
    positions = torch.arange(alignment.shape[1], device=alignment.device)
    kept = (positions < lengths.unsqueeze(1)) & (alignment != blank)
    kept[:, 1:] &= alignment[:, 1:] != alignment[:, :-1]
    rows = alignment.masked_fill(~kept, -1).tolist()  # what comes from a GPU comes at once
    return [[token for token in row if token >= 0] for row in rows]


@torch.inference_mode()
def iterative_refinement(
    engine: Engine, source: torch.Tensor, source_lengths: torch.Tensor, decoding: XLMDDecoding
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode a batch: the final alignment (B, T) int64, <mask> beyond a length, and its lengths (B,).

    source: (B, I) int64 with `<s> … </s>`, padded; source_lengths: (B,) int64. Layers 1..M run once, the layers above
    once an iteration (§2.4); an LT-only model, which sees no alignment, needs no second one. strategy: the size of the
    blocks (Table 9). committed: what becomes of settled positions: "keep" them as they are, "repredict" their token at
    every iteration, or "remask": choose anew among all positions which ones to keep, as mask-predict does. On a GPU a
    single sentence's iterations are a CUDA graph per length.
    """
    # The only values read before the end: from the lengths follows how much every iteration asks.
    counts = [upsampled_length(length, engine.config.upsampling_ratio) for length in source_lengths.tolist()]
    work = partial(_refined, engine, counts=counts, decoding=decoding)
    if not (source.is_cuda and len(source) == 1 and isinstance(engine, torch.nn.Module)):
        return work(source, source_lengths)
    autocast = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None
    key = (*counts, *astuple(decoding), engine.training, autocast)
    tokens, lengths = replayed(engine, key, work, source, source_lengths)
    return tokens, lengths


def _refined(
    engine: Engine, source: torch.Tensor, source_lengths: torch.Tensor, *, counts: list[int], decoding: XLMDDecoding
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `iterative_refinement`. counts: the lengths of the alignments."""
    z, lengths = engine.encode(source, source_lengths)
    iterations = decoding.iterations if engine.config.add_and_scale else 1
    block = decoding_block(decoding.strategy, iterations, decoding.static_block)
    alignment = torch.full(z.shape[:2], engine.config.mask_token_id, dtype=torch.long, device=z.device)
    settled = torch.zeros_like(alignment, dtype=torch.bool)
    confidence = torch.full(alignment.shape, float("-inf"), device=z.device)
    filled = inside(lengths, z.shape[1])
    for iteration in range(1, iterations + 1):
        anew = decoding.committed == "repredict"
        asked = filled if anew else filled & ~settled
        number = unsettled(counts, 0 if anew else committed_per_block(iteration - 1, iterations, block), block)
        positions = where_true(asked, number)
        predicted, log_probability = engine.predict(z, lengths, alignment, positions, decoding.blank_penalty)
        tokens = alignment.flatten().scatter(0, positions, predicted).view_as(alignment)
        if iteration == iterations:
            break
        latest = confidence.flatten().scatter(0, positions, log_probability).view_as(confidence)
        confidence = torch.where(settled, confidence, latest)
        # Settled positions rank first, unless they have to defend their place.
        priority = confidence if decoding.committed == "remask" else confidence.masked_fill(settled, float("inf"))
        settled = rank_within_blocks(priority, lengths, block) < committed_per_block(iteration, iterations, block)
        alignment = torch.where(settled, tokens, engine.config.mask_token_id)
    return tokens, lengths
