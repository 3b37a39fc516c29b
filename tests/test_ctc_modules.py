"""The losses as modules behave as torch's own do wherever both have the option."""

import math

import pytest
import torch
from torch import nn

from xlmd.ctc import CTCLoss, LinearCTCLoss, ctc_loss, linear_ctc_best_path, linear_ctc_loss

B, T, L, V, D = 5, 9, 4, 7, 6


def problem(dtype=torch.float32, blank=0):
    """Hidden states and targets, one of them empty, and one too long for its input."""
    generator = torch.Generator().manual_seed(7)
    hidden = torch.randn(B, T, D, generator=generator, dtype=dtype)
    targets = torch.randint(1, V, (B, L), generator=generator)
    targets[targets == blank] = 0
    return hidden, targets, torch.tensor([9, 7, 8, 3, 9]), torch.tensor([4, 2, 0, 4, 3])


def both(module, reference, log_probs, *lattice):
    """The loss and the gradient of each: of ours from batch first, of torch's from time first."""
    found = []
    for loss, batch_first in ((module, True), (reference, False)):
        scores = log_probs.detach().requires_grad_()
        table = scores.log_softmax(-1)
        value = loss(table if batch_first else table.transpose(0, 1), *lattice)
        finite = value[value.isfinite()].sum()
        found.append((value.detach(), torch.autograd.grad(finite, scores)[0]))
    return found


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("blank", [0, 3, V - 1])
def test_the_loss_is_that_of_torch_with_every_option(reduction, zero_infinity, blank):
    options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
    hidden, *lattice = problem(torch.float64, blank)
    scores = torch.cat([hidden, hidden[..., :1]], -1)
    ours, theirs = both(CTCLoss(**options), nn.CTCLoss(**options), scores, *lattice)
    torch.testing.assert_close(ours[0], theirs[0])
    if zero_infinity:
        torch.testing.assert_close(ours[1], theirs[1])


def test_the_defaults_and_the_order_of_the_options_are_those_of_torch():
    for arguments in ((), (2,), (2, "sum"), (2, "sum", True)):
        ours, theirs = CTCLoss(*arguments), nn.CTCLoss(*arguments)
        for name in ("blank", "reduction", "zero_infinity"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_an_infinite_loss_has_no_gradient_and_spoils_no_other_sentence():
    hidden, *lattice = problem()
    hidden.requires_grad_()
    head = LinearCTCLoss(D, V)
    assert head(hidden, *lattice).isinf()
    head.zero_infinity = True
    head(hidden, *lattice).backward()
    assert hidden.grad[3].eq(0).all()
    assert hidden.grad[0].ne(0).any() and hidden.grad.isfinite().all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_the_linear_loss_is_a_projection_and_the_loss_in_values_and_gradients(bias, reduction):
    hidden, *lattice = problem(torch.float64)
    options = {"blank": 2, "reduction": reduction, "zero_infinity": True}
    lattice[0][lattice[0] == 2] = 1
    torch.manual_seed(0)
    head = LinearCTCLoss(D, V, bias, **options, dtype=torch.float64)
    torch.manual_seed(0)
    projection = nn.Linear(D, V, bias, dtype=torch.float64)
    head(hidden, *lattice).sum().backward()
    CTCLoss(**options)(projection(hidden).log_softmax(-1), *lattice).sum().backward()
    for (name, ours), (other, theirs) in zip(head.named_parameters(), projection.named_parameters(), strict=True):
        assert name == other
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_linear_layer_and_the_linear_loss_load_each_others_state():
    head, projection = LinearCTCLoss(D, V), nn.Linear(D, V)
    head.load_state_dict(projection.state_dict())
    hidden, *_ = problem()
    torch.testing.assert_close(head.log_prob(hidden), projection(hidden).log_softmax(-1))
    projection.load_state_dict(head.state_dict())


def test_a_tied_embedding_is_trained_through_the_linear_loss():
    embedding, head = nn.Embedding(V, D), LinearCTCLoss(D, V, bias=False)
    head.weight = embedding.weight
    hidden, *lattice = problem()
    head.zero_infinity = True
    head(hidden, *lattice).backward()
    assert embedding.weight.grad.ne(0).any()
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_the_modules_say_what_the_functions_say():
    hidden, *lattice = problem()
    torch.manual_seed(1)
    head = LinearCTCLoss(D, V, blank=0, zero_infinity=True)
    expected = linear_ctc_loss(hidden, head.weight, *lattice, bias=head.bias, zero_infinity=True)
    assert head(hidden, *lattice) == expected
    path = linear_ctc_best_path(hidden, head.weight, *lattice, bias=head.bias)
    for ours, theirs in zip(head.best_path(hidden, *lattice), path, strict=True):
        torch.testing.assert_close(ours, theirs)
    log_probs = head.log_prob(hidden)
    assert CTCLoss(zero_infinity=True)(log_probs, *lattice) == ctc_loss(log_probs, *lattice, zero_infinity=True)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: CTCLoss(reduction="avg"), "reduction must be none, sum or mean, got 'avg'"),
        (lambda: LinearCTCLoss(D, V, reduction="avg"), "reduction must be none, sum or mean, got 'avg'"),
        (lambda: LinearCTCLoss(D, V, blank=V), "blank must be a column 0..6, got 7"),
        (lambda: CTCLoss(blank=V)(*problem()), "blank must be a column 0..5, got 7"),
    ],
)
def test_a_wrong_option_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_prints_its_options():
    assert repr(CTCLoss(1)) == "CTCLoss(blank=1, reduction='mean', zero_infinity=False)"
    assert "in_features=6, out_features=7, bias=False, blank=0" in repr(LinearCTCLoss(D, V, bias=False))


def test_new_weights_lie_within_one_over_the_root_of_the_width():
    head = LinearCTCLoss(D, V)
    assert max(head.weight.abs().max(), head.bias.abs().max()) <= 1 / math.sqrt(D)
