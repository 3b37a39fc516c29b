"""The page of xlmd.ctc is right: its programs run, in their order, and what it says of torch's loss holds."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from xlmd.ctc import ctc_loss

PAGE = Path(__file__).parents[1] / "docs/ctc-on-its-own.md"


def test_the_programs_of_the_page_run_one_after_the_other():
    torch.manual_seed(0)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["head"].weight.grad.ne(0).any()


def test_a_target_that_does_not_fit_spoils_torchs_gradient_and_not_ours():
    scores = torch.randn(1, 2, 3, requires_grad=True)
    lattice = torch.tensor([[1, 1]]), torch.tensor([2]), torch.tensor([2])
    table = scores.log_softmax(-1)
    theirs = nn.functional.ctc_loss(table.transpose(0, 1), *lattice)
    for loss, spoilt in ((theirs, True), (ctc_loss(table, *lattice), False)):
        assert loss.isinf()
        gradient = torch.autograd.grad(loss, scores, retain_graph=True)[0]
        assert gradient.isnan().any() if spoilt else gradient.eq(0).all()


def ours_with_time_first(table, *lattice):
    return ctc_loss(table.transpose(0, 1), *lattice)


@pytest.mark.parametrize("loss", [nn.functional.ctc_loss, ours_with_time_first])
def test_neither_loss_has_a_second_derivative(loss):
    scores = torch.randn(1, 3, 3, dtype=torch.float64, requires_grad=True)
    lattice = torch.tensor([[1]]), torch.tensor([3]), torch.tensor([1])
    (gradient,) = torch.autograd.grad(loss(scores.log_softmax(-1).transpose(0, 1), *lattice), scores, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(gradient.square().sum(), scores)
