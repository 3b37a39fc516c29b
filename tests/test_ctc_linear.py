"""Cut CTC: the same numbers as projecting everything first, in every mode, dtype and way of training."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from ctc_cases import Problem, problem

from xlmd.ctc import (
    ctc_best_path,
    ctc_feasible,
    ctc_loss,
    derivatives,
    linear,
    linear_ctc_best_path,
    linear_ctc_loss,
    primitives,
)

MODES = [("rows", None), ("rows", 25), ("vocab", None), ("vocab", 3)]
modes = pytest.mark.parametrize(("mode", "chunk_rows"), MODES)


def layer(case: Problem, size: int, seed: int = 0, dtype: torch.dtype = torch.float32):
    """hidden (B, T, d), weight (V, d) and bias (V,) that require gradients."""
    generator = torch.Generator().manual_seed(seed)
    batch, length, vocabulary = case.log_probs.shape
    shapes = ((batch, length, size), (vocabulary, size), (vocabulary,))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def projected(hidden, weight, bias):
    return F.linear(hidden, weight, bias).log_softmax(-1)


def gradients(loss, *tensors):
    return torch.autograd.grad(loss, tensors)


@modes
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_loss_and_gradients_are_those_of_projecting_first(mode, chunk_rows, reduction, with_bias, padded, monkeypatch):
    """With rounded sizes too, which a GPU's half types get."""
    monkeypatch.setattr(linear, "_wants_padding", lambda _: padded)
    case = problem(9, 12, 4, 11, seed=1)
    hidden, weight, bias = layer(case, 6, dtype=torch.float64)
    tensors = (hidden, weight, bias) if with_bias else (hidden, weight)
    options = {"reduction": reduction, "zero_infinity": True}
    expected = ctc_loss(projected(hidden, weight, bias if with_bias else None), *case.rest, **options)
    weights = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    truth = gradients((expected * weights).sum(), *tensors)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        cast = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
        loss = linear_ctc_loss(
            *cast[:2], *case.rest, bias=cast[2] if with_bias else None, mode=mode, chunk_rows=chunk_rows, **options
        )
        assert loss.dtype == dtype
        torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=tolerance)
        for actual, wanted in zip(gradients((loss * weights).sum(), *cast), truth, strict=True):
            torch.testing.assert_close(actual.double(), wanted, rtol=10 * tolerance, atol=10 * tolerance)


