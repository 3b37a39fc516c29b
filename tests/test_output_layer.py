"""The most probable tokens and log-odds, from blocks of logits."""

import pytest
import torch
from fuzz_output_layer import check

from xlmd import output_layer
from xlmd.output_layer import most_probable


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    """Lets a test change the size of the blocks."""
    monkeypatch.setattr(output_layer, "ROWS", output_layer.ROWS)
    monkeypatch.setattr(output_layer, "NARROWEST", output_layer.NARROWEST)
    monkeypatch.setattr(output_layer, "CELLS", dict(output_layer.CELLS))


def test_random_output_layers_agree_with_torch_to_the_last_token():
    for index in range(300):
        check(1, index)


@pytest.mark.parametrize("shape", [(5, 7), (1, 3), (12,), (0, 4)])
def test_positions_of_any_shape(shape):
    random = torch.Generator().manual_seed(1)
    hidden, weight = torch.randn(*shape, 6, generator=random), torch.randn(20, 6, generator=random)
    tokens, log_probability = most_probable(hidden, weight, forbidden=[0, 3])
    table = (hidden @ weight.T).index_fill(-1, torch.tensor([0, 3]), float("-inf")).log_softmax(-1)
    best = table.max(-1)
    assert torch.equal(tokens, best.indices)
    torch.testing.assert_close(log_probability, best.values)


def test_a_block_holds_no_more_than_it_may(monkeypatch):
    sizes = []
    original = output_layer._blocks

    def noted(*arguments):
        for first, logits in original(*arguments):
            sizes.append(logits.numel())
            yield first, logits

    monkeypatch.setattr(output_layer, "_blocks", noted)
    output_layer.CELLS["cpu"], output_layer.NARROWEST = 1000, 8
    for count, vocabulary in [(50, 3000), (100, 3000), (100, 6000)]:
        most_probable(torch.randn(count, 4), torch.randn(vocabulary, 4))
    assert max(sizes) <= 1000


def test_a_nan_makes_the_log_probability_nan_and_leaves_other_positions_alone():
    hidden, weight = torch.ones(2, 3), torch.eye(3)
    hidden[0, 2] = float("nan")
    _, log_probability = most_probable(hidden, weight)
    assert log_probability.isnan().tolist() == [True, False]


def test_under_autocast_the_factors_are_narrow_and_the_sums_are_not():
    hidden, weight = torch.tensor([[1 + 2**-12, 1.0]]), torch.tensor([[256.0, 0.0], [256.0, 0.5]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens, log_probability = most_probable(hidden, weight)
    assert tokens.tolist() == [1]  # 256.5 is no number of bfloat16
    torch.testing.assert_close(log_probability, torch.tensor([[256.0, 256.5]]).log_softmax(1)[:, 1])


@pytest.mark.parametrize(
    ("columns", "width", "multiple"), [(50, 16, 1), (50, 16, 8), (7, 16, 8), (48, 100, 8), (1, 5, 1)]
)
def test_blocks_cover_all_columns_and_begin_at_multiples(columns, width, multiple):
    bounds = output_layer._bounds(columns, width, multiple)
    assert bounds[0] == 0 and bounds[-1] == columns and bounds == sorted(set(bounds))
    assert all(first % multiple == 0 for first in bounds[:-1])
    assert all(end - first <= max(width, multiple) for first, end in zip(bounds, bounds[1:], strict=False))
