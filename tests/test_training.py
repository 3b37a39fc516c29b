"""Algorithm 1, line by line."""

import pytest
import torch
from small_models import MASK, decorated, save_mlm, sources

from xlmd.ctc import ctc_best_path, ctc_loss
from xlmd.method.algorithm1 import algorithm1, best_alignment, ctc_objective, masked_alignment

TARGET, TARGET_LENGTHS = torch.tensor([[5, 5, 12], [20, 1, 1]]), torch.tensor([3, 1])


@pytest.fixture
def model(tmp_path):
    return decorated(save_mlm(tmp_path, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3), insertion_layer=1)


def log_probabilities(model, alignment=None):
    hidden, lengths = model(*sources(), alignment)
    return model.logits(hidden).log_softmax(-1), lengths


def test_line_6_is_the_best_path_under_the_all_mask_input(model):
    alignment = best_alignment(model, *sources(), TARGET, TARGET_LENGTHS)
    table, lengths = log_probabilities(model)
    expected = ctc_best_path(table, TARGET, lengths, TARGET_LENGTHS).tokens
    assert torch.equal(alignment, expected)
    for row, (target, length) in enumerate(zip(TARGET, TARGET_LENGTHS, strict=True)):
        path = alignment[row, : lengths[row]]
        merged = torch.unique_consecutive(path)
        assert merged[merged != 0].tolist() == target[:length].tolist()
        assert (alignment[row, lengths[row] :] == -1).all()


def test_the_alignment_pass_has_no_dropout_and_leaves_the_training_mode(model):
    model.train()
    first, second = (best_alignment(model, *sources(), TARGET, TARGET_LENGTHS) for _ in range(2))
    assert torch.equal(first, second) and model.training


def test_line_8_shows_observed_tokens_and_hides_the_rest():
    alignment = torch.tensor([[5, 0, 6, -1]])
    mask = torch.tensor([[False, False, True, False]])
    shown, observed = masked_alignment(alignment, mask, mask_token=MASK, blank=0)
    assert shown.tolist() == [[5, 0, MASK, MASK]] and observed.tolist() == [[5, 0, -1, -1]]
    shown, observed = masked_alignment(alignment, mask, mask_token=MASK, blank=0, embed_blank=False)
    assert shown.tolist() == [[5, MASK, MASK, MASK]] and observed.tolist() == [[5, 0, -1, -1]]


@pytest.mark.parametrize("score_observed", [True, False])
def test_line_10_is_the_constrained_ctc_loss_of_the_models_own_log_probabilities(model, score_observed):
    a = best_alignment(model, *sources(), TARGET, TARGET_LENGTHS)
    mask = torch.rand(a.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    shown, observed = masked_alignment(a, mask, mask_token=MASK, blank=0)
    table, lengths = log_probabilities(model, shown)
    options = {"observed": observed, "score_observed": score_observed}
    expected = ctc_loss(table, TARGET, lengths, TARGET_LENGTHS, **options)
    loss = ctc_objective(model, *sources(), TARGET, TARGET_LENGTHS, alignment=shown, **options)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


def test_observing_part_of_the_best_path_never_makes_a_target_impossible(model):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        loss, _ = algorithm1(model, *sources(), TARGET, TARGET_LENGTHS, block=4, generator=generator)
        assert loss.isfinite()


def test_an_infeasible_pair_does_not_disturb_the_others(model):
    """The longest sentence of the batch has a target that no alignment can hold."""
    source, lengths = sources()
    target = torch.full((2, 20), 5)
    target_lengths = torch.tensor([20, 1])
    options = {"block": 4, "zero_infinity": True, "reduction": "none"}
    both, _ = algorithm1(model, source, lengths, target, target_lengths, generator=torch.Generator(), **options)
    assert both[0] == 0 and both[1].isfinite() and both[1] > 0


def test_every_parameter_learns_sigma_included(model):
    model.train()
    generator = torch.Generator().manual_seed(0)
    loss, _ = algorithm1(model, *sources(), TARGET, TARGET_LENGTHS, block=4, generator=generator)
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_loss_falls_when_one_batch_is_learnt_by_heart(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        loss, _ = algorithm1(model, *sources(), TARGET, TARGET_LENGTHS, block=4, generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
