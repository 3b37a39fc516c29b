"""Vanilla-NAT: copying by fertilities, what its decoder's positions see, and the fertilities that decoding tries."""

import itertools

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
    parallel,
    seeded,
    sentences,
    small,
)
from torch.nn import functional as F

from xlmd.systems.nat_fertility import FertilityNAT, FertilityNATDecoding, most_probable_sequences
from xlmd.tensors import inside


def fertility_nat(**settings):
    return small(FertilityNAT, **({"ffn": 64} | settings))


@pytest.fixture
def untrained(tmp_path):
    """A system that has aligned six pairs, its model, and the pairs."""
    torch.manual_seed(4)
    system = fertility_nat(init_std=0.3)  # large, so that predictions differ from position to position
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    system.study(parallel(tmp_path, sources, targets))
    return system, system.build().eval(), sources, targets


def numbered(sources, targets, numbers):
    pairs = batch([sources[number] for number in numbers], [targets[number] for number in numbers])
    pairs.indices = torch.tensor(numbers)
    return pairs


def test_a_source_token_is_copied_as_often_as_its_fertility_says():
    model = fertility_nat().build()
    source = torch.tensor([[BOS, 5, 6, 7, END], [BOS, 8, 9, END, 1]])
    copied = model.copied(source, torch.tensor([[0, 2, 0, 3, 0], [0, 1, 1, 0, 0]]), 5)
    assert torch.equal(copied[0], model.embed(torch.tensor([5, 5, 7, 7, 7])))
    assert torch.equal(copied[1, :2], model.embed(torch.tensor([8, 9])))


def test_the_fertilities_of_a_batch_are_its_pairs_own_and_sum_up_to_the_targets(untrained):
    system, _, sources, targets = untrained
    for numbers in ([0, 1, 2, 3, 4, 5], [5, 2], [3]):
        pairs = numbered(sources, targets, numbers)
        counts = system.aligned(pairs)
        assert torch.equal(counts.sum(dim=1), pairs.target_lengths)
        assert not counts[~inside(pairs.source_lengths)].any()
        for row, number in enumerate(numbers):
            alone = system.aligned(numbered(sources, targets, [number]))
            assert torch.equal(counts[row, : len(sources[number])], alone[0])


def test_no_position_sees_itself_unless_it_is_alone(untrained):
    """A single layer's state at a position depends on the others' inputs and, by the residual, on its own."""
    _, model, _, _ = untrained
    source, lengths = pad([[BOS, 7, 8, END]])
    seen = inside(lengths)
    encoded, masks = model.encode(source, seen), []
    for layer in model.model.decoder.layers:
        layer.self_attn.register_forward_pre_hook(
            lambda module, args, kwargs: masks.append(kwargs["attention_mask"]), with_kwargs=True
        )
    model.decode(torch.randn(2, 3, 32), inside(torch.tensor([3, 1])), encoded.expand(2, -1, -1), seen.expand(2, -1))
    for mask in masks:
        assert torch.equal(mask[0, 0], ~torch.eye(3, dtype=torch.bool))
        assert mask[1, 0].tolist()[0] == [True, False, False]


def test_positional_attention_weighs_by_positions_alone(untrained):
    """Its change is linear in the states, up to its norm: the weights do not depend on them."""
    _, model, _, _ = untrained
    attention = model.positional[0]
    attention.layer_norm = torch.nn.Identity()
    positions, seen = torch.randn(5, 32), torch.ones(1, 1, 5, 5).bool()
    first, second = torch.randn(2, 1, 5, 32)
    zero = attention(torch.zeros(1, 5, 32), positions, seen)
    both = attention(first + second, positions, seen) - zero
    parts = attention(first, positions, seen) - zero + attention(second, positions, seen) - zero
    assert torch.allclose(both, parts, atol=1e-4)
    moved = attention(first, positions.flip(0), seen)
    assert not torch.allclose(moved, attention(first, positions, seen), atol=1e-2)


def test_of_the_target_only_the_fertilities_reach_the_decoder(untrained, monkeypatch):
    system, model, sources, targets = untrained
    given, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda inputs, *rest: given.append(inputs) or decode(inputs, *rest))
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        system.loss(model, numbered(sources, rows, list(range(6))), 0.0, seeded())
    assert torch.equal(*given)


