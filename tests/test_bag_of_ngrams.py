"""Bag-of-ngrams: cross entropy and bags together, then bags alone from a trained model; repeated tokens."""

import pytest
import torch
from nat_models import batch, different_translations, learned_by_heart, pairs_to_learn, seeded, sentences, small, train

from xlmd.errors import UserError
from xlmd.nat.ngrams import ngram_difference
from xlmd.systems.bag_of_ngrams import BagOfNgrams
from xlmd.systems.bag_of_ngrams_joint import BagOfNgramsDecoding, BagOfNgramsJoint
from xlmd.systems.nat import VanillaNAT
from xlmd.tensors import inside, where_true


def joint(**settings):
    return small(BagOfNgramsJoint, **({"length_range": 12} | settings))


def fine_tuned(**settings):
    return small(BagOfNgrams, **({"length_range": 12} | settings))


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = joint(init_std=0.2)  # large, so that predictions differ from position to position
    return system, system.build().eval()


# Training


@pytest.mark.parametrize("progress", [0.0, 0.5])
def test_the_loss_weighs_cross_entropy_bags_and_lengths(untrained, progress):
    system, model = untrained
    loss, figures = system.loss(model, batch(sentences(5), sentences(5, seed=1)), progress, seeded())
    weight = 0.3 if progress < 0.12 else 0.1
    expected = weight * figures["nll"] + (1 - weight) * figures["bag"] + 0.1 * figures["length_nll"]
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5) and 0 < figures["bag"] < 1


def test_the_bags_are_those_of_what_the_model_predicts(untrained, monkeypatch):
    system, model = untrained
    pairs = batch(sentences(6), sentences(6, seed=1))
    scored, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(logits(hidden)) or scored[-1])
    for n in (1, 2):
        _, figures = joint(n=n).loss(model, pairs, 0.0, seeded())
        asked = where_true(inside(pairs.target_lengths))
        expected = ngram_difference(scored[-1], asked, pairs.target, pairs.target_lengths, n)
        assert figures["bag"].item() == pytest.approx(expected.item())


def test_no_target_token_reaches_a_prediction(untrained, monkeypatch):
    system, model = untrained
    sources, targets = sentences(5), sentences(5, seed=1)
    scored, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(hidden) or logits(hidden))
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        system.loss(model, batch(sources, rows), 0.0, seeded())
    assert torch.equal(scored[0], scored[1])


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained):
    system, model = untrained
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-5)
    alone = [system.loss(model, batch([x], [y]), 0.0, seeded())[1] for x, y in zip(sources, targets, strict=True)]
    for name, weights in (("nll", [len(target) for target in targets]), ("bag", [1] * 6), ("length_nll", [1] * 6)):
        mean = sum(figures[name] * weight for figures, weight in zip(alone, weights, strict=True)) / sum(weights)
        assert whole[name].item() == pytest.approx(mean.item(), abs=1e-5)


def test_the_length_loss_trains_the_length_predictor_alone(untrained):
    _, model = untrained
    pairs = batch(sentences(5), sentences(5, seed=1))
    gradients = []
    for weight in (0.0, 1.0):
        model.zero_grad()
        joint(length_weight=weight).loss(model, pairs, 0.0, seeded())[0].backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[1].pop("length_head.weight").abs().sum() > 0
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(gradient, gradients[0][name])


# Fine-tuning


def test_fine_tuning_starts_from_a_trained_model_and_heeds_the_bags_alone(untrained, tmp_path):
    _, model = untrained
    model.save_pretrained(tmp_path)
    system = fine_tuned(start=str(tmp_path), length_weight=0.0)
    started = system.build().eval()
    assert all(torch.equal(tensor, started.state_dict()[name]) for name, tensor in model.state_dict().items())
    loss, figures = system.loss(started, batch(sentences(5), sentences(5, seed=1)), 0.0, seeded())
    assert loss.item() == pytest.approx(figures["bag"].item())
    assert BagOfNgrams.pretrained["start"] == "bag_of_ngrams_joint"


def test_it_may_start_from_vanilla_nat_of_the_same_shape_and_from_no_other(tmp_path):
    torch.manual_seed(0)
    shape = {"length_range": 12, "length_detached": True}
    small(VanillaNAT, **shape, positions="sinusoidal").build().save_pretrained(tmp_path / "nat")
    fine_tuned(start=str(tmp_path / "nat"), activation="relu").build()
    small(VanillaNAT, **shape, positions="learned").build().save_pretrained(tmp_path / "learned")
    with pytest.raises(UserError, match="positions learned"):
        fine_tuned(start=str(tmp_path / "learned")).build()


def test_fine_tuning_brings_the_bags_closer(tmp_path):
    """From a model that cross entropy alone has trained a little: of random weights n-grams tell too little."""
    torch.manual_seed(0)
    pairs = batch(sentences(8), sentences(8, seed=1))
    cross_entropy = joint(cross_entropy_weight=1.0, early_weight=1.0)
    train(cross_entropy, cross_entropy.build(), [pairs] * 50).save_pretrained(tmp_path)
    system = fine_tuned(start=str(tmp_path))
    started = system.build()
    before = system.loss(started, pairs, 0.0, seeded())[1]["bag"]
    trained = train(system, started, [pairs] * 60)
    assert system.loss(trained, pairs, 0.0, seeded())[1]["bag"] < 0.6 * before


# Decoding


def test_of_equal_neighbours_one_is_left(untrained, monkeypatch):
    system, model = untrained
    monkeypatch.setattr(model, "most_probable", lambda hidden, _: (torch.tensor([[7, 7, 8, 7, 7]]), torch.zeros(1, 5)))
    monkeypatch.setattr(model.length_head, "forward", lambda *_: torch.eye(2 * 12 + 1)[12 + 2 : 12 + 3])
    for merge, expected in ((True, [7, 8, 7]), (False, [7, 7, 8, 7, 7])):
        assert system.translate(model, [[5, 6, 7]], BagOfNgramsDecoding(merge_repeats=merge)) == [expected]


@pytest.mark.parametrize("decoding", [BagOfNgramsDecoding(), BagOfNgramsDecoding(length_beam=4)])
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    assert different_translations(system, model, decoding) > 8


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    """With an encoder that learns from the lengths: forty of them are too many for the classifier alone."""
    system = joint(length_weight=1.0, length_detached=False)
    assert learned_by_heart(system, *pairs_to_learn(), [BagOfNgramsDecoding()], tmp_path) > 95


@pytest.mark.parametrize("settings", [{"cross_entropy_weight": 1.5}, {"early_weight": -0.1}])
def test_a_weight_that_is_no_share_is_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        joint(**settings)


def test_tables_print_the_fine_tuned_model_as_the_papers_row_and_the_joint_one_apart():
    for system, label in ((joint(), "Bag-of-ngrams, joint"), (fine_tuned(), "Bag-of-ngrams")):
        described = system.describe(system.build())
        assert (described["label"], described["size"]) == (label, "2+2 layers")
        assert system.iterations_label(BagOfNgramsDecoding()) == "1"
