"""Which positions of an alignment are masked: the block-wise policy of training and the schedule of decoding (§2.3)."""

from collections.abc import Sequence

import torch

from xlmd.tensors import inside, longest_of, rank_within_blocks


def block_mask(
    lengths: torch.Tensor,
    block: int,
    generator: torch.Generator,
    count_per: str = "sentence",
    width: int | None = None,
) -> torch.Tensor:
    """The training mask of Algorithm 1, line 8: in every block k random positions, k ~ U{1..block}.

    lengths: (B,) int64, T of each sentence; width: the longest. count_per: "sentence" draws one k a sentence, "block"
    one a block. A short last block masks min(k, its length) positions. Returns (B, T) bool, True = masked, False beyond
    a length. The draws are made on the CPU, so that every device masks alike.
    """
    batch, width = lengths.numel(), longest_of(lengths, width)
    blocks = -(-width // block)
    noise = torch.rand(batch, width, generator=generator).to(lengths.device, non_blocking=True)
    columns = {"sentence": 1, "block": blocks}[count_per]
    k = torch.randint(1, block + 1, (batch, columns), generator=generator).expand(batch, blocks)
    k = k.repeat_interleave(block, dim=1)[:, :width].to(lengths.device, non_blocking=True)
    return (rank_within_blocks(noise, lengths, block) < k) & inside(lengths, width)


def committed_per_block(iteration: int, iterations: int, block: int) -> int:
    """How many positions of a block are settled after `iteration` (1-based) of `iterations`: ⌈block·t/T⌉."""
    return -(-block * iteration // iterations)


def unsettled(lengths: Sequence[int], settled: int, block: int) -> int:
    """How many positions of sentences of these lengths are left where `settled` of every block are settled."""
    return sum(n // block * (block - settled) + max(0, n % block - settled) if settled < block else 0 for n in lengths)


def decoding_block(strategy: str, iterations: int, static_block: int) -> int:
    """Positions a block at inference (Table 9): "dynamic": the number of iterations; "static": a fixed number."""
    return {"dynamic": iterations, "static": static_block}[strategy]