@modes
@pytest.mark.parametrize("constraint", ["token", "state"])
@pytest.mark.parametrize("score_observed", [True, False])
def test_constraints_reach_through_the_projection(mode, chunk_rows, constraint, score_observed):
    case = problem(7, 14, 4, 9, seed=2)
    hidden, weight, bias = layer(case, 5)
    best = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias)
    observed = (best.tokens if constraint == "token" else best.states).clone()
    observed[:, ::3] = -1
    options = {"observed": observed, "constraint": constraint, "score_observed": score_observed, "zero_infinity": True}
    tensors = hidden, weight, bias
    expected = ctc_loss(projected(*[tensor.double() for tensor in tensors]), *case.rest, **options)
    loss = linear_ctc_loss(
        hidden, weight, *case.rest, bias=bias, mode=mode, chunk_rows=chunk_rows, reduction="mean", **options
    )
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for actual, wanted in zip(gradients(loss, *tensors), gradients(expected, *tensors), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_the_gradients_pass_gradcheck(mode):
    case = problem(3, 5, 2, 6, seed=3, ragged=False)
    case.input_lengths[1] = 3
    assert torch.autograd.gradcheck(
        lambda hidden, weight, bias: linear_ctc_loss(
            hidden, weight, *case.rest, bias=bias, mode=mode, chunk_rows=6, reduction="sum"
        ),
        layer(case, 3, dtype=torch.float64),
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@modes
def test_half_types_accumulate_in_float32(dtype, mode, chunk_rows):
    case = problem(8, 12, 4, 40, seed=4, ragged=False)
    tensors = layer(case, 16, dtype=dtype)
    tensors[1].data.mul_(0.3)
    wide = [tensor.detach().double().requires_grad_() for tensor in tensors]
    expected = ctc_loss(projected(*wide), *case.rest)
    loss = linear_ctc_loss(*tensors[:2], *case.rest, bias=tensors[2], mode=mode, chunk_rows=chunk_rows)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for actual, wanted in zip(gradients(loss, *tensors), gradients(expected, *wide), strict=True):
        assert actual.dtype == dtype
        # Nothing but the last rounding to the half type may be seen.
        error = (actual.double() - wanted).norm() / wanted.norm()
        assert error < torch.finfo(dtype).eps


def test_a_forced_row_has_exactly_p_minus_onehot():
    case = problem(1, 6, 2, 8, seed=5, ragged=False)
    hidden, weight, _ = layer(case, 8)
    with torch.no_grad():
        weight.copy_(torch.eye(8))
    best = linear_ctc_best_path(hidden, weight, *case.rest)
    loss = linear_ctc_loss(hidden, weight, *case.rest, observed=best.tokens, reduction="sum")
    (gradient,) = gradients(loss, hidden)
    expected = hidden.detach().softmax(-1) - F.one_hot(best.tokens, 8)
    torch.testing.assert_close(gradient, expected, rtol=2e-6, atol=1e-7)


def test_confident_rows_keep_their_small_gradients():
    # p - Gamma cancels where the model is sure: patched into a stored softmax, not written once, it loses its digits.
    case = problem(1, 4, 1, 5, seed=6, ragged=False)
    hidden = torch.zeros(1, 4, 5)
    hidden[0, :, case.targets[0, 0]] = 12.0
    hidden.requires_grad_()
    weight = torch.eye(5)
    (gradient,) = gradients(linear_ctc_loss(hidden, weight, *case.rest, reduction="sum"), hidden)
    exact = hidden.detach().double().requires_grad_()
    (truth,) = gradients(ctc_loss(exact.log_softmax(-1), *case.rest, reduction="sum"), exact)
    assert ((gradient - truth).norm() / truth.norm()) < 1e-2
    assert truth.norm() < 1e-3


@modes
def test_padding_and_the_rest_of_the_batch_do_not_change_a_sentence(mode, chunk_rows):
    case = problem(6, 15, 5, 9, seed=7)
    hidden, weight, bias = layer(case, 4)
    options = {"mode": mode, "chunk_rows": chunk_rows, "zero_infinity": True, "reduction": "sum"}
    (together,) = gradients(linear_ctc_loss(hidden, weight, *case.rest, bias=bias, **options), hidden)
    for b in range(6):
        length = int(case.input_lengths[b])
        alone = [tensor[b : b + 1] for tensor in case.rest]
        row = hidden[b : b + 1, :length].detach().requires_grad_()
        (gradient,) = gradients(linear_ctc_loss(row, weight, *alone, bias=bias, **options), row)
        torch.testing.assert_close(together[b, :length], gradient[0], rtol=1e-4, atol=1e-6)
        assert together[b, length:].eq(0).all()


@modes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_in_the_padding_reaches_a_gradient_where_all_rows_are_projected(monkeypatch, mode, chunk_rows, dtype):
    # As on CUDA, where lengths stay on the device.
    case = problem(5, 9, 3, 11, seed=19)
    hidden, weight, bias = layer(case, 4, dtype=dtype)
    options = {"bias": bias, "mode": mode, "chunk_rows": chunk_rows, "zero_infinity": True}
    expected = gradients(linear_ctc_loss(hidden, weight, *case.rest, **options), hidden, weight, bias)
    padding = torch.arange(9) >= case.input_lengths[:, None]
    for value in (0.0, math.nan, math.inf):
        dirty = hidden.detach().masked_fill(padding[:, :, None], value).requires_grad_()
        with monkeypatch.context() as patch:
            patch.setattr(
                linear, "_rows", lambda part, lengths: linear._all_rows(part, torch.arange(9) < lengths[:, None])
            )
            loss = linear_ctc_loss(dirty, weight, *case.rest, **options)
            found = gradients(loss, dirty, weight, bias)
        for actual, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_of_scale_0_has_no_softmax_whatever_its_logits(dtype):
    logits = torch.tensor([[math.nan, 1, 2], [math.inf, -math.inf, 1], [0, 0, 0]], dtype=dtype)
    normaliser = torch.tensor([math.nan, math.nan, math.log(3)], dtype=dtype)
    scale = torch.tensor([0, 0, 1], dtype=dtype)
    table = (logits[:, :2] - normaliser[:, None]).contiguous()
    gradient = torch.zeros(3, 2, dtype=dtype)
    columns, sentence = torch.tensor([[0, 1]]), torch.zeros(3, dtype=torch.int64)
    result = primitives.softmax_gradient_(logits, normaliser, scale, table, gradient, columns, sentence, 0, dtype)
    torch.testing.assert_close(result, torch.tensor([[0, 0, 0], [0, 0, 0], [1 / 3] * 3], dtype=dtype))


@modes
def test_an_infeasible_sentence_has_loss_inf_and_no_gradient(mode, chunk_rows):
    case = problem(3, 6, 4, 9, seed=8, ragged=False)
    case.input_lengths[1] = 2
    hidden, weight, bias = layer(case, 4)
    options = {"bias": bias, "mode": mode, "chunk_rows": chunk_rows, "reduction": "sum"}
    assert linear_ctc_loss(hidden, weight, *case.rest, **options).isposinf()
    loss = linear_ctc_loss(hidden, weight, *case.rest, zero_infinity=True, **options)
    kept = [tensor[[0, 2]] for tensor in case.rest]
    expected = linear_ctc_loss(hidden[[0, 2]], weight, *kept, **options)
    torch.testing.assert_close(loss, expected)
    for actual, wanted in zip(
        gradients(loss, hidden, weight, bias), gradients(expected, hidden, weight, bias), strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-6)


def test_a_nan_in_the_hidden_states_reaches_the_loss():
    case = problem(3, 6, 2, 9, seed=9, ragged=False)
    hidden, weight, bias = layer(case, 4)
    with torch.no_grad():
        hidden[1, 2, 0] = math.nan
    for mode in ("rows", "vocab"):
        loss = linear_ctc_loss(hidden, weight, *case.rest, bias=bias, mode=mode)
        assert loss.isnan()
        assert gradients(loss, weight)[0].isnan().any()
    assert linear_ctc_best_path(hidden, weight, *case.rest).score.isnan().tolist() == [False, True, False]


def test_unvalidated_bad_labels_and_lengths_give_nan_to_their_sentences_only():
    case = problem(4, 6, 2, 9, seed=10, ragged=False)
    hidden, weight, bias = layer(case, 4)
    expected = linear_ctc_loss(hidden, weight, *case.rest, bias=bias, reduction="none")
    case.targets[0, 1], case.input_lengths[1], case.target_lengths[2] = 4000, 4000, -1
    options = {"bias": bias, "validate": False}
    loss = linear_ctc_loss(hidden, weight, *case.rest, reduction="none", **options)
    assert loss.isnan().tolist() == [True, True, True, False]
    torch.testing.assert_close(loss[3], expected[3])
    assert linear_ctc_loss(hidden, weight, *case.rest, **options).isnan()
    best = linear_ctc_best_path(hidden, weight, *case.rest, **options)
    assert best.score.isnan().tolist() == [True, True, True, False]


@modes
@pytest.mark.parametrize(("name", "value"), [("input_lengths", -1), ("input_lengths", 99), ("target_lengths", -1)])
def test_the_nan_of_an_unvalidated_bad_length_reaches_the_gradients(mode, chunk_rows, name, value):
    case = problem(3, 6, 2, 9, seed=10, ragged=False)
    getattr(case, name)[1] = value
    hidden, weight, bias = layer(case, 4)
    loss = linear_ctc_loss(hidden, weight, *case.rest, bias=bias, mode=mode, chunk_rows=chunk_rows, validate=False)
    for_hidden, *others = gradients(loss, hidden, weight, bias)
    assert for_hidden.isnan().flatten(1).any(1).tolist() == [False, True, False]
    assert all(gradient.isnan().any() for gradient in others)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_infinite_logit_gives_its_sentences_a_best_score_of_nan(dtype):
    case = problem(2, 6, 2, 9, seed=10, ragged=False)
    case.targets[:] = torch.tensor([[3, 4], [5, 6]])
    hidden, weight, bias = layer(case, 4, dtype=dtype)
    with torch.no_grad():
        bias[4] = math.inf
    best = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias)
    assert best.score.isnan().tolist() == [True, False] and best.states[0].eq(-1).all()


@modes
def test_the_mean_of_an_empty_batch_is_0(mode, chunk_rows):
    case = problem(1, 4, 2, 5, ragged=False)
    empty = Problem(*[tensor[:0] for tensor in case.arguments])
    hidden, weight, bias = layer(empty, 3)
    loss = linear_ctc_loss(hidden, weight, *empty.rest, bias=bias, mode=mode, chunk_rows=chunk_rows)
    assert float(loss.detach()) == 0
    assert all(gradient.eq(0).all() for gradient in gradients(loss, hidden, weight, bias))


@modes
@pytest.mark.parametrize("wide", ["hidden", "weight", "bias"])
def test_the_widest_of_the_factors_decides_the_precision(mode, chunk_rows, wide):
    case = problem(4, 8, 3, 9, seed=22, ragged=False)
    names = ("hidden", "weight", "bias")
    exact = layer(case, 4, dtype=torch.float64)
    mixed = [
        tensor.detach().to(torch.float64 if name == wide else torch.float32).requires_grad_()
        for name, tensor in zip(names, exact, strict=True)
    ]
    loss = linear_ctc_loss(*mixed[:2], *case.rest, bias=mixed[2], mode=mode, chunk_rows=chunk_rows)
    assert loss.dtype == (torch.float32 if wide == "bias" else torch.float64)
    expected = linear_ctc_loss(*exact[:2], *case.rest, bias=exact[2])
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    for tensor, actual in zip(mixed, gradients(loss, *mixed), strict=True):
        assert actual.dtype == tensor.dtype


@modes
@pytest.mark.parametrize(("batch", "length", "labels"), [(0, 4, 2), (2, 0, 2), (2, 4, 0), (1, 0, 0)])
def test_empty_batches_positions_and_targets_are_no_special_case(mode, chunk_rows, batch, length, labels):
    case = problem(max(1, batch), length, labels, 5, ragged=False)
    case = Problem(*[tensor[:batch] for tensor in case.arguments])
    hidden, weight, bias = layer(case, 3)
    options = {"reduction": "none", "bias": bias, "mode": mode, "chunk_rows": chunk_rows}
    loss = linear_ctc_loss(hidden, weight, *case.rest, **options)
    expected = ctc_loss(projected(hidden, weight, bias), *case.rest, reduction="none")
    torch.testing.assert_close(loss, expected)
    total = linear_ctc_loss(hidden, weight, *case.rest, zero_infinity=True, **options | {"reduction": "sum"})
    truth = ctc_loss(projected(hidden, weight, bias), *case.rest, zero_infinity=True, reduction="sum")
    for actual, wanted in zip(gradients(total, hidden, weight), gradients(truth, hidden, weight), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-6)
    best = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias)
    assert torch.equal(best.states, ctc_best_path(projected(hidden, weight, bias), *case.rest).states)


