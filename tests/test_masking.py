import pytest
import torch

from xlmd.method.masking import block_mask, committed_per_block, decoding_block
from xlmd.tensors import rank_within_blocks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_block_of_a_sentence_hides_the_same_number_of_positions():
    lengths = torch.tensor([24, 16])
    mask = block_mask(lengths, 8, generator())
    for row, length in zip(mask, [24, 16], strict=True):
        per_block = row[:length].view(-1, 8).sum(dim=1)
        assert (per_block == per_block[0]).all() and 1 <= per_block[0] <= 8
        assert not row[length:].any()


def test_a_short_last_block_hides_at_most_its_length():
    for seed in range(50):
        mask = block_mask(torch.tensor([11]), 8, generator(seed))[0]
        assert mask[8:].sum() == min(mask[:8].sum(), 3)


def test_k_is_uniform_between_one_and_the_block():
    lengths = torch.full((4000,), 8)
    counts = torch.bincount(block_mask(lengths, 8, generator()).sum(dim=1), minlength=9)
    assert counts[0] == 0
    assert (counts[1:] - 500).abs().max() < 100  # 4.8 standard deviations


def test_every_position_is_hidden_equally_often():
    share = block_mask(torch.full((4000,), 8), 8, generator()).float().mean(dim=0)
    assert (share - 4.5 / 8).abs().max() < 0.04


def test_counts_may_differ_between_blocks_if_asked():
    mask = block_mask(torch.full((50,), 64), 8, generator(), count_per="block").view(50, 8, 8).sum(-1)
    assert (mask != mask[:, :1]).any()


def test_the_mask_is_a_function_of_the_generator_alone():
    lengths = torch.tensor([30, 17])
    assert torch.equal(block_mask(lengths, 8, generator(3)), block_mask(lengths, 8, generator(3)))


def test_ranks_count_from_the_highest_priority_of_each_block():
    ranks = rank_within_blocks(torch.tensor([[0.1, 0.9, 0.5, 0.2, 0.2]]), torch.tensor([5]), 3)
    assert ranks.tolist() == [[2, 0, 1, 0, 1]]


def test_padding_ranks_last():
    ranks = rank_within_blocks(torch.tensor([[0.1, 0.2, 9.0, 9.0]]), torch.tensor([2]), 4)
    assert ranks[0, :2].tolist() == [1, 0]


@pytest.mark.parametrize(("block", "iterations"), [(4, 4), (8, 2), (8, 4), (8, 8), (8, 3), (3, 8)])
def test_a_block_is_settled_steadily_and_completely(block, iterations):
    settled = [committed_per_block(i, iterations, block) for i in range(1, iterations + 1)]
    assert settled == sorted(settled) and settled[0] >= 1 and settled[-1] == block
    if block % iterations == 0:
        assert settled == [block // iterations * i for i in range(1, iterations + 1)]


def test_static_and_dynamic_are_the_same_at_eight_iterations():
    """Table 9."""
    assert decoding_block("static", 8, 8) == decoding_block("dynamic", 8, 8) == 8
    assert decoding_block("dynamic", 2, 8) == 2
