"""Rescoring: the teacher's score is its own loss, and its favourite wins, whatever the model thinks."""

import pytest
import torch
from nat_models import batch, pad, seeded, sentences, small

from xlmd.errors import UserError
from xlmd.nat.lengths import LengthBeam
from xlmd.nat.rescoring import RescoredDecoding, teacher_scores
from xlmd.systems.bag_of_ngrams_joint import BagOfNgramsJoint
from xlmd.systems.glat import GLAT
from xlmd.systems.nat import VanillaNAT
from xlmd.systems.nat_fertility import FertilityNAT
from xlmd.systems.transformer import Transformer


@pytest.fixture
def teacher(tmp_path):
    """A Transformer that prefers some sentences to others, and the folder of its model."""
    torch.manual_seed(2)
    system = small(Transformer, init_std=0.3, label_smoothing=0.0, max_positions=64)
    model = system.build().eval()
    model.save_pretrained(tmp_path)
    return system, model, tmp_path


def test_a_score_is_the_teachers_own_loss_per_token_and_padding_changes_nothing(teacher):
    system, model, _ = teacher
    sources, targets = sentences(9), sentences(9, seed=1)
    (source, source_lengths), (target, target_lengths) = pad(sources), pad(targets)
    wider = torch.nn.functional.pad(source, (0, 3), value=7), source_lengths, torch.nn.functional.pad(target, (0, 2))
    scores = teacher_scores(system, model, *wider, target_lengths)
    for row, pair in enumerate(zip(sources, targets, strict=True)):
        loss, _ = system.loss(model, batch([pair[0]], [pair[1]]), 0.0, seeded())
        assert scores[row].item() == pytest.approx(-loss.item(), abs=1e-4)


def test_what_is_longer_than_the_teacher_can_read_is_scored_by_its_beginning(teacher):
    system, model, _ = teacher
    longest = 63  # and `</s>`
    row = sentences(1, longest=8)[0] * 70
    scores = [
        teacher_scores(system, model, *pad([row[:source]]), *pad([row[:target]]))
        for source, target in ((longest, longest), (longest + 1, longest + 5))
    ]
    assert torch.equal(*scores)


@pytest.mark.parametrize(
    ("kind", "settings", "options"),
    [
        (GLAT, {"length_range": 12}, {"length_beam": 5}),
        (VanillaNAT, {"length_range": 12}, {"length_beam": 5}),
        (BagOfNgramsJoint, {"length_range": 12}, {"length_beam": 5, "merge_repeats": False}),
        (FertilityNAT, {"max_fertility": 3}, {"fertilities": 5}),
    ],
)
def test_with_rescoring_the_candidate_that_the_teacher_prefers_wins(teacher, kind, settings, options):
    """It scores no worse, by the teacher's own loss, than the candidate that the system prefers."""
    system, model, folder = teacher
    torch.manual_seed(4)
    rescorable = small(kind, **settings, init_std=0.2, teacher=str(folder))
    student = rescorable.build().eval()
    sources = [*sentences(20, seed=8, longest=12), []]
    decodings = [kind.Decoding(**options, rescore=rescore) for rescore in (False, True)]
    bare, rescored = (rescorable.translate(student, sources, decoding) for decoding in decodings)
    assert sum(first != second for first, second in zip(bare, rescored, strict=True)) > 5
    for source, chosen, own in zip(sources[:-1], rescored, bare, strict=False):
        losses = [system.loss(model, batch([source], [row]), 0.0, seeded())[0].item() for row in (chosen, own)]
        assert losses[0] <= losses[1] + 1e-5
    assert rescored == [rescorable.translate(student, [source], decodings[1])[0] for source in sources]


def test_one_candidate_needs_no_teacher_to_be_the_best(teacher):
    _, _, folder = teacher
    glat = small(GLAT, teacher=str(folder))
    tokens, lengths = pad(sentences(3))
    source, source_lengths = glat.with_specials(*pad(sentences(3, seed=1)))
    beam = LengthBeam(lengths, 1)
    scores = torch.zeros(tokens.shape)
    for rescore in (False, True):
        assert glat.best(beam, tokens, scores, source, source_lengths, rescore) == sentences(3)


def test_without_a_teacher_rescoring_is_refused():
    glat = small(GLAT)
    with pytest.raises(UserError, match="teacher"):
        glat.translate(glat.build(), sentences(2), RescoredDecoding(rescore=True))