def test_the_loss_is_that_of_the_sentences_one_by_one(untrained):
    """−log p of every token and fertility, summed in a loop, whatever the padding and order."""
    system, model, sources, targets = untrained
    together, figures = system.loss(model, numbered(sources, targets, [0, 1, 2, 3, 4, 5]), 0.0, seeded())
    reversed_, _ = system.loss(model, numbered(sources, targets, [5, 4, 3, 2, 1, 0]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-4)
    words = counts = 0.0
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        pair = numbered(sources, targets, [number])
        fertilities = system.aligned(pair)[0].tolist()
        read, read_lengths = system.with_specials(pair.source, pair.source_lengths)
        encoded = model.encode(read, inside(read_lengths))
        copies = [token for token, count in zip(source, fertilities, strict=True) for _ in range(count)]
        inputs = model.embed(torch.tensor([copies]))
        hidden = model.decode(inputs, inside(pair.target_lengths), encoded, inside(read_lengths))
        log_p = model.logits(hidden)[0].log_softmax(-1)
        words -= sum(log_p[place, token].item() for place, token in enumerate(target))
        log_p = model.fertility(encoded)[0].log_softmax(-1)
        counts -= sum(log_p[place + 1, count].item() for place, count in enumerate(fertilities))
    tokens = sum(len(target) for target in targets)
    assert figures["nll"].item() == pytest.approx(words / tokens, abs=1e-4)
    assert figures["fertility_nll"].item() == pytest.approx(counts / sum(len(source) for source in sources), abs=1e-4)
    assert together.item() == pytest.approx((words + counts) / tokens, abs=1e-4)


# Decoding


def test_the_most_probable_sequences_are_those_of_all():
    log_p = torch.randn(3, 4, 5, generator=seeded()).log_softmax(-1)
    found = most_probable_sequences(log_p, 7)
    for row in range(3):
        every = sorted(
            itertools.product(range(5), repeat=4),
            key=lambda sequence: -sum(log_p[row, place, choice].item() for place, choice in enumerate(sequence)),
        )
        assert [tuple(sequence) for sequence in found[row].tolist()] == every[:7]


def fertilities_of(model, monkeypatch, count):
    """The model predicts this fertility everywhere."""
    everywhere = F.one_hot(torch.tensor(count), model.config.max_fertility + 1).float() * 50
    monkeypatch.setattr(model.fertility, "forward", lambda states: everywhere.expand(*states.shape[:-1], -1))


def test_a_translation_is_as_long_as_its_fertilities_up_to_its_limit_and_never_empty(untrained, monkeypatch):
    system, model, _, _ = untrained
    sources = [[7], [7] * 5, [7] * 20, []]
    for count, lengths in ((1, [1, 5, 20, 1]), (3, [2, 10, 32, 1]), (0, [1, 1, 1, 1])):
        fertilities_of(model, monkeypatch, count)
        translations = system.translate(model, sources, FertilityNATDecoding())
        assert [len(row) for row in translations] == lengths


@pytest.mark.parametrize("candidates", [1, 4])
def test_a_batch_translates_as_its_sentences_alone(untrained, candidates):
    system, model, _, _ = untrained
    decoding = FertilityNATDecoding(fertilities=candidates)
    assert different_translations(system, model, decoding, count=25) > 10


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    system, (sources, targets) = fertility_nat(), pairs_to_learn()
    figures = system.study(parallel(tmp_path, sources, targets))
    assert figures["mean_fertility"] == pytest.approx(sum(map(len, targets)) / sum(map(len, sources)))
    decodings = [FertilityNATDecoding(max_length_ratio=8.0)]
    assert learned_by_heart(system, sources, targets, decodings, tmp_path / "model") > 95


def test_tables_print_it_as_vanilla_nat_with_one_iteration():
    system = fertility_nat()
    described = system.describe(system.build())
    assert (described["label"], described["size"]) == ("Vanilla-NAT", "2+2 layers")
    assert system.iterations_label(FertilityNATDecoding(fertilities=10)) == "1"
