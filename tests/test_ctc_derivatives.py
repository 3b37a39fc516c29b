"""CTC's derivatives: a first one by reverse mode; every way of asking for another is an error, never a wrong number."""

import pytest
import torch
from torch.autograd import forward_ad, functional

from xlmd.ctc import ctc_best_path, ctc_feasible, ctc_loss, linear_ctc_best_path, linear_ctc_loss

TARGETS, INPUTS, LABELS = torch.tensor([[1, 2], [1, 0]]), torch.tensor([4, 3]), torch.tensor([2, 1])
WEIGHT = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def table_loss(scores):
    return ctc_loss(scores.log_softmax(-1), TARGETS, INPUTS, LABELS)


def linear_loss(mode, reduction="mean"):
    return lambda hidden: linear_ctc_loss(
        hidden, WEIGHT.to(hidden.dtype), TARGETS, INPUTS, LABELS, mode=mode, reduction=reduction
    ).sum()


LOSSES = {
    "table": (table_loss, 3),
    "rows": (linear_loss("rows"), 5),
    "vocab": (linear_loss("vocab"), 5),
    "none": (linear_loss("rows", "none"), 5),
}
losses = pytest.mark.parametrize("name", LOSSES)
types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def case(name, dtype=torch.float64):
    loss, columns = LOSSES[name]
    return loss, torch.randn(2, 4, columns, dtype=dtype, generator=torch.Generator().manual_seed(0))


@losses
@types
@pytest.mark.parametrize(
    "outer",
    [lambda loss: loss, lambda loss: loss**2, lambda loss: loss * torch.ones((), requires_grad=True)],
    ids=["constant", "of the loss", "of another"],
)
def test_a_gradient_that_is_differentiated_is_refused_whatever_the_incoming_gradient_depends_on(name, dtype, outer):
    loss, x = case(name, dtype)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(outer(loss(x)), x, create_graph=True)
    with pytest.raises(RuntimeError, match="CTC has no second derivative"):
        torch.autograd.grad(gradient.square().sum(), x)


@losses
@pytest.mark.parametrize("strict", [True, False])
def test_a_hessian_is_refused(name, strict):
    with pytest.raises(RuntimeError, match="CTC has no second derivative"):
        functional.hessian(*case(name), strict=strict)


def test_the_gradient_of_a_weight_is_refused_a_second_time_too():
    hidden = torch.randn(2, 4, 5)
    for part in (WEIGHT.float().requires_grad_(), torch.zeros(3, requires_grad=True)):
        weight, bias = (part, None) if part.dim() == 2 else (WEIGHT.float(), part)
        loss = linear_ctc_loss(hidden, weight, TARGETS, INPUTS, LABELS, bias=bias)
        (gradient,) = torch.autograd.grad(loss, part, create_graph=True)
        with pytest.raises(RuntimeError, match="CTC has no second derivative"):
            gradient.square().sum().backward()


@losses
def test_forward_mode_is_refused(name):
    loss, x = case(name)
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="CTC has no forward-mode derivative"):
        loss(forward_ad.make_dual(x, torch.ones_like(x)))


@losses
@pytest.mark.parametrize("transform", [torch.func.jacfwd, lambda f: lambda x: torch.func.jvp(f, (x,), (x,))])
def test_the_forward_transforms_are_refused(name, transform):
    loss, x = case(name)
    with pytest.raises(RuntimeError, match="CTC has no forward-mode derivative"):
        transform(loss)(x)


@losses
def test_a_tangent_of_the_incoming_gradient_is_refused(name):
    loss, x = case(name)
    value = loss(x.requires_grad_())
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="CTC has no forward-mode derivative"):
        torch.autograd.grad(value, x, forward_ad.make_dual(torch.ones_like(value), torch.ones_like(value)))


@losses
def test_a_graph_of_the_gradient_that_nobody_differentiates_does_no_harm(name):
    loss, x = case(name)
    x.requires_grad_()
    (plain,) = torch.autograd.grad(loss(x), x)
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    assert torch.equal(gradient, plain)


@pytest.mark.parametrize("name", ["table", "rows", "vocab"])
def test_an_export_has_a_dynamic_batch(name):
    class Loss(torch.nn.Module):
        def forward(self, x, targets, inputs, labels):
            if name == "table":
                return ctc_loss(x.log_softmax(-1), targets, inputs, labels)
            return linear_ctc_loss(x, WEIGHT.float(), targets, inputs, labels, mode=name)

    _, x = case(name, torch.float32)
    arguments = x, TARGETS, INPUTS, LABELS
    batch = torch.export.Dim("batch")
    exported = torch.export.export(Loss(), arguments, dynamic_shapes=[{0: batch}] * 4).module()
    threefold = [tensor.repeat(3, *[1] * (tensor.dim() - 1)) for tensor in arguments]
    torch.testing.assert_close(exported(*threefold), Loss()(*threefold))


@pytest.mark.parametrize("kind", [list, tuple])
def test_lengths_may_be_lists(kind):
    scores, hidden = torch.randn(2, 4, 3), torch.randn(2, 4, 5)
    tensors, lists = (TARGETS, INPUTS, LABELS), (TARGETS, kind(INPUTS.tolist()), kind(LABELS.tolist()))
    weight = WEIGHT.float()
    assert torch.equal(ctc_loss(scores, *lists), ctc_loss(scores, *tensors))
    assert torch.equal(linear_ctc_loss(hidden, weight, *lists), linear_ctc_loss(hidden, weight, *tensors))
    assert torch.equal(ctc_feasible(*lists), ctc_feasible(*tensors))
    assert torch.equal(ctc_best_path(scores, *lists).states, ctc_best_path(scores, *tensors).states)
    best = linear_ctc_best_path(hidden, weight, *lists)
    assert torch.equal(best.states, linear_ctc_best_path(hidden, weight, *tensors).states)


@pytest.mark.parametrize(
    ("lattice", "message"),
    [
        ((TARGETS, [4, 3.0], LABELS), r"input_lengths must be a tensor or a list of integers, got \[4, 3.0\]"),
        ((TARGETS, INPUTS, 2), "target_lengths must be a tensor or a list of integers, got 2"),
        ((TARGETS.tolist(), INPUTS, LABELS), "targets must be a tensor, got list"),
        ((TARGETS, [4], LABELS), r"input_lengths must have shape \(B,\) = \(2,\), got \(1,\)"),
    ],
)
def test_what_is_no_tensor_and_no_list_of_lengths_is_named(lattice, message):
    with pytest.raises(ValueError, match=message):
        ctc_loss(torch.randn(2, 4, 3), *lattice)
    with pytest.raises(ValueError, match=message):
        ctc_feasible(*lattice) if message.startswith("targets must") else linear_ctc_loss(
            torch.randn(2, 4, 5), WEIGHT.float(), *lattice
        )
