"""CTC on a GPU: `python -m pytest tests/test_ctc_cuda.py`, and the same under NVIDIA's checker of memory errors:
`compute-sanitizer --tool memcheck python -m pytest -q tests/test_ctc_cuda.py`. Skipped without a GPU."""

import math

import pytest
import torch
import torch.nn.functional as F
from ctc_cases import Problem, problem
from fuzz_ctc import Batch, check, random_batch

from xlmd.ctc import ctc_best_path, ctc_loss, linear_ctc_best_path, linear_ctc_loss, primitives

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def on_gpu(case: Problem) -> Problem:
    return Problem(*[tensor.cuda() for tensor in case.arguments], case.blank)


def results(case: Problem, **options) -> list[torch.Tensor]:
    log_probs = case.log_probs.detach().clone().requires_grad_()
    loss = ctc_loss(log_probs, *case.rest, reduction="none", **options)
    (gradient,) = torch.autograd.grad(loss.nan_to_num(0, 0, 0).sum(), log_probs)
    return [loss.detach(), gradient, *ctc_best_path(log_probs.detach(), *case.rest)]


def test_the_build_has_its_cuda_part():
    assert primitives.built and primitives.native.cuda_built


# 31, 63, 127 and 255 labels are the last that one, two, four and eight pairs a lane hold; then blocks take over.
@pytest.mark.parametrize("labels", [0, 1, 31, 32, 63, 64, 127, 128, 255, 256, 1030])
def test_the_gpu_agrees_with_the_cpu_and_exactly_on_paths(labels):
    case = problem(5, labels + 20, labels, max(3, labels // 3), seed=labels)
    here, there = results(case), results(on_gpu(case))
    torch.testing.assert_close(there[0].cpu(), here[0], rtol=2e-6, atol=1e-5)
    # A posterior is the exponential of a sum as large as the loss, of which float32 knows 24 bits.
    rounding = float(here[0].nan_to_num(0, 0, 0).abs().max()) * 2**-24
    torch.testing.assert_close(there[1].cpu(), here[1], rtol=0, atol=max(5e-5, rounding))
    for a, b in zip(there[2:], here[2:], strict=True):
        assert torch.equal(a.cpu(), b)


def test_random_batches_agree_with_the_reference():
    for index in range(200):
        batch = random_batch(20, index)
        observed = None if batch.observed is None else batch.observed.cuda()
        lattice = tuple(tensor.cuda() for tensor in batch.lattice)
        check(Batch(batch.log_probs.cuda(), lattice, batch.blank, observed, batch.constraint, batch.score_observed))


def test_results_are_bitwise_repeatable():
    case = on_gpu(problem(64, 100, 50, 60, seed=1))
    first = results(case)
    for _ in range(5):
        for a, b in zip(results(case), first, strict=True):
            assert torch.equal(a, b)


def test_another_stream_gives_the_same():
    case = on_gpu(problem(64, 100, 50, 60, seed=2))
    expected = results(case)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        actual = results(case)
    torch.cuda.current_stream().wait_stream(stream)
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_nothing_waits_for_the_device(mode):
    case = on_gpu(problem(8, 20, 5, 30, seed=3, ragged=False))
    hidden = torch.randn(8, 20, 16, device="cuda", requires_grad=True)
    weight = torch.randn(30, 16, device="cuda", requires_grad=True)

    def everything() -> None:
        ctc_loss(case.log_probs.requires_grad_(), *case.rest).backward()
        ctc_best_path(case.log_probs.detach(), *case.rest)
        linear_ctc_loss(hidden, weight, *case.rest, mode=mode, chunk_rows=40).backward()
        linear_ctc_best_path(hidden, weight, *case.rest)

    everything()
    torch.cuda.set_sync_debug_mode("error")
    try:
        everything()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bad_lengths_and_labels_give_nan_and_read_nothing_outside():
    case = on_gpu(problem(6, 6, 2, 5, ragged=False))
    expected = ctc_loss(*case.arguments, reduction="none")
    case.targets[0, 1], case.targets[1, 0] = 99, -7
    case.input_lengths[2], case.input_lengths[3], case.target_lengths[4] = 1000, -1, 50
    loss = ctc_loss(*case.arguments, reduction="none")
    assert loss.isnan().tolist() == [True] * 5 + [False] and loss[5] == expected[5]
    assert ctc_best_path(*case.arguments).score.isnan().tolist() == [True] * 5 + [False]
    with pytest.raises(ValueError, match=r"input_lengths\[2\] is 1000"):
        ctc_loss(*case.arguments, validate=True)


@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_the_nan_of_a_bad_length_reaches_the_gradients(mode):
    case = on_gpu(problem(3, 6, 2, 9, seed=10, ragged=False))
    case.input_lengths[1] = -1
    hidden = torch.randn(3, 6, 4, device="cuda", requires_grad=True)
    weight = torch.randn(9, 4, device="cuda", requires_grad=True)
    loss = linear_ctc_loss(hidden, weight, *case.rest, mode=mode)
    for_hidden, for_weight = torch.autograd.grad(loss, (hidden, weight))
    assert for_hidden.isnan().flatten(1).any(1).tolist() == [False, True, False] and for_weight.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", ["rows", "vocab"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_in_the_padding_reaches_a_gradient(dtype, mode, value):
    case = on_gpu(problem(5, 9, 3, 16, seed=19))
    hidden = torch.randn(5, 9, 8, device="cuda").to(dtype)
    weight = torch.randn(16, 8, device="cuda").to(dtype).requires_grad_()
    padding = torch.arange(9, device="cuda") >= case.input_lengths[:, None]
    found = []
    for content in (0.0, value):
        leaf = hidden.masked_fill(padding[:, :, None], content).requires_grad_()
        loss = linear_ctc_loss(leaf, weight, *case.rest, mode=mode, zero_infinity=True)
        found.append(torch.autograd.grad(loss, (leaf, weight)))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b) and a.isfinite().all()


@pytest.mark.parametrize("labels", [3, 300])
@pytest.mark.parametrize("scale", [4e8, 1e12, 1e20])
def test_wherever_the_loss_is_finite_so_is_the_gradient_however_large_the_scores(labels, scale):
    length = labels * 2 + 6
    scores = (torch.randn(16, length, 6, device="cuda") * scale).requires_grad_()
    targets = torch.randint(1, 6, (16, labels), device="cuda")
    lengths = torch.full((16,), length, device="cuda"), torch.full((16,), labels, device="cuda")
    loss = ctc_loss(scores, targets, *lengths, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.isfinite().all()
    torch.testing.assert_close(gradient.sum(2), -torch.ones_like(gradient[:, :, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("mode", ["rows", "vocab"])
def test_an_empty_batch_has_a_mean_of_0(dtype, mode):
    case = on_gpu(problem(1, 4, 2, 5, ragged=False))
    empty = Problem(*[tensor[:0] for tensor in case.arguments])
    hidden = torch.zeros(0, 4, 8, device="cuda", dtype=dtype, requires_grad=True)
    weight = torch.randn(5, 8, device="cuda").to(dtype).requires_grad_()
    loss = linear_ctc_loss(hidden, weight, *empty.rest, mode=mode)
    assert float(loss.detach()) == 0 and torch.autograd.grad(loss, weight)[0].eq(0).all()


def test_an_infinite_logit_gives_a_best_score_of_nan():
    case = on_gpu(problem(2, 6, 2, 9, seed=10, ragged=False))
    case.log_probs[1, 3, case.targets[1, 0]] = math.inf
    for table in (case.log_probs, case.log_probs.double()):
        best = ctc_best_path(table, *case.rest)
        assert best.score.isnan().tolist() == [False, True] and best.states[1].eq(-1).all()


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("columns", [2, 7, 1003])
def test_rows_may_start_at_any_address(offset, columns):
    memory = torch.randn(5 * columns + offset, device="cuda")
    logits = memory[offset:].view(5, columns)
    expected = logits.double().logsumexp(1)
    normaliser = primitives.row_logsumexp(logits)
    torch.testing.assert_close(normaliser.double(), expected, rtol=1e-6, atol=1e-6)
    wanted = (logits.double() - expected[:, None]).exp()
    gradient = primitives.softmax_gradient_(
        logits,
        normaliser,
        torch.ones(5, device="cuda"),
        torch.zeros(5, 1, device="cuda"),
        torch.zeros(5, 1, device="cuda"),
        torch.full((1, 1), -1, device="cuda"),
        torch.zeros(5, dtype=torch.int64, device="cuda"),
        0,
        torch.float32,
    )
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("mode", "chunk_rows"), [("rows", None), ("rows", 60), ("vocab", 7)])
def test_projected_gradients_are_within_the_rounding_of_their_type(dtype, mode, chunk_rows):
    case = problem(12, 30, 8, 1003, seed=4)
    case.input_lengths.clamp_(min=20)
    generator = torch.Generator().manual_seed(4)
    shapes = ((12, 30, 64), 1.0), ((1003, 64), 0.2), ((1003,), 1.0)
    tensors = [
        (torch.randn(shape, generator=generator) * scale).to(dtype).cuda().requires_grad_() for shape, scale in shapes
    ]
    wide = [tensor.detach().double().requires_grad_() for tensor in tensors]
    lattice = on_gpu(case).rest
    expected = ctc_loss(F.linear(*wide).log_softmax(-1), *lattice)
    loss = linear_ctc_loss(*tensors[:2], *lattice, bias=tensors[2], mode=mode, chunk_rows=chunk_rows)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    pairs = zip(torch.autograd.grad(loss, tensors), torch.autograd.grad(expected, wide), strict=True)
    for actual, wanted in pairs:
        error = (actual.double() - wanted).norm() / wanted.norm()
        assert error < (1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps)


def test_gradients_survive_a_scaled_float16_loss():
    case = on_gpu(problem(4, 20, 5, 5000, seed=5, ragged=False))
    hidden = torch.randn(4, 20, 32, device="cuda")
    weight = torch.randn(5000, 32, device="cuda") * 0.1
    found = []
    for dtype, scale in ((torch.float32, 1.0), (torch.float16, 65536.0)):
        leaves = [tensor.to(dtype).requires_grad_() for tensor in (hidden, weight)]
        loss = linear_ctc_loss(*leaves, *case.rest) * scale
        found.append([gradient.float() / scale for gradient in torch.autograd.grad(loss, leaves)])
    for wanted, actual in zip(*found, strict=True):
        assert ((actual - wanted).norm() / wanted.norm()) < 5e-3


def test_a_table_beyond_2_to_the_31_cells():
    table = torch.empty(3, 2900, 250_002, device="cuda")
    case = problem(1, 2900, 2, 4, ragged=False, seed=17)
    columns = torch.tensor([0, 5, 250_001])
    table[:, :, columns] = case.log_probs[:, :, :3].cuda()
    lengths = torch.full((3,), 2900).cuda(), torch.full((3,), 2).cuda()
    loss = ctc_loss(table, columns[1:].expand(3, -1).cuda(), *lengths, reduction="none")
    wanted = ctc_loss(case.log_probs[:, :, :3], torch.tensor([[1, 2]]), *case.rest[1:], reduction="none")
    torch.testing.assert_close(loss.cpu(), wanted.expand(3), rtol=1e-5, atol=0)
