"""AXE: its loss against all alignments there are, what a mask hides, blanks; a batch translates as its sentences."""

from itertools import product

import pytest
import torch
from nat_models import (
    BOS,
    MASK,
    batch,
    different_translations,
    learned_by_heart,
    pad,
    pairs_to_learn,
    seeded,
    sentences,
    small,
)

from xlmd.nat.aligned_cross_entropy import aligned_cross_entropy, cheapest_alignment
from xlmd.systems import axe as system_file
from xlmd.systems.axe import AXE, AXEDecoding
from xlmd.systems.cmlm import CMLM
from xlmd.tensors import inside, where_true


def axe(**settings):
    return small(AXE, **settings)


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = axe(init_std=0.5)  # large, so that predictions differ from position to position
    return system, system.build().eval()


# The alignment


def every_alignment(tokens, predictions):
    """Every sequence of alignments (token, prediction), skipped predictions (None, prediction) and skipped tokens."""
    if not tokens and not predictions:
        yield []
    if tokens and predictions:
        yield from ([*path, (tokens - 1, predictions - 1)] for path in every_alignment(tokens - 1, predictions - 1))
    if predictions:
        yield from ([*path, (None, predictions - 1)] for path in every_alignment(tokens, predictions - 1))
    if tokens:
        yield from (
            [*path, (tokens - 1, None, max(predictions, 1) - 1)] for path in every_alignment(tokens - 1, predictions)
        )


def cost_of(path, token, blank, skipped_token):
    costs = [
        blank[step[1]]
        if step[0] is None
        else token[step[0]][step[1]]
        if len(step) == 2
        else skipped_token * token[step[0]][step[2]]
        for step in path
    ]
    return float(sum(costs))


@pytest.mark.parametrize("skipped_token", [1.0, 2.0, 5.0])
def test_no_alignment_is_cheaper(skipped_token):
    """Every pair of lengths up to 4 in one batch, so that each is padded; padding has costs of its own."""
    lengths = torch.tensor(list(product(range(1, 5), range(1, 5))))
    generator = seeded(int(skipped_token))
    token, blank = torch.rand(16, 4, 4, generator=generator) * 5, torch.rand(16, 4, generator=generator) * 3
    found = cheapest_alignment(token, blank, lengths[:, 0], lengths[:, 1], skipped_token)
    for row, (targets, predictions) in enumerate(lengths.tolist()):
        table, blanks = token[row].tolist(), blank[row].tolist()
        best = min(cost_of(path, table, blanks, skipped_token) for path in every_alignment(targets, predictions))
        position, aligned = found.position[row, :targets].tolist(), found.aligned[row, :targets].tolist()
        cost = sum(
            table[i][j] * (1 if here else skipped_token)
            for i, (j, here) in enumerate(zip(position, aligned, strict=True))
        )
        cost += sum(blanks[j] for j in range(predictions) if not found.used[row, j])
        assert cost == pytest.approx(best, abs=1e-4)
        taken = [j for j, here in zip(position, aligned, strict=True) if here]
        assert taken == sorted(set(taken)) == found.used[row].nonzero().flatten().tolist()
        assert not found.aligned[row, targets:].any()


def test_a_shifted_target_costs_one_blank_and_one_skipped_token():
    """Cross entropy would find every token wrong."""
    target = torch.tensor([[5, 6, 7, 8]])
    logits = torch.full((4, 10), -20.0)
    for place, token in enumerate([0, 5, 6, 7]):  # a blank, and then the target one place late
        logits[place, token] = 0.0
    chosen = torch.ones(1, 4, dtype=torch.bool)
    loss, nll, skipped = aligned_cross_entropy(
        logits, where_true(chosen), chosen, target, blank=0, skipped_token=2.0, smoothing=0.0
    )
    assert loss == nll == pytest.approx(2 * 20 / 4, rel=1e-3) and skipped == 0.25


def test_the_loss_is_that_of_its_definition_sentence_by_sentence():
    """With smoothing, and of chosen tokens in the middle of others; its gradient is that of the cheapest path."""
    target, lengths = pad([[5, 6, 7, 5], [8, 8, 6], [7]])
    chosen = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    logits = torch.randn(6, 12, generator=seeded(2)).mul(3).requires_grad_()
    loss, nll, _ = aligned_cross_entropy(
        logits, where_true(chosen), chosen, target, blank=0, skipped_token=2.0, smoothing=0.1
    )
    log_probs, expected, plain, start = logits.log_softmax(-1), 0.0, 0.0, 0
    for row in range(3):
        tokens = target[row][chosen[row]].tolist()
        rows = log_probs[start : start + len(tokens)]
        start += len(tokens)
        table = [[-rows[j, token].item() for j in range(len(tokens))] for token in tokens]
        path = min(
            every_alignment(len(tokens), len(tokens)),
            key=lambda path: cost_of(path, table, (-rows[:, 0]).tolist(), 2.0),
        )
        for step in path:
            place = step[-1]
            asked = 0 if step[0] is None else tokens[step[0]]
            weight = 2.0 if len(step) == 3 else 1.0
            plain = plain - weight * rows[place, asked]
            expected = expected - weight * (0.9 * rows[place, asked] + 0.1 * rows[place].mean())
    assert nll.item() == pytest.approx(plain.item() / 6, abs=1e-4)
    assert loss.item() == pytest.approx(expected.item() / 6, abs=1e-4)
    found, wanted = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (loss, expected / 6))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


