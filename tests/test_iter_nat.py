"""Iter-NAT: what each pass reads, in training and in decoding, and when decoding ends."""

import pytest
import torch
from nat_models import MASK, SPECIALS, batch, learned_by_heart, pad, pairs_to_learn, seeded, sentences, small

from xlmd.errors import UserError
from xlmd.nat.system import merge_repeats
from xlmd.systems import iter_nat as system_file
from xlmd.systems.iter_nat import IterNAT, IterNATDecoding, disturbed
from xlmd.tensors import inside


def iter_nat(**settings):
    return small(IterNAT, **({"length_range": 12, "ffn": 64} | settings))


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = iter_nat(init_std=0.3)  # large, so that predictions differ from position to position
    return system, system.build().eval()


# Corruption


def edits(row, share, seed=0):
    tokens, lengths = pad([row])
    return disturbed(tokens, lengths, share, range(4, MASK), seeded(seed))[0].tolist()


def test_one_edit_repeats_a_token_replaces_one_or_swaps_two():
    row, kinds = [10, 11, 12, 13, 14], set()
    for seed in range(200):
        changed = edits(row, 0.2, seed)
        places = [place for place in range(5) if changed[place] != row[place]]
        if len(places) == 2:
            first, second = places
            assert second == first + 1 and [changed[first], changed[second]] == [row[second], row[first]]
            kinds.add("swap")
        elif places:
            (place,) = places
            kinds.add("repeat" if place and changed[place] == row[place - 1] else "replace")
    assert kinds == {"swap", "repeat", "replace"}


def test_a_share_of_the_positions_is_edited_and_at_least_one():
    """Of distinct tokens, each edit changes one or two (a random token may be the one that was there)."""
    row = list(range(4, 24))
    for share, most in ((0.01, 2), (0.1, 4), (0.5, 20)):
        changes = [sum(a != b for a, b in zip(edits(row, share, seed), row, strict=True)) for seed in range(50)]
        assert max(changes) <= most and sum(changes) / 50 > most / 4


def test_padding_stays_and_a_token_alone_too():
    tokens, lengths = pad([[5, 6, 7], [8], [9, 10]])
    for seed in range(30):
        changed = disturbed(tokens, lengths, 0.9, range(4, MASK), seeded(seed))
        assert torch.equal(changed[~inside(lengths)], tokens[~inside(lengths)])
        assert changed[1, 0] == 8
        assert not set(SPECIALS) & set(changed[inside(lengths)].tolist())


def test_the_corrupted_share_falls_from_pass_to_pass():
    settings = iter_nat().settings
    assert [round(settings.corruption(number), 3) for number in (2, 3, 4)] == [0.633, 0.367, 0.1]


# Training


def recorded(model, monkeypatch):
    """The tokens that each pass after the first reads."""
    read, refine = [], model.refine
    monkeypatch.setattr(model, "refine", lambda tokens, *rest: read.append(tokens) or refine(tokens, *rest))
    return read


def test_a_pass_reads_what_the_one_before_predicted_or_a_corrupted_target(untrained, monkeypatch):
    _, model = untrained
    pairs, read = batch(sentences(4), sentences(4, seed=1)), recorded(model, monkeypatch)
    scored, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(logits(hidden)) or scored[-1])
    visible = inside(pairs.target_lengths)
    iter_nat(denoising=0.0).loss(model, pairs, 0.0, seeded())
    assert len(scored) == 4 and len(read) == 3
    for tokens, scores in zip(read, scored, strict=False):
        assert torch.equal(tokens[visible], scores.argmax(1))
    monkeypatch.setattr(system_file, "disturbed", lambda target, *_: target + 1)
    iter_nat(denoising=1.0).loss(model, pairs, 0.0, seeded())
    assert all(torch.equal(tokens, pairs.target + 1) for tokens in read[3:])


def test_without_denoising_nothing_of_the_target_reaches_any_pass(untrained, monkeypatch):
    _, model = untrained
    states, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda *rest: states.append(decode(*rest)) or states[-1])
    targets = sentences(5, seed=1)
    visible = inside(torch.tensor([len(row) for row in targets]))
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        iter_nat(denoising=0.0).loss(model, batch(sentences(5), rows), 0.0, seeded())
    for first, second in zip(states[:4], states[4:], strict=True):
        assert torch.equal(first[visible], second[visible])


def test_a_gradient_reaches_the_first_decoder_from_the_last_pass_through_its_states(untrained):
    _, model = untrained
    pairs = batch(sentences(4), sentences(4, seed=1))
    visible, source_mask = inside(pairs.target_lengths), inside(pairs.source_lengths)
    encoded = model.encode(pairs.source, source_mask).detach()
    hidden = model.first(pairs.source, pairs.source_lengths, visible, encoded, source_mask)
    model.refine(pairs.target, hidden, visible, encoded, source_mask)[visible].square().sum().backward()
    assert all(layer.fc1.weight.grad.abs().sum() > 0 for layer in model.model.decoder.layers)
    assert all(layer.fc1.weight.grad.abs().sum() > 0 for layer in model.refiner)


