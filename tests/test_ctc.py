"""The plain CTC functions: against enumeration, against float64, and in every case that tripped another library."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from ctc_cases import (
    Problem,
    log_sum,
    path_score,
    problem,
    sentences,
    state_paths,
    token_paths,
    tokens_of,
)
from fuzz_ctc import check, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmd.ctc import ctc_best_path, ctc_feasible, ctc_loss, derivatives, primitives

both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def gradient_of(case: Problem, **options) -> torch.Tensor:
    log_probs = case.log_probs.detach().clone().requires_grad_()
    options.setdefault("reduction", "sum")
    return torch.autograd.grad(ctc_loss(log_probs, *case.rest, blank=case.blank, **options), log_probs)[0]


def test_the_native_library_is_built_and_used():
    assert primitives.built, "run `pip install -e .`"
    assert primitives._is_native(torch.zeros(1))


# ---- Against enumeration -------------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize("blank", [0, 2])
def test_the_loss_sums_all_token_sequences_that_collapse_to_the_target(dtype, blank):
    case = problem(24, 5, 3, 4, seed=blank, blank=blank, dtype=dtype)
    loss = ctc_loss(*case.arguments, blank=blank, reduction="none")
    for b, (rows, target) in enumerate(sentences(case)):
        expected = -log_sum([path_score(rows, path) for path in token_paths(len(rows), 4, target, blank)])
        assert float(loss[b]) == pytest.approx(expected, rel=1e-5)


@both_precisions
@pytest.mark.parametrize("score_observed", [True, False])
def test_a_token_constraint_keeps_only_sequences_with_the_observed_tokens(dtype, score_observed):
    case = problem(24, 5, 3, 4, seed=1, dtype=dtype)
    observed = torch.randint(-3, 4, (24, 5), generator=torch.Generator().manual_seed(1)).clamp(min=-1)
    loss = ctc_loss(*case.arguments, reduction="none", observed=observed, score_observed=score_observed)
    for b, (rows, target) in enumerate(sentences(case)):
        forced = {t: int(token) for t, token in enumerate(observed[b, : len(rows)]) if token >= 0}
        skipped = set() if score_observed else set(forced)
        paths = [
            path_score(rows, path, skipped)
            for path in token_paths(len(rows), 4, target, 0)
            if all(path[t] == token for t, token in forced.items())
        ]
        assert float(loss[b]) == pytest.approx(-log_sum(paths), rel=1e-5)


@both_precisions
def test_a_state_constraint_keeps_only_paths_through_the_observed_states(dtype):
    case = problem(24, 6, 3, 4, seed=2, dtype=dtype)
    generator = torch.Generator().manual_seed(2)
    observed = torch.randint(-6, 7, (24, 6), generator=generator).clamp(min=-1)
    observed = torch.minimum(observed, 2 * case.target_lengths[:, None])
    loss = ctc_loss(*case.arguments, reduction="none", observed=observed, constraint="state")
    for b, (rows, target) in enumerate(sentences(case)):
        paths = [
            path_score(rows, tokens_of(path, target, 0))
            for path in state_paths(len(rows), target)
            if all(state in (-1, path[t]) for t, state in enumerate(observed[b, : len(rows)].tolist()))
        ]
        assert float(loss[b]) == pytest.approx(-log_sum(paths), rel=1e-5)


@both_precisions
def test_ties_go_to_the_path_that_stays_latest_read_from_the_end(dtype):
    # Stay before s-1 before s-2, and the last blank before the last label: of equal paths the one whose states, read
    # backwards, come last in lexicographic order.
    case = problem(60, 6, 3, 3, seed=3, dtype=dtype)
    scores = torch.randint(0, 2, case.log_probs.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    case = Problem(scores, *case.rest)
    best = ctc_best_path(*case.arguments)
    for b, (rows, target) in enumerate(sentences(case)):
        scored = [(path_score(rows, tokens_of(path, target, 0)), path[::-1]) for path in state_paths(len(rows), target)]
        length = len(rows)
        if not scored:
            assert best.score[b] == -math.inf and best.states[b].eq(-1).all() and best.tokens[b].eq(-1).all()
            continue
        score, reverse = max(scored)
        assert float(best.score[b]) == score
        assert best.states[b].tolist() == [*reverse[::-1], *[-1] * (6 - length)]
        assert best.tokens[b, :length].tolist() == tokens_of(reverse[::-1], target, 0)


# ---- Gradients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", [None, "token", "state"])
@pytest.mark.parametrize("score_observed", [True, False])
def test_the_gradient_passes_gradcheck(constraint, score_observed):
    case = problem(3, 6, 2, 4, dtype=torch.float64, ragged=False)
    observed = None
    if constraint:
        best = ctc_best_path(*case.arguments)
        observed = (best.tokens if constraint == "token" else best.states).clone()
        observed[:, ::2] = -1
    options = {"observed": observed, "constraint": constraint or "token", "score_observed": score_observed}
    assert torch.autograd.gradcheck(
        lambda scores: ctc_loss(scores, *case.rest, reduction="none", **options),
        (case.log_probs.clone().requires_grad_(),),
    )


def test_the_gradient_on_gathered_columns_is_the_true_one():
    # torch's own gradient assumes that its columns were log-softmaxed together (pytorch#52241): exp(lp) - gamma.
    whole = problem(4, 8, 3, 50, seed=4)
    columns = F.pad(whole.targets, (1, 0))
    gathered = whole.log_probs.gather(2, columns[:, None, :].expand(-1, 8, -1)).double()
    targets = (columns[:, 1:, None] == columns[:, None, :]).int().argmax(2)
    case = Problem(gathered.float(), targets, whole.input_lengths, whole.target_lengths)
    exact = Problem(gathered, *case.rest)
    feasible = ctc_feasible(*case.rest)
    epsilon, cell = 1e-6, (0, 2, 1)
    assert feasible[0]
    nudged = gathered.clone()
    nudged[cell] += epsilon
    difference = ctc_loss(nudged, *case.rest, reduction="none") - ctc_loss(*exact.arguments, reduction="none")
    assert float(gradient_of(case)[cell]) == pytest.approx(float(difference[0]) / epsilon, rel=1e-3)


def test_gamma_rows_sum_to_one():
    case = problem(20, 30, 8, 12, seed=5)
    rows = -gradient_of(case).sum(2)
    feasible = ctc_feasible(*case.rest)
    inside = (torch.arange(30) < case.input_lengths[:, None]) & feasible[:, None]
    torch.testing.assert_close(rows, inside.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [1, 10])
def test_float32_posteriors_are_within_2e_5_of_float64_and_never_worse_than_torchs(scale):
    case = problem(8, 200, 100, 101, seed=6, ragged=False, scale=scale)
    exact = Problem(case.log_probs.double(), *case.rest)
    truth = gradient_of(exact)
    error = (gradient_of(case) - truth).abs().max()
    theirs = case.log_probs.transpose(0, 1).clone().requires_grad_()
    F.ctc_loss(theirs, *case.rest, reduction="sum").backward()
    their_error = ((theirs.grad - theirs.detach().exp()).transpose(0, 1) - truth).abs().max()
    assert error < 2e-5
    assert error <= their_error


# ---- Against torch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("zero_infinity", [True, False])
def test_reductions_are_torchs(reduction, zero_infinity):
    case = problem(16, 20, 6, 9, seed=7)
    if not zero_infinity:
        case.input_lengths.clamp_(min=13)
    expected = F.ctc_loss(case.log_probs.transpose(0, 1), *case.rest, reduction=reduction, zero_infinity=zero_infinity)
    actual = ctc_loss(*case.arguments, reduction=reduction, zero_infinity=zero_infinity)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(dtype):
    case = problem(4, 12, 4, 9, seed=8, ragged=False)
    half = case.log_probs.to(dtype).requires_grad_()
    loss = ctc_loss(half, *case.rest)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad.dtype == dtype
    torch.testing.assert_close(loss, ctc_loss(half.detach().float(), *case.rest))


# ---- What must not matter ------------------------------------------------------------------------------------------


def results(case: Problem) -> tuple[torch.Tensor, ...]:
    loss = ctc_loss(*case.arguments, blank=case.blank, reduction="none")
    return loss, gradient_of(case), *ctc_best_path(*case.arguments, blank=case.blank)


def assert_identical(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a, e)


def test_results_are_bitwise_repeatable_for_any_number_of_threads():
    case = problem(70, 40, 12, 20, seed=9)
    threads = torch.get_num_threads()
    expected = results(case)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert_identical(results(case), expected)
    finally:
        torch.set_num_threads(threads)


def test_the_order_of_the_batch_does_not_matter_to_the_last_bit():
    case = problem(50, 30, 9, 15, seed=10)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    shuffled = Problem(*[tensor[order] for tensor in case.arguments])
    assert_identical(results(shuffled), [value[order] for value in results(case)])


def test_what_stands_in_the_padding_does_not_matter():
    case = problem(20, 30, 9, 15, seed=11)
    dirty = Problem(case.log_probs.clone(), case.targets.clone(), *case.rest[1:])
    dirty.log_probs[torch.arange(30) >= case.input_lengths[:, None]] = math.nan
    dirty.targets[torch.arange(9) >= case.target_lengths[:, None]] = -100
    assert_identical(results(dirty), results(case))


def test_sentences_whose_lengths_differ_a_hundredfold_do_not_disturb_each_other():
    case = problem(18, 500, 50, 60, seed=12, ragged=False)
    case.input_lengths[::2], case.target_lengths[::2] = 5, 2
    together = results(case)
    for b in (0, 1):
        alone = results(Problem(*[tensor[b : b + 1] for tensor in case.arguments]))
        assert_identical([value[b : b + 1] for value in together], alone)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(0, 5), st.integers(2, 6))
def test_time_reversal_leaves_the_loss_and_reverses_gamma(seed, length, labels, vocabulary):
    case = problem(3, length, labels, vocabulary, seed=seed, ragged=False)
    reversed_case = Problem(case.log_probs.flip(1), case.targets.flip(1), *case.rest[1:])
    torch.testing.assert_close(
        ctc_loss(*case.arguments, reduction="none"),
        ctc_loss(*reversed_case.arguments, reduction="none"),
        rtol=1e-5,
        atol=1e-5,
    )
    torch.testing.assert_close(gradient_of(case), gradient_of(reversed_case).flip(1), rtol=1e-4, atol=1e-5)


# ---- Best path and loss together -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 15), st.integers(0, 6), st.integers(2, 8))
def test_the_best_path_scores_no_more_than_the_sum_and_is_feasible_in_part_and_whole(seed, length, labels, vocabulary):
    case = problem(6, length, labels, vocabulary, seed=seed)
    best = ctc_best_path(*case.arguments)
    loss = ctc_loss(*case.arguments, reduction="none")
    feasible = ctc_feasible(*case.rest)
    assert torch.equal(feasible, best.score > -math.inf) and torch.equal(feasible, loss < math.inf)
    assert (best.score <= -loss + 1e-4)[feasible].all()
    every = ctc_loss(*case.arguments, reduction="none", observed=best.states, constraint="state")
    torch.testing.assert_close(every[feasible], -best.score[feasible], rtol=1e-5, atol=1e-5)
    hidden = torch.rand(best.tokens.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    part = best.tokens.masked_fill(hidden, -1)
    constrained = ctc_loss(*case.arguments, reduction="none", observed=part)
    assert (constrained[feasible] < math.inf).all() and (constrained[feasible] >= loss[feasible] - 1e-4).all()
    again = ctc_best_path(*case.arguments, observed=part)
    assert torch.equal(again.states[feasible], best.states[feasible])


# ---- Traps of other libraries --------------------------------------------------------------------------------------


@both_precisions
def test_an_empty_target_is_all_blanks(dtype):
    case = problem(3, 7, 0, 5, dtype=dtype, ragged=False)
    torch.testing.assert_close(ctc_loss(*case.arguments, reduction="none"), -case.log_probs[:, :, 0].sum(1))
    assert ctc_best_path(*case.arguments).tokens.eq(0).all()


@both_precisions
def test_no_positions_and_no_labels_have_loss_0_and_labels_without_positions_inf(dtype):
    for length in (0, 4):
        case = problem(2, length, 2, 5, dtype=dtype, ragged=False)
        case.input_lengths[:], case.target_lengths[:] = 0, torch.tensor([0, 2])
        assert ctc_loss(*case.arguments, reduction="none").tolist() == [0, math.inf]
        best = ctc_best_path(*case.arguments)
        assert best.score.tolist() == [0, -math.inf] and best.states.eq(-1).all()
        assert gradient_of(case).eq(0).all()


def test_an_empty_batch_gives_empty_results():
    case = problem(2, 4, 2, 5, ragged=False)
    empty = Problem(*[tensor[:0] for tensor in case.arguments])
    assert [len(value) for value in results(empty)] == [0] * 5
    assert [float(ctc_loss(*empty.arguments, reduction=reduction)) for reduction in ("sum", "mean")] == [0, 0]


@both_precisions
def test_too_few_positions_for_labels_and_repeats_are_infeasible(dtype):
    case = problem(1, 6, 3, 5, dtype=dtype, ragged=False)
    case.targets[0] = torch.tensor([2, 2, 2])
    for length, feasible in ((5, True), (4, False)):
        case.input_lengths[0] = length
        assert ctc_feasible(*case.rest).tolist() == [feasible]
        assert (float(ctc_loss(*case.arguments)) < math.inf) == feasible
        assert (float(ctc_best_path(*case.arguments).score) > -math.inf) == feasible
        assert gradient_of(case).eq(0).all() != feasible


@both_precisions
def test_a_row_of_minus_infinity_makes_a_sentence_infeasible_and_its_gradient_0(dtype):
    case = problem(3, 6, 2, 5, dtype=dtype, ragged=False)
    case.log_probs[1, 3] = -math.inf
    loss = ctc_loss(*case.arguments, reduction="none")
    gradient = gradient_of(case)
    assert loss.isfinite().tolist() == [True, False, True] and loss[1] == math.inf
    assert gradient.isfinite().all() and gradient[1].eq(0).all() and gradient[0].ne(0).any()
    assert float(ctc_loss(*case.arguments, zero_infinity=True)) < math.inf
    assert ctc_best_path(*case.arguments).score[1] == -math.inf


@both_precisions
def test_single_cells_of_minus_infinity_only_close_their_paths(dtype):
    case = problem(1, 4, 2, 4, dtype=dtype, ragged=False, seed=13)
    case.log_probs[0, 1, 0] = case.log_probs[0, 0, case.targets[0, 0]] = -math.inf
    (rows, target) = next(sentences(case))
    expected = -log_sum([path_score(rows, path) for path in token_paths(4, 4, target, 0)])
    assert float(ctc_loss(*case.arguments, reduction="sum")) == pytest.approx(expected, rel=1e-5)
    assert gradient_of(case).isfinite().all()


@both_precisions
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_nan_or_infinity_shows_in_its_own_sentence_only(dtype, value):
    case = problem(3, 6, 2, 5, dtype=dtype, ragged=False)
    case.log_probs[1, 3, case.targets[1, 0]] = value
    assert ctc_loss(*case.arguments, reduction="none").isfinite().tolist() == [True, False, True]
    assert gradient_of(case).isfinite().all(2).all(1).tolist() == [True, False, True]
    best = ctc_best_path(*case.arguments)
    assert best.score.isnan().tolist() == [False, True, False] and best.states[1].eq(-1).all()
    rows = primitives.row_logsumexp(case.log_probs.flatten(0, 1))
    assert rows.isnan().nonzero().tolist() == [[6 + 3]]


@pytest.mark.parametrize("scale", [4e8, 1e12, 1e20])
def test_wherever_the_loss_is_finite_so_is_the_gradient_however_large_the_scores(scale):
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(64, 12, 6, generator=generator) * scale
    targets = torch.randint(1, 6, (64, 3), generator=generator)
    case = Problem(scores, targets, torch.full((64,), 12), torch.full((64,), 3))
    assert ctc_loss(*case.arguments, reduction="none").isfinite().all()
    torch.testing.assert_close(gradient_of(case).sum(2), -torch.ones(64, 12), atol=1e-6, rtol=0)


def test_large_scores_over_many_positions_keep_their_posteriors():
    case = problem(4, 2000, 30, 6, seed=20, ragged=False)
    case = Problem(torch.randn(4, 2000, 6, generator=torch.Generator().manual_seed(20)) * 1e6, *case.rest)
    exact = Problem(case.log_probs.double(), *case.rest)
    torch.testing.assert_close(gradient_of(case).double(), gradient_of(exact), atol=1e-2, rtol=0)


@pytest.mark.parametrize("labels", [256, 1030])
def test_long_targets_have_no_limit(labels):
    case = problem(2, labels + 40, labels, 3000, seed=labels)
    exact = Problem(case.log_probs.double(), *case.rest)
    torch.testing.assert_close(
        ctc_loss(*case.arguments, reduction="none").double(),
        ctc_loss(*exact.arguments, reduction="none"),
        rtol=1e-5,
        atol=0,
    )
    assert torch.equal(ctc_best_path(*case.arguments).states[0], ctc_best_path(*exact.arguments).states[0])


@both_precisions
def test_repeated_labels_share_a_column_and_add_up_there(dtype):
    case = problem(2, 12, 5, 3, dtype=dtype, ragged=False, seed=14)
    case.targets[:] = torch.tensor([[1, 2, 1, 2, 1], [1, 1, 2, 2, 1]])
    gradient = gradient_of(case)
    torch.testing.assert_close(gradient.sum(2), -torch.ones(2, 12, dtype=dtype), atol=1e-6, rtol=0)
    exact = gradient_of(Problem(case.log_probs.double(), *case.rest))
    torch.testing.assert_close(gradient.double(), exact, atol=2e-6, rtol=0)


@both_precisions
def test_with_all_positions_observed_the_loss_is_the_paths_own(dtype):
    case = problem(4, 12, 4, 6, dtype=dtype, ragged=False, seed=15)
    best = ctc_best_path(*case.arguments)
    loss = ctc_loss(*case.arguments, reduction="none", observed=best.tokens)
    torch.testing.assert_close(loss, -best.score)
    gradient = gradient_of(case, observed=best.tokens)
    expected = -F.one_hot(best.tokens, 6).to(dtype)
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0)
    unscored = ctc_loss(*case.arguments, reduction="none", observed=best.tokens, score_observed=False)
    assert unscored.abs().max() < 1e-5


def test_an_observed_token_that_the_target_lacks_is_infeasible():
    case = problem(1, 6, 2, 9, ragged=False)
    case.targets[0] = torch.tensor([3, 4])
    observed = torch.full((1, 6), -1)
    observed[0, 2] = 7
    assert float(ctc_loss(*case.arguments, observed=observed)) == math.inf
    assert float(ctc_best_path(*case.arguments, observed=observed).score) == -math.inf


def test_memory_layout_does_not_matter():
    case = problem(5, 8, 3, 7, seed=16)
    time_first = case.log_probs.transpose(0, 1).contiguous().transpose(0, 1)
    strided = torch.zeros(5, 8, 14)
    strided[:, :, ::2] = case.log_probs
    wide = torch.stack([case.targets, case.targets], 2)
    for scores, targets in ((time_first, case.targets), (strided[:, :, ::2], wide[:, :, 0])):
        assert not (scores.is_contiguous() and targets.is_contiguous())
        assert_identical(results(Problem(scores, targets, *case.rest[1:])), results(case))


def test_tables_of_more_than_2_to_the_31_cells_are_addressed_in_64_bits():
    batch, length, vocabulary = 3, 2900, 250_002
    try:
        table = torch.empty(batch, length, vocabulary)  # 8.7 GB of addresses, of which few are ever touched
    except RuntimeError:
        pytest.skip("not enough address space")
    assert table.numel() > 2**31
    case = problem(1, length, 2, 4, ragged=False, seed=17)
    columns = torch.tensor([0, 5, vocabulary - 1])
    table[:, :, columns] = case.log_probs[:, :, :3]
    big = Problem(table, columns[1:].expand(3, -1), torch.full((3,), length), torch.full((3,), 2))
    small = Problem(case.log_probs[:, :, :3], torch.tensor([[1, 2]]), *case.rest[1:])
    loss = ctc_loss(*big.arguments, reduction="none")
    assert torch.equal(loss, ctc_loss(*small.arguments, reduction="none").expand(3))
    assert torch.equal(ctc_best_path(*big.arguments).states[2], ctc_best_path(*small.arguments).states[0])


# ---- Bad arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": torch.zeros(2, 5)}, r"log_probs must have shape \(B, T, V\), got \(2, 5\)"),
        ({"log_probs": torch.zeros(2, 5, 4, dtype=torch.int64)}, "log_probs must be floating point"),
        ({"targets": torch.ones(3, 2, dtype=torch.int64)}, r"targets must have shape \(B, L\) = \(2, 2\)"),
        ({"targets": torch.ones(2, 2)}, "targets must be int64, got torch.float32"),
        ({"targets": torch.tensor([[1, 2], [3, 4]])}, r"targets\[1, 1\] is 4, expected a label in 0..3"),
        ({"targets": torch.tensor([[1, 2], [-1, 3]])}, r"targets\[1, 0\] is -1"),
        ({"targets": torch.tensor([[1, 0], [1, 3]])}, r"targets\[0, 1\] is 0, .* other than the blank \(0\)"),
        ({"input_lengths": torch.tensor([5, 6])}, r"input_lengths\[1\] is 6, expected a length in 0..5"),
        ({"input_lengths": torch.tensor([-1, 5])}, r"input_lengths\[0\] is -1"),
        ({"input_lengths": torch.tensor([5])}, r"input_lengths must have shape \(B,\) = \(2,\), got \(1,\)"),
        ({"input_lengths": torch.tensor([5, 5], dtype=torch.int32)}, "input_lengths must be int64"),
        ({"target_lengths": torch.tensor([2, 3])}, r"target_lengths\[1\] is 3, expected a length in 0..2"),
        ({"blank": 4}, "blank must be a column 0..3, got 4"),
        ({"reduction": "max"}, "reduction must be none, sum or mean, got 'max'"),
        ({"constraint": "word"}, "constraint must be token or state, got 'word'"),
        ({"observed": torch.zeros(2, 4, dtype=torch.int64)}, r"observed must have shape \(B, T\) = \(2, 5\)"),
        ({"observed": torch.full((2, 5), 4)}, r"observed\[0, 0\] is 4, expected -1 \(free\) or a token in 0..3"),
        ({"observed": torch.full((2, 5), 5), "constraint": "state"}, r"observed\[0, 0\] is 5, .* lattice state"),
        ({"targets": torch.ones(2, 2, dtype=torch.int64, device="meta")}, "targets is on meta"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_computed(change, message):
    arguments = {
        "log_probs": torch.zeros(2, 5, 4),
        "targets": torch.ones(2, 2, dtype=torch.int64),
        "input_lengths": torch.tensor([5, 5]),
        "target_lengths": torch.tensor([2, 2]),
    }
    with pytest.raises(ValueError, match=message):
        ctc_loss(**arguments | change)


@both_precisions
def test_unvalidated_bad_lengths_and_labels_give_nan_to_their_sentences_only(dtype):
    case = problem(6, 6, 2, 5, dtype=dtype, ragged=False)
    expected = ctc_loss(*case.arguments, reduction="none")
    case.targets[0, 1], case.targets[1, 0] = 99, -7
    case.input_lengths[2], case.input_lengths[3] = 1000, -1
    case.target_lengths[4] = 50
    loss = ctc_loss(*case.arguments, reduction="none", validate=False)
    assert loss.isnan().tolist() == [True] * 5 + [False] and loss[5] == expected[5]
    best = ctc_best_path(*case.arguments, validate=False)
    assert best.score.isnan().tolist() == [True] * 5 + [False] and best.states[:5].eq(-1).all()
    gradient = gradient_of(case, validate=False)
    assert gradient[:5].isnan().all() and gradient[5].isfinite().all()


def test_feasibility_counts_only_repeats_within_the_target():
    targets = torch.tensor([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3]])
    assert ctc_feasible(targets, torch.tensor([6, 3, 0]), torch.tensor([4, 2, 0])).tolist() == [True, True, True]
    assert ctc_feasible(targets, torch.tensor([5, 2, 0]), torch.tensor([4, 2, 1])).tolist() == [False, False, False]


@pytest.mark.parametrize("index", range(30))
def test_random_batches_agree_with_the_reference(index):
    check(random_batch(seed=1, index=index))


# ---- As operators of torch -----------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize("by_state", [True, False])
def test_the_operators_pass_opcheck(dtype, by_state):
    case = problem(3, 6, 2, 5, dtype=dtype)
    observed = torch.full((3, 6), -1)
    observed[0, 0] = 0
    options = (observed, 0, by_state, True, True, True)
    log_probs = case.log_probs.requires_grad_()
    arguments = (log_probs, derivatives.anchor(log_probs), *case.rest, *options)
    torch.library.opcheck(torch.ops.xlmd.ctc_loss, arguments)
    torch.library.opcheck(
        torch.ops.xlmd.ctc_loss, (*(tensor.detach() for tensor in arguments[:2]), *arguments[2:-2], False, False)
    )
    best = (case.log_probs.detach(), *case.rest, None, 0, True)
    torch.library.opcheck(torch.ops.xlmd.ctc_best_states, best)


def test_without_the_native_library_results_are_the_same_and_one_warning_says_so(monkeypatch, caplog):
    case = problem(8, 12, 4, 7, seed=18)
    native = results(case)
    monkeypatch.setattr(primitives, "built", False)
    primitives._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        plain = results(case)
        results(case)
    assert len(caplog.records) == 1 and "pip install" in caplog.text
    for a, b in zip(native, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_build_without_cuda_sends_cuda_tensors_to_torch_with_one_warning(monkeypatch, caplog):
    on_cuda = SimpleNamespace(dtype=torch.float32, is_cuda=True)
    monkeypatch.setattr(primitives, "native", SimpleNamespace(cuda_built=False))
    primitives._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not primitives._is_native(on_cuda) and not primitives._is_native(on_cuda)
    assert len(caplog.records) == 1 and "built without CUDA" in caplog.text


def test_a_gpu_too_old_for_the_kernels_is_sent_to_torch_with_one_warning(monkeypatch, caplog):
    on_cuda = SimpleNamespace(dtype=torch.float32, is_cuda=True, device="cuda:0")
    monkeypatch.setattr(primitives, "native", SimpleNamespace(cuda_built=True))
    primitives._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        for capability, native in (((7, 5), False), ((7, 5), False), ((8, 0), True), ((10, 0), True)):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
            assert primitives._is_native(on_cuda) == native
    assert len(caplog.records) == 1 and "compute capability 7.5, 8.0 is needed" in caplog.text
