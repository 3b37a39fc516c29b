"""The most probable tokens, scored a few positions at a time."""

import pytest
import torch

from xlmd.tensors import most_probable


@pytest.mark.parametrize("shape", [(5, 7), (1, 3), (12,), (0, 4)])
@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_parts_give_what_the_whole_table_does(shape, rows, monkeypatch):
    monkeypatch.setattr("xlmd.tensors._ROWS", rows)
    random = torch.Generator().manual_seed(1)
    hidden, weight = torch.randn(*shape, 6, generator=random), torch.randn(20, 6, generator=random)
    asked = []

    def logits(part):
        asked.append(len(part))
        return part @ weight.T

    tokens, log_probability = most_probable(logits, hidden, forbidden=[0, 3])
    table = (hidden @ weight.T).index_fill(-1, torch.tensor([0, 3]), float("-inf")).log_softmax(-1)
    best = table.max(-1)
    assert torch.equal(tokens, best.indices)
    torch.testing.assert_close(log_probability, best.values)
    assert max(asked) <= rows
