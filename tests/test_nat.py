"""What non-autoregressive systems share: decoder inputs, length heads and beams, attention masks, glancing."""

import math
import random

import pytest
import torch
import torch.nn.functional as F
from nat_models import BOS, END, pad, seeded, sentences, small

from xlmd.errors import UserError
from xlmd.nat.glancing import glancing_ratio, reveal, same_dropout
from xlmd.nat.inputs import AttentionCopy, interpolate, soft_copy, uniform_copy
from xlmd.nat.lengths import LengthBeamDecoding, LengthHead
from xlmd.nat.model import NATConfig
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.systems.cmlm import CMLM, CMLMDecoding
from xlmd.tensors import inside

SOURCE, TARGET = torch.tensor([5, 3, 1]), torch.tensor([4, 7, 1])


def vectors(padding):
    """Three sentences of vectors; what pads them differs."""
    drawn = torch.randn(3, 5, 8, generator=seeded())
    return drawn.masked_fill(~inside(SOURCE).unsqueeze(2), padding)


# Decoder inputs: each against its formula, sentence by sentence


def softmax(scores):
    weights = [math.exp(score - max(scores)) for score in scores]
    return [weight / sum(weights) for weight in weights]


def by_formula(weights):
    """Σ_i w_i x_i for every j of every sentence, w = weights(source length, target length, j)."""
    found = []
    for row, source, target in zip(vectors(0.0), SOURCE.tolist(), TARGET.tolist(), strict=True):
        found.append(torch.tensor([weights(source, target, j) for j in range(target)]) @ row[:source])
    return found


def assert_rows(copied, expected):
    assert copied.shape == (3, 7, 8)
    for row, correct in zip(copied, expected, strict=True):
        torch.testing.assert_close(row[: len(correct)], correct)


@pytest.mark.parametrize("padding", [0.0, 1e4])
def test_soft_copy_follows_its_formula_whatever_the_padding(padding):
    expected = by_formula(lambda source, _, j: softmax([-abs(i - j) / 0.3 for i in range(source)]))
    assert_rows(soft_copy(vectors(padding), SOURCE, TARGET), expected)


@pytest.mark.parametrize("padding", [0.0, 1e4])
def test_interpolation_follows_its_formula_whatever_the_padding(padding):
    def gaussian(source, target, j):
        centre = (j + 1) * source / target
        return softmax([-((i + 1 - centre) ** 2) / 0.3 for i in range(source)])

    assert_rows(interpolate(vectors(padding), SOURCE, TARGET), by_formula(gaussian))


def test_uniform_copy_goes_from_the_first_word_to_the_last():
    def nearest(source, target, j):
        chosen = math.floor(j * (source - 1) / (target - 1) + 0.5) if target > 1 else 0
        return [float(i == chosen) for i in range(source)]

    assert_rows(uniform_copy(vectors(1e4), SOURCE, TARGET), by_formula(nearest))


def test_attention_copy_weighs_source_words_by_both_positions():
    torch.manual_seed(0)
    copy = AttentionCopy(8)
    source_positions, target_positions = torch.randn(5, 8), torch.randn(7, 8)
    found = copy(vectors(1e4), SOURCE, TARGET, source_positions, target_positions)
    expected = []
    for row, source, target in zip(vectors(0.0), SOURCE.tolist(), TARGET.tolist(), strict=True):
        scores = (target_positions[:target] @ copy.query.weight.T) @ (row[:source] + source_positions[:source]).T
        expected.append(scores.softmax(-1) @ row[:source])
    assert_rows(found.detach(), [row.detach() for row in expected])


def test_a_source_padded_beyond_its_longest_sentence_is_copied_alike():
    wider = F.pad(vectors(0.0), (0, 0, 0, 3), value=1e4)
    for copied in (uniform_copy, soft_copy, interpolate):
        torch.testing.assert_close(copied(wider, SOURCE, TARGET), copied(vectors(0.0), SOURCE, TARGET))


# Lengths


def head(**options):
    torch.manual_seed(0)
    return LengthHead(NATConfig(d_model=8, max_position_embeddings=10, **options))


def test_absolute_lengths_and_differences_are_classes():
    lengths, sources = torch.tensor([1, 10, 4]), torch.tensor([5, 2, 4])
    assert head().classes(lengths, sources).tolist() == [0, 9, 3]
    offset = head(length="offset", length_range=3)
    assert offset.weight.shape[0] == 7
    assert offset.classes(lengths, sources).tolist() == [0, 6, 3]  # −4 and 8 are beyond the ends


def test_a_length_is_predicted_from_the_first_state_or_the_mean_of_all_but_padding():
    states, seen = vectors(1e4), inside(SOURCE)
    first, mean = head(), head(length_pooling="mean")
    torch.testing.assert_close(first(states, seen), states[:, 0] @ first.weight.T)
    means = torch.stack([row[:count].mean(0) for row, count in zip(states, SOURCE, strict=True)])
    torch.testing.assert_close(mean(states, seen), means @ mean.weight.T)


def test_a_detached_head_does_not_train_the_encoder():
    for detached in (False, True):
        states = vectors(0.0).requires_grad_()
        predictor = head(length_detached=detached)
        predictor.loss(predictor(states, inside(SOURCE)), torch.tensor([3, 4, 5]), SOURCE).backward()
        assert predictor.weight.grad.abs().sum() > 0
        assert (states.grad is None) == detached