def test_the_best_path_is_that_of_all_logits_without_computing_them():
    case = problem(10, 20, 6, 30, seed=11)
    hidden, weight, bias = layer(case, 8)
    expected = ctc_best_path(F.linear(hidden, weight, bias), *case.rest)
    actual = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias)
    assert torch.equal(actual.tokens, expected.tokens) and torch.equal(actual.states, expected.states)
    torch.testing.assert_close(actual.score, expected.score)

    vocabulary, rows = 2_000_000, 50_000  # all logits: 400 GB
    hidden, weight = torch.randn(100, rows // 100, 2), torch.randn(vocabulary, 2)
    targets = torch.randint(1, vocabulary, (100, 3))
    lengths = torch.full((100,), rows // 100), torch.full((100,), 3)
    assert linear_ctc_best_path(hidden, weight, targets, *lengths).score.isfinite().all()


def test_repeated_and_missing_tokens_are_told_apart_in_the_compact_table():
    case = problem(1, 7, 4, 9, seed=12, ragged=False)
    case.targets[0] = torch.tensor([5, 5, 2, 5])
    hidden, weight, bias = layer(case, 4)
    logits = F.linear(hidden, weight, bias)
    observed = torch.full((1, 7), -1)
    for token in (5, 2, 0, 7):
        observed[0, 3] = token
        expected = ctc_best_path(logits, *case.rest, observed=observed)
        actual = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias, observed=observed)
        assert torch.equal(actual.states, expected.states)
    assert float(actual.score) == -math.inf


def test_a_chunk_holds_whole_sentences_and_at_least_one():
    lengths = torch.tensor([10, 5, 5, 30, 0, 1])
    parts = linear._chunks(lengths, 30, 12)
    assert [(part.start, part.stop) for part in parts] == [(0, 1), (1, 3), (3, 4), (4, 6)]


def test_slices_of_the_vocabulary_are_multiples_of_8_and_cover_it():
    for vocabulary, rows, chunk_rows in ((250_002, 51_200, 4096), (11, 60, 3), (40, 10, 100), (7, 0, 1), (100, 99, 9)):
        parts = linear._vocabulary_slices(torch.empty(vocabulary, 1), rows, chunk_rows)
        assert [number for part in parts for number in range(part.start, part.stop)] == list(range(vocabulary))
        sizes = {part.stop - part.start for part in parts[:-1]}
        assert all(size % 8 == 0 for size in sizes) or sizes <= set(range(1, 8))


def test_the_default_chunk_on_a_gpu_is_its_share_of_all_memory(monkeypatch):
    # Of what is free at the moment it would be another order of sums, and other last bits, in every run.
    weight = SimpleNamespace(shape=(1000, 8), dtype=torch.bfloat16, numel=lambda: 8000, is_cuda=True, device="cuda:0")
    memory = 16 * 70 * 1000 * 4
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
    assert linear._budget_rows(weight) == 70


def test_an_empty_batch_needs_no_enlarged_scales():
    weight = SimpleNamespace(dtype=torch.float16, is_cuda=True)
    scale, shrink = linear._enlarged(torch.empty(0), weight)
    assert not scale.numel() and shrink is None


# ---- As part of a training loop ------------------------------------------------------------------------------------


def test_under_autocast_the_factors_are_cast_and_the_loss_stays_float32():
    case = problem(4, 10, 3, 20, seed=13, ragged=False)
    hidden, weight, bias = layer(case, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_ctc_loss(hidden, weight, *case.rest, bias=bias)
        best = linear_ctc_best_path(hidden, weight, *case.rest, bias=bias)
    halves = hidden.bfloat16(), weight.bfloat16()
    expected = linear_ctc_loss(*halves, *case.rest, bias=bias)
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    assert best.score.isfinite().all()
    for gradient in gradients(loss, hidden, weight, bias):
        assert gradient.dtype == torch.float32 and gradient.isfinite().all()


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_gradients_accumulate_over_parts_of_a_batch(mode):
    case = problem(6, 10, 3, 15, seed=14, ragged=False)
    hidden, weight, bias = layer(case, 5)
    whole = gradients(linear_ctc_loss(hidden, weight, *case.rest, bias=bias, mode=mode), weight, bias)
    for part in (slice(0, 3), slice(3, 6)):
        lattice = [tensor[part] for tensor in case.rest]
        (linear_ctc_loss(hidden[part], weight, *lattice, bias=bias, mode=mode) / 2).backward()
    torch.testing.assert_close(weight.grad, whole[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(bias.grad, whole[1], rtol=1e-4, atol=1e-6)


def test_going_backward_twice_gives_the_same_gradient_twice():
    case = problem(3, 8, 3, 9, seed=15, ragged=False)
    hidden, weight, bias = layer(case, 5)
    for mode in ("rows", "vocab"):
        loss = linear_ctc_loss(hidden, weight, *case.rest, bias=bias, mode=mode) * 3
        first = torch.autograd.grad(loss, (hidden, weight, bias), retain_graph=True)
        for a, b in zip(first, gradients(loss, hidden, weight, bias), strict=True):
            assert torch.equal(a, b)


def test_a_frozen_weight_and_inference_take_no_gradients():
    case = problem(3, 8, 3, 9, seed=16, ragged=False)
    hidden, weight, bias = layer(case, 5)
    frozen = linear_ctc_loss(hidden, weight.detach(), *case.rest)
    assert torch.equal(gradients(frozen, hidden)[0], gradients(linear_ctc_loss(hidden, weight, *case.rest), hidden)[0])
    with torch.no_grad():
        assert not linear_ctc_loss(hidden, weight, *case.rest).requires_grad


@modes
@pytest.mark.parametrize("needed", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
def test_what_is_frozen_costs_no_products_and_leaves_the_other_gradients_as_they_were(
    monkeypatch, mode, chunk_rows, needed
):
    case = problem(5, 9, 3, 30, seed=23)
    tensors = layer(case, 6)
    options = {"mode": mode, "chunk_rows": chunk_rows, "zero_infinity": True}
    every = gradients(linear_ctc_loss(*tensors[:2], *case.rest, bias=tensors[2], **options), *tensors)
    for name, used in zip(("_project_back", "_accumulate"), needed, strict=False):
        if not used:
            monkeypatch.setattr(linear, name, None)
    some = [tensor.detach().requires_grad_(bool(need)) for tensor, need in zip(tensors, needed, strict=True)]
    linear_ctc_loss(*some[:2], *case.rest, bias=some[2], **options).backward()
    for tensor, need, wanted in zip(some, needed, every, strict=True):
        assert torch.equal(tensor.grad, wanted) if need else tensor.grad is None


class Tied(torch.nn.Module):
    """A model whose output embedding is its input embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 6)
        self.bias = torch.nn.Parameter(torch.zeros(20))

    def forward(self, tokens, targets, input_lengths, target_lengths, mode="rows"):
        hidden = self.embedding(tokens).tanh()
        lattice = targets, input_lengths, target_lengths
        return linear_ctc_loss(hidden, self.embedding.weight, *lattice, bias=self.bias, mode=mode)


def tied_case():
    case = problem(4, 9, 3, 20, seed=17, ragged=False)
    tokens = torch.randint(0, 20, (4, 9), generator=torch.Generator().manual_seed(17))
    torch.manual_seed(17)
    return Tied(), (tokens, *case.rest)


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_a_tied_weight_gathers_both_gradients_under_ddp(mode, tmp_path):
    model, arguments = tied_case()
    hidden = model.embedding(arguments[0]).tanh()
    logits = projected(hidden, model.embedding.weight, model.bias)
    ctc_loss(logits, *arguments[1:]).backward()
    expected = model.embedding.weight.grad.clone()
    model.zero_grad()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        torch.nn.parallel.DistributedDataParallel(model)(*arguments, mode=mode).backward()
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(model.embedding.weight.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_torch_compile_takes_it_into_one_graph(mode):
    model, arguments = tied_case()
    expected = model(*arguments, mode=mode)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    loss = compiled(*arguments, mode=mode)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    gradient = model.embedding.weight.grad.clone()
    model.zero_grad()
    expected.backward()
    torch.testing.assert_close(gradient, model.embedding.weight.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("frozen", ["nothing", "hidden", "weight", "everything"])
def test_the_operators_pass_opcheck(dtype, with_bias, frozen):
    case = problem(3, 6, 2, 7, seed=18)
    hidden, weight, bias = layer(case, 4, dtype=dtype)
    bias = bias.detach().to(linear.accumulation_dtype(weight)).requires_grad_() if with_bias else None
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if tensor is not None:
            tensor.requires_grad_(frozen not in (name, "everything"))
    needed = [tensor is not None and tensor.requires_grad for tensor in (hidden, weight, bias)]
    observed = torch.full((3, 6), -1)
    lattice = (observed, 0, False, True)
    scale = torch.ones(3, dtype=linear.accumulation_dtype(weight))
    torch.library.opcheck(
        torch.ops.xlmd.linear_ctc_by_rows,
        (
            hidden,
            weight,
            bias,
            derivatives.anchor(hidden, weight, bias),
            scale,
            *case.rest,
            *lattice,
            True,
            0,
            needed,
            True,
        ),
    )
    torch.library.opcheck(
        torch.ops.xlmd.linear_ctc_by_vocabulary, (hidden, weight, bias, *case.rest, *lattice, 0, any(needed), True)
    )
    torch.library.opcheck(
        torch.ops.xlmd.linear_ctc_best_states,
        (hidden.detach(), weight.detach(), bias if bias is None else bias.detach(), *case.rest, observed, 0, True),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(2, 5)}, r"hidden must have shape \(B, T, d\)"),
        ({"weight": torch.zeros(9, 4)}, r"weight must have shape \(V, 3\) to fit hidden, got \(9, 4\)"),
        ({"bias": torch.zeros(8)}, r"bias must have shape \(9,\), got \(8,\)"),
        ({"targets": torch.full((2, 2), 9)}, r"targets\[0, 0\] is 9, expected a label in 0..8"),
        ({"mode": "columns"}, "mode must be rows or vocab, got 'columns'"),
        ({"chunk_rows": 0}, "chunk_rows must be at least 1, got 0"),
        ({"blank": -1}, "blank must be a column 0..8, got -1"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {
        "hidden": torch.zeros(2, 5, 3),
        "weight": torch.zeros(9, 3),
        "targets": torch.ones(2, 2, dtype=torch.int64),
        "input_lengths": torch.tensor([5, 5]),
        "target_lengths": torch.tensor([2, 2]),
    }
    assert ctc_feasible(*list(arguments.values())[2:]).all()
    with pytest.raises(ValueError, match=message):
        linear_ctc_loss(**arguments | change)
