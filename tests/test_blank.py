"""The blank of CTC in a decorated model, before, while and after it is trained."""

from types import SimpleNamespace

import pytest
import torch
from small_models import MASK, VOCABULARY, decorated, save_mlm, sources

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.method.blank import alignment_shares, blank_log_odds, set_blank_probability, shift_to_mean
from xlmd.method.model import XLMDForTranslation
from xlmd.systems.xlmd import XLMD, XLMDDecoding, XLMDSettings

BATCH = ParallelBatch(
    torch.tensor([[5, 6, 7, 8, 9], [10, 11, 1, 1, 1]]), torch.tensor([5, 2]),
    torch.tensor([[5, 5, 12], [20, 1, 1]]), torch.tensor([3, 1]), torch.tensor([0, 1]),
)  # fmt: skip


class Tokenizer:
    bos_token_id, pad_token_id, eos_token_id, unk_token_id, mask_token_id, unk_token = 0, 1, 2, 3, MASK, "<unk>"

    def __len__(self):
        return VOCABULARY

    def convert_tokens_to_ids(self, token):
        return {"<s>": 0}[token]


@pytest.fixture(scope="module")
def mlm(tmp_path_factory):
    return save_mlm(tmp_path_factory.mktemp("mlm"))


def system(mlm, **settings):
    return XLMD(XLMDSettings(mlm=str(mlm), **settings), Tokenizer())


@torch.no_grad()
def mean_blank(model):
    hidden, lengths = model.eval()(*sources())
    probability = model.logits(hidden).softmax(-1)[..., 0]
    return float(torch.cat([row[:length] for row, length in zip(probability, lengths, strict=True)]).mean())


@pytest.mark.parametrize("probability", [0.001, 0.3, 0.6, 0.999])
def test_the_shift_gives_the_mean_asked_for(probability):
    odds = 6 * torch.randn(500, generator=torch.Generator().manual_seed(1)).double() - 12
    assert float((odds + shift_to_mean(odds, probability)).sigmoid().mean()) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("m", [0, 1])
@pytest.mark.parametrize("probability", [0.05, 0.6])
def test_the_blanks_mean_probability_in_the_all_mask_pass_becomes_the_one_asked_for(mlm, reset, m, probability):
    model = decorated(mlm, reset=reset, insertion_layer=m, dropout=0.4).train()
    before = mean_blank(model)
    told = set_blank_probability(model.train(), [sources()], probability)
    assert model.training
    assert mean_blank(model) == pytest.approx(probability, abs=1e-3)
    assert (told["probability_before"], told["probability"]) == pytest.approx((before, probability), abs=1e-5)
    assert told["bias"] == float(model.lm_head.bias[0])


def test_one_number_changes_and_no_parameter_is_added(mlm, tmp_path):
    model = decorated(mlm)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    set_blank_probability(model, [sources()], 0.6)
    changed = {name: parameter != before[name] for name, parameter in model.named_parameters()}
    assert {name: int(where.sum()) for name, where in changed.items() if where.any()} == {"lm_head.bias": 1}
    assert changed["lm_head.bias"][0] and before.keys() == changed.keys()
    model.save_pretrained(tmp_path)
    assert mean_blank(XLMDForTranslation.from_pretrained(tmp_path)) == pytest.approx(0.6, abs=1e-3)


def test_log_odds_are_those_of_the_positions_inside_the_sentences(mlm):
    model = decorated(mlm)
    hidden, lengths = model(*sources())
    probability = model.logits(hidden).softmax(-1)[..., 0].detach()
    expected = torch.cat([row[:length] for row, length in zip(probability, lengths, strict=True)]).double().logit()
    torch.testing.assert_close(blank_log_odds(model, [sources()]), expected, atol=1e-4, rtol=1e-4)


def test_by_default_the_blank_gets_the_share_of_positions_that_no_token_needs(mlm):
    model = system(mlm).build()
    told = system(mlm).prepare(model, [BATCH])["blank"]
    assert told["probability"] == pytest.approx(1 - (3 + 1) / (14 + 8))
    assert mean_blank(model) == pytest.approx(told["probability"], abs=1e-3)


def test_the_probability_may_be_given_and_the_blank_left_as_it_is(mlm):
    given = system(mlm, blank_probability=0.25)
    assert given.prepare(given.build(), [BATCH])["blank"]["probability"] == pytest.approx(0.25)
    left = system(mlm, calibrate_blank=False)
    model = left.build()
    assert left.prepare(model, [BATCH]) == {} and mean_blank(model) == mean_blank(decorated(mlm))
    with pytest.raises(UserError, match="blank_probability = 1.5"):
        XLMDSettings(blank_probability=1.5)


def test_shares_count_blanks_and_repeats_inside_the_sentences():
    alignment = torch.tensor([[5, 5, 0, 0, 5, 6, 6, 6], [0, 7, 7, 8, -1, -1, -1, -1]])
    shares = alignment_shares(alignment, torch.tensor([8, 4]), blank=0)
    assert shares == pytest.approx({"blank": 3 / 12, "repeat": 4 / 12})


def test_the_curves_have_the_shares_of_the_viterbi_alignments_and_of_decoded_sentences(mlm):
    trained = system(mlm, all_mask_fraction=0.5)
    model = trained.build()
    plain, algorithm1 = (trained.loss(model, BATCH, at, torch.Generator())[1] for at in (0.0, 0.5))
    assert algorithm1.keys() - plain.keys() == {"viterbi_blank", "viterbi_repeat"}
    # Every alignment of these targets needs a blank between the equal tokens, and at most all but one token each.
    assert 1 / 22 <= algorithm1["viterbi_blank"] <= 1 - 4 / 22
    decoded = trained.examine(model.eval(), [[5, 6, 7], [8]])
    assert decoded.keys() == {"decoded_blank", "decoded_repeat"} and 0 <= sum(decoded.values()) <= 1


@pytest.mark.parametrize(("share", "said"), [(0.001, "not learnt"), (0.999, "all but empty"), (0.5, None)])
def test_a_model_of_no_blanks_or_of_nothing_else_is_named(mlm, share, said):
    warnings = system(mlm).warnings({"decoded_blank": share, "decoded_repeat": 0.0})
    assert warnings == [] if said is None else said in warnings[0]


def test_the_penalty_with_the_best_bleu_is_chosen_and_of_equal_ones_the_smallest(mlm):
    asked = []

    def bleu(decoding: XLMDDecoding) -> float:
        asked.append(decoding)
        return -abs(min(decoding.blank_penalty, 1.6) - 1.4)

    assert system(mlm).choose(SimpleNamespace(), bleu) == {"blank_penalty": 1.5}
    assert {decoding.iterations for decoding in asked} == {1} and asked[0].blank_penalty == 0
    assert system(mlm).choose(SimpleNamespace(), lambda decoding: 1.0) == {"blank_penalty": 0.0}