@pytest.mark.parametrize(
    ("candidates", "best", "expected"),
    [
        ("most_probable", 3, [4, 10, 1]),
        ("neighbours", 3, [4, 5, 3]),
        ("neighbours", 9, [9, 10, 8]),  # moved, so that all are lengths
        ("neighbours", 0, [2, 3, 1]),
    ],
)
def test_a_length_beam_is_of_the_most_probable_lengths_or_of_neighbours(candidates, best, expected):
    logits = torch.zeros(1, 10)
    logits[0, 9], logits[0, 0], logits[0, best] = 2.0, 1.0, 3.0
    decoding = LengthBeamDecoding(length_beam=3, length_candidates=candidates)
    beam = head().beam(logits, torch.tensor([5]), decoding)
    assert (beam.lengths.tolist(), beam.size) == (expected, 3)


def test_differences_are_added_to_the_source_within_the_positions():
    logits = torch.zeros(3, 7)
    logits[:, 0] = 1.0  # −3
    logits[2] = torch.arange(7.0)  # 3, 2
    beam = head(length="offset", length_range=3).beam(
        logits, torch.tensor([2, 6, 9]), LengthBeamDecoding(length_beam=2, length_candidates="neighbours")
    )
    assert beam.lengths.view(3, 2).tolist() == [[1, 1], [3, 4], [10, 10]]


# The model


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_position_sees_what_its_row_of_the_mask_says(implementation):
    torch.manual_seed(0)
    system = small(CMLM, decoder_layers=1)
    model = system.build().eval()
    model.set_attn_implementation(implementation)
    source, lengths = pad([[BOS, 5, 6, END]])
    encoded = model.encode(source, inside(lengths))
    visible = torch.tensor([[[1, 0, 0], [1, 1, 0], [0, 1, 1]]]).bool()
    inputs = torch.randn(1, 3, 32, generator=seeded())
    before = model.decode(inputs, visible, encoded, inside(lengths))
    for changed in range(3):
        other = inputs.clone()
        other[0, changed] += 1.0
        after = model.decode(other, visible, encoded, inside(lengths))
        assert (before != after).any(-1)[0].tolist() == visible[0, :, changed].tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {"positions": "learned", "scale_embedding": False, "activation": "relu"},
        {"length": "offset", "length_range": 5, "length_pooling": "mean", "length_detached": True},
    ],
)
def test_settings_make_another_model_that_loads_as_it_was_and_not_as_the_default(settings, tmp_path):
    torch.manual_seed(0)
    system = small(CMLM, **settings)
    model = system.build()
    model.save_pretrained(tmp_path)
    sources = sentences(10)
    translations = system.translate(model, sources, CMLMDecoding(iterations=2))
    assert system.translate(system.load(tmp_path), sources, CMLMDecoding(iterations=2)) == translations
    with pytest.raises(UserError, match="the settings ask for"):
        small(CMLM).load(tmp_path)


def test_a_model_saved_before_these_settings_still_loads(tmp_path):
    """Its configuration does not name them: they are what they were."""
    torch.manual_seed(0)
    system = small(CMLM)
    system.build().save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    lines = config.read_text().splitlines(keepends=True)
    known = ("positions", "length", "length_pooling", "length_range", "length_detached")
    config.write_text("".join(line for line in lines if line.split('"')[1:2] not in [[name] for name in known]))
    assert config.read_text().count("\n") == len(lines) - len(known)
    system.load(tmp_path)


# The objective


def test_label_smoothing_spreads_over_the_whole_vocabulary():
    logits = torch.randn(4, 9, generator=seeded())
    tokens = torch.tensor([1, 0, 8, 3])
    smoothed, plain = smoothed_cross_entropy(logits, tokens, 0.1)
    torch.testing.assert_close(smoothed, F.cross_entropy(logits, tokens, label_smoothing=0.1))
    torch.testing.assert_close(plain, F.cross_entropy(logits, tokens))


# Glancing


def test_as_many_are_revealed_as_a_share_of_the_errors_rounded_down():
    """Against a count sentence by sentence."""
    drawn = random.Random(3)
    lengths = torch.tensor([drawn.randint(1, 30) for _ in range(200)])
    wrong = (torch.rand(200, 30, generator=seeded(1)) < 0.7) & (torch.arange(30) < lengths.unsqueeze(1))
    for ratio in (0.5, 0.3):
        shown = reveal(wrong, lengths, ratio, seeded(2))
        for row, errors, length in zip(shown.tolist(), wrong.tolist(), lengths.tolist(), strict=True):
            assert sum(row[:length]) == math.floor(ratio * sum(errors[:length]))
            assert not any(row[length:])


def test_what_is_revealed_is_anywhere_in_the_sentence_wrong_or_right():
    wrong = torch.tensor([[True, True, False, False]]).expand(8000, 4)
    shown = reveal(wrong, torch.full((8000,), 4), 0.5, seeded())
    assert (shown.sum(1) == 1).all()
    assert (shown.double().mean(0) - 0.25).abs().max() < 0.02


def test_the_ratio_falls_linearly():
    assert [glancing_ratio(progress, 0.5, 0.3) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.5, 0.4, 0.3])


def test_what_follows_draws_the_same_dropout():
    layer, ones = torch.nn.Dropout(0.5), torch.ones(100)
    with same_dropout(torch.device("cpu")):
        first = layer(ones)
    assert torch.equal(layer(ones), first)
    assert not torch.equal(layer(ones), first)