def test_the_loss_is_the_sum_over_passes_of_the_sentences_one_by_one(untrained):
    """Whatever their padding and order."""
    _, model = untrained
    system = iter_nat(denoising=0.0)
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-4)
    sums, lengths = torch.zeros(4), 0.0
    for source, target in zip(sources, targets, strict=True):
        pair = batch([source], [target])
        read, read_lengths = system.with_specials(pair.source, pair.source_lengths)
        source_mask, visible = inside(read_lengths), inside(pair.target_lengths)
        encoded = model.encode(read, source_mask)
        hidden = model.first(read, read_lengths, visible, encoded, source_mask)
        for number in range(4):
            log_p = model.logits(hidden)[0].log_softmax(-1)
            sums[number] -= sum(log_p[place, token].item() for place, token in enumerate(target))
            hidden = model.refine(log_p.argmax(-1).unsqueeze(0), hidden, visible, encoded, source_mask)
        offset = len(target) - len(source) + 12
        lengths -= model.length_head(encoded, source_mask)[0].log_softmax(-1)[offset].item() / 6
    sums /= sum(len(target) for target in targets)
    assert (whole["first_nll"].item(), whole["nll"].item()) == pytest.approx((sums[0].item(), sums[3].item()), abs=1e-4)
    assert together.item() == pytest.approx(sums.sum().item() + 0.1 * lengths, abs=1e-3)


def test_the_length_loss_does_not_train_the_encoder(untrained):
    system, model = untrained
    pairs = batch(sentences(4), sentences(4, seed=1))
    encoded = model.encode(pairs.source, inside(pairs.source_lengths))
    model.length_head(encoded, inside(pairs.source_lengths)).sum().backward()
    assert model.length_head.weight.grad is not None and model.model.shared.weight.grad is None


# Decoding


@pytest.mark.parametrize("options", [{"iterations": 3}, {"length_beam": 3}, {"adaptive": True, "length_beam": 2}])
def test_a_batch_translates_as_its_sentences_alone(untrained, options):
    system, model = untrained
    decoding = IterNATDecoding(merge_repeats=False, **options)  # this model repeats itself
    sources = [*sentences(25, seed=8, longest=12), []]
    together = system.translate(model, sources, decoding)
    effort = system.effort()
    assert together == [system.translate(model, [source], decoding)[0] for source in sources]
    assert system.effort() == pytest.approx(effort) and bool(effort) == decoding.adaptive
    assert not set(SPECIALS) & {token for row in together for token in row}
    assert len({tuple(row) for row in together}) > 10


def test_an_adaptive_sentence_ends_when_a_pass_changes_no_token(untrained, monkeypatch):
    """Of a model that writes a sentence's second version for good, the third pass is the last."""
    system, model = untrained
    passes = []

    def most_probable(hidden, forbidden):
        passes.append(len(hidden))
        return torch.full(hidden.shape[:2], min(len(passes), 2) + 4), torch.zeros(hidden.shape[:2])

    monkeypatch.setattr(model, "most_probable", most_probable)
    translations = system.translate(model, sentences(3), IterNATDecoding(adaptive=True))
    assert passes == [3, 3, 3] and translations == [[6]] * 3
    assert system.effort() == {"mean_iterations": 3.0, "mean_passes": 3.0}


def test_of_equal_neighbours_one_is_left_if_asked_for(untrained, monkeypatch):
    assert merge_repeats([5, 5, 6, 5, 5, 5]) == [5, 6, 5]
    system, model = untrained
    rows = [
        system.translate(model, sentences(20), IterNATDecoding(iterations=2, merge_repeats=wanted))
        for wanted in (False, True)
    ]
    assert [merge_repeats(row) for row in rows[0]] == rows[1] != rows[0]


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    system = iter_nat(length_weight=1.0, length_detached=False)
    decodings = [IterNATDecoding(), IterNATDecoding(adaptive=True)]
    assert learned_by_heart(system, *pairs_to_learn(), decodings, tmp_path, updates=150) > 95


# Settings


@pytest.mark.parametrize("settings", [{"denoising": 1.5}, {"corruption_start": 1.5}, {"passes": 1}])
def test_a_setting_without_meaning_is_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        iter_nat(**settings)


def test_tables_print_it_as_iter_nat_with_its_iterations():
    system = iter_nat()
    described = system.describe(system.build())
    assert (described["label"], described["size"]) == ("Iter-NAT", "2+2 layers")
    assert system.iterations_label(IterNATDecoding()) == "10"
    assert system.iterations_label(IterNATDecoding(adaptive=True)) == "Adv."