# Training


def test_where_every_token_stands_in_its_place_the_loss_is_cmlms(untrained, monkeypatch):
    """Skipping a token is made dear, and a blank impossible."""
    _, model = untrained
    logits = model.logits

    def without_blank(hidden):
        scores = logits(hidden)
        scores[:, BOS] = -1e3
        return scores

    monkeypatch.setattr(model, "logits", without_blank)
    pairs = batch(sentences(5), sentences(5, seed=1))
    loss, figures = axe(skipped_token=1e3, label_smoothing=0.0).loss(model, pairs, 0.0, seeded(3))
    theirs, expected = small(CMLM, label_smoothing=0.0).loss(model, pairs, 0.0, seeded(3))
    assert figures["nll"].item() == pytest.approx(expected["nll"].item(), abs=1e-4) and figures["skipped"] == 0
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-4)


def test_a_hidden_token_reaches_no_prediction(untrained, monkeypatch):
    system, model = untrained
    sources, targets = sentences(5), sentences(5, seed=1)
    monkeypatch.setattr(system_file, "uniform_mask", lambda lengths, *_: inside(lengths))
    scored, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(hidden) or logits(hidden))
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        system.loss(model, batch(sources, rows), 0.0, seeded())
    assert torch.equal(scored[0], scored[1])


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained, monkeypatch):
    system, model = untrained
    monkeypatch.setattr(system_file, "uniform_mask", lambda lengths, *_: inside(lengths))
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-5)
    alone = [system.loss(model, batch([x], [y]), 0.0, seeded())[1] for x, y in zip(sources, targets, strict=True)]
    counts = [len(target) for target in targets]
    for name, weights in (("nll", counts), ("skipped", counts), ("length_nll", [1] * 6)):
        mean = sum(figures[name] * count for figures, count in zip(alone, weights, strict=True)) / sum(weights)
        assert whole[name].item() == pytest.approx(mean.item(), abs=1e-5)


# Decoding


@pytest.mark.parametrize("decoding", [AXEDecoding(), AXEDecoding(length_beam=1, length_factor=1.5)])
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    assert different_translations(system, model, decoding) > 8


def test_blanks_are_predicted_and_dropped_and_there_is_room_for_them(untrained, monkeypatch):
    """Every second prediction is a blank."""
    system, model = untrained
    shown = []
    embed = model.embed
    monkeypatch.setattr(model, "embed", lambda tokens: shown.append(tokens) or embed(tokens))

    def alternating(hidden, forbidden):
        assert BOS not in forbidden and MASK in forbidden
        tokens = torch.full(hidden.shape[:2], 7)
        tokens[:, ::2] = BOS
        return tokens, torch.zeros(hidden.shape[:2])

    monkeypatch.setattr(model, "most_probable", alternating)
    monkeypatch.setattr(model.length_head, "forward", lambda *_: torch.eye(32)[[19, 29]])
    translations = system.translate(model, [[5], [6]], AXEDecoding(length_beam=1, length_factor=1.2))
    assert (shown[0] == MASK).sum(1).tolist() == [32, 32] and len(shown) == 1
    assert translations == [[7] * 12, [7] * 16]  # of 24, and of 36 cut to the positions


def test_the_room_for_blanks_is_chosen_on_the_dev_set_the_least_of_equals():
    scores = {1.0: 20.0, 1.1: 23.0, 1.15: 23.0}
    tried = []

    def bleu(decoding):
        tried.append(decoding)
        return scores.get(decoding.length_factor, 22.0)

    assert axe().choose(None, bleu) == {"length_factor": 1.1}
    assert all(decoding.length_beam == AXEDecoding().length_beam for decoding in tried)


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    decodings = [AXEDecoding(length_beam=1, length_factor=1.0)]
    assert learned_by_heart(axe(label_smoothing=0.0), *pairs_to_learn(), decodings, tmp_path) > 95


def test_tables_print_it_as_axe_with_one_iteration():
    system = axe()
    described = system.describe(system.build())
    assert (described["system"], described["label"], described["size"]) == ("axe", "AXE", "2+2 layers")
    assert system.iterations_label(AXEDecoding()) == "1"
