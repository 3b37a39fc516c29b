"""GLAT: what it is shown in training, what it never sees, and that a batch translates as its sentences alone."""

import pytest
import torch
from nat_models import (
    BOS,
    END,
    batch,
    different_translations,
    learned_by_heart,
    pad,
    pairs_to_learn,
    seeded,
    sentences,
    small,
)

from xlmd.errors import UserError
from xlmd.nat.rescoring import RescoredDecoding
from xlmd.systems import glat as system_file
from xlmd.systems.glat import GLAT
from xlmd.tensors import inside


def glat(**settings):
    return small(GLAT, **settings)


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = glat(init_std=0.3)  # large, so that predictions differ from position to position
    return system, system.build().eval()


def recorded_inputs(model, monkeypatch):
    """What the decoder is given, pass by pass."""
    given = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda inputs, *rest: given.append(inputs.detach()) or decode(inputs, *rest))
    return given


def show(monkeypatch, shown):
    """Reveal these positions, whatever the errors."""
    monkeypatch.setattr(system_file, "reveal", lambda *_: shown)


# Training


def test_tokens_are_shown_in_the_place_of_the_copied_source_and_the_others_scored(untrained, monkeypatch):
    system, model = untrained
    pairs = batch(sentences(4), sentences(4, seed=1))
    shown = inside(pairs.target_lengths) & (torch.rand(pairs.target.shape, generator=seeded()) < 0.4)
    show(monkeypatch, shown)
    given, scored = recorded_inputs(model, monkeypatch), []
    logits = model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(len(hidden)) or logits(hidden))
    _, figures = system.loss(model, pairs, 0.0, seeded())
    first, second = given
    assert torch.equal(second[shown], model.embed(pairs.target)[shown])
    assert torch.equal(second[~shown], first[~shown])
    tokens = int(pairs.target_lengths.sum())
    assert scored[-1] == tokens - int(shown.sum())
    assert figures["shown"] == pytest.approx(int(shown.sum()) / tokens)


def test_hidden_target_tokens_reach_neither_pass(untrained, monkeypatch):
    """Of two targets that differ where nothing is shown, every pass reads the same."""
    system, model = untrained
    sources, targets = sentences(5), sentences(5, seed=1)
    others = [[7 if token != 7 else 8 for token in row] for row in targets]
    lengths = torch.tensor([len(row) for row in targets])
    show(monkeypatch, torch.zeros(5, int(lengths.max()), dtype=torch.bool))
    given = recorded_inputs(model, monkeypatch)
    for rows in (targets, others):
        system.loss(model, batch(sources, rows), 0.0, seeded())
    assert torch.equal(given[0], given[2]) and torch.equal(given[1], given[3])
    assert torch.equal(given[0], given[1])


def test_the_number_shown_follows_the_errors_of_the_first_pass(untrained, monkeypatch):
    system, model = untrained
    pairs = batch(sentences(30), sentences(30, seed=1))
    with torch.no_grad():  # the model's own predictions at half of the positions: they are no errors
        source, lengths = system.with_specials(pairs.source, pairs.source_lengths)
        seen, visible = inside(lengths), inside(pairs.target_lengths)
        copied = model.copied(source, lengths, pairs.target_lengths, pairs.target.shape[1])
        predicted = model.logits(model.decode(copied, visible, model.encode(source, seen), seen)).argmax(-1)
    right = visible & (torch.rand(visible.shape, generator=seeded()) < 0.5)
    pairs.target = torch.where(right, predicted, pairs.target)
    errors = ((predicted != pairs.target) & visible).sum(1).tolist()
    tokens = int(pairs.target_lengths.sum())
    for progress, ratio in ((0.0, 0.5), (0.5, 0.4)):
        _, figures = system.loss(model, pairs, progress, seeded())
        assert figures["shown"] == pytest.approx(sum(int(ratio * count) for count in errors) / tokens)
        assert figures["accuracy"] == pytest.approx(1 - sum(errors) / tokens)


def test_both_passes_have_the_same_dropout(monkeypatch):
    torch.manual_seed(0)
    system = glat(dropout=0.3)
    model = system.build().train()
    pairs = batch(sentences(4), sentences(4, seed=1))
    show(monkeypatch, torch.zeros_like(pairs.target, dtype=torch.bool))
    states, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda *rest: states.append(decode(*rest)) or states[-1])
    system.loss(model, pairs, 0.0, seeded())
    assert torch.equal(states[0], states[1].detach())
    assert not states[0].requires_grad and states[1].requires_grad


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained, monkeypatch):
    system, model = untrained
    monkeypatch.setattr(system_file, "reveal", lambda wrong, *_: torch.zeros_like(wrong))
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, _ = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-5)
    figures = [
        system.loss(model, batch([source], [target]), 0.0, seeded())[1]
        for source, target in zip(sources, targets, strict=True)
    ]
    counts = [len(target) for target in targets]
    _, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    nll = sum(alone["nll"] * count for alone, count in zip(figures, counts, strict=True)) / sum(counts)
    assert whole["nll"] == pytest.approx(float(nll), abs=1e-5)
    assert whole["length_nll"] == pytest.approx(float(sum(alone["length_nll"] for alone in figures)) / 6, abs=1e-5)


def test_the_length_loss_weighs_as_much_as_is_left_to_learn(untrained, monkeypatch):
    _, model = untrained
    pairs = batch(sentences(5), [[5, 6, 7, 8]] * 5)
    shown = torch.tensor([[True, False, False, False]] * 5)  # three quarters are left
    show(monkeypatch, shown)
    losses = [glat(length_weight=weight).loss(model, pairs, 0.0, seeded()) for weight in (0.0, 1.0)]
    difference = losses[1][0].item() - losses[0][0].item()
    assert difference == pytest.approx(0.75 * float(losses[0][1]["length_nll"]), abs=1e-5)


# The model and decoding


def test_positions_are_added_before_every_layer(untrained):
    """With the position embeddings moved before the second layer only, the states change."""
    _, model = untrained
    source, lengths = pad([[BOS, 7, 8, END]])
    seen = inside(lengths)
    encoded, inputs = model.encode(source, seen), torch.randn(1, 3, 32, generator=seeded())
    states, given = model.decode(inputs, torch.ones(1, 3).bool(), encoded, seen), []
    for layer in model.model.decoder.layers:
        layer.register_forward_pre_hook(lambda module, args: given.append(args[0]))
        layer.register_forward_hook(lambda module, args, output: given.append(output))
    assert torch.equal(model.decode(inputs, torch.ones(1, 3).bool(), encoded, seen), states)
    positions = model.positions(3)
    assert torch.equal(given[0], inputs + positions) and torch.equal(given[2], given[1] + positions)


@pytest.mark.parametrize(
    "decoding", [RescoredDecoding(), RescoredDecoding(length_beam=5, length_candidates="neighbours")]
)
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    assert different_translations(system, model, decoding) > 15


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    system = glat(label_smoothing=0.0, length_weight=1.0)
    assert learned_by_heart(system, *pairs_to_learn(), [RescoredDecoding()], tmp_path) > 95


# Settings


@pytest.mark.parametrize("settings", [{"glancing_start": 1.0}, {"glancing_end": -0.1}])
def test_a_share_that_leaves_nothing_to_learn_is_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        glat(**settings)


def test_tables_print_it_as_glat_with_one_iteration():
    system = glat()
    described = system.describe(system.build())
    assert (described["system"], described["label"], described["size"]) == ("glat", "GLAT", "2+2 layers")
    assert system.iterations_label(RescoredDecoding(length_beam=5)) == "1"
