import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from text_example import encoded_text, random_sentences
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.data.masked_lm import MaskedLanguageModelStream
from xlmd.errors import UserError
from xlmd.train.pretraining import masked_lm_loss

VOCABULARY = 50
BOS, PAD, EOS, MASK = 0, 1, 2, VOCABULARY - 1
TOKENIZER = SimpleNamespace(mask_token_id=MASK)


@pytest.fixture
def texts(tmp_path):
    return {
        language: encoded_text(tmp_path / language, random_sentences(200, seed=seed, vocabulary=VOCABULARY))
        for seed, language in enumerate(("de", "en", "ro"))
    }


def _stream(texts, **options):
    return MaskedLanguageModelStream(texts, TOKENIZER, **{"max_tokens": 400, "seed": 0, **options})


def _take(stream, count):
    return [next(stream) for _ in range(count)]


def _original(batch):
    return torch.where(batch["labels"] >= 0, batch["labels"], batch["input_ids"])


def _same(first, second):
    return all(torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def test_a_row_of_one_language_is_a_sentence_between_its_specials(texts):
    sentences = {tuple(ids.tolist()) for text in texts.values() for ids in text}
    for batch in _take(_stream(texts, translation_fraction=0.0), 20):
        for row, used, positions in zip(_original(batch), batch["attention_mask"], batch["position_ids"], strict=True):
            length = int(used.sum())
            assert (row[0], row[length - 1]) == (BOS, EOS) and tuple(row[1 : length - 1].tolist()) in sentences
            assert positions[:length].tolist() == list(range(2, length + 2))
            assert (positions[length:] == PAD).all() and (row[length:] == PAD).all()


def test_a_row_of_two_languages_is_a_line_and_its_translation_with_positions_that_restart(texts):
    lines = {
        (tuple(texts[a][i].tolist()), tuple(texts[b][i].tolist()))
        for a in texts
        for b in texts
        if a != b
        for i in range(200)
    }
    for batch in _take(_stream(texts, translation_fraction=1.0), 20):
        for row, used, positions in zip(_original(batch), batch["attention_mask"], batch["position_ids"], strict=True):
            row = row[: int(used.sum())].tolist()
            middle = row.index(EOS)
            assert row[0] == BOS and row[middle : middle + 2] == [EOS, EOS] and row[-1] == EOS
            assert (tuple(row[1:middle]), tuple(row[middle + 2 : -1])) in lines
            restart = middle + 1
            assert positions[: len(row)].tolist() == [*range(2, restart + 2), *range(2, len(row) - restart + 2)]


def test_the_share_of_translation_batches_is_as_asked(texts):
    pairs = [bool((_original(batch)[0] == EOS).sum() > 1) for batch in _take(_stream(texts), 300)]
    assert abs(np.mean(pairs) - 0.7) < 0.08


def test_masking_is_15_percent_of_which_80_10_10_and_specials_are_never_predicted(texts):
    batches = _take(_stream(texts, max_tokens=2000), 150)
    labels = torch.cat([batch["labels"].flatten() for batch in batches])
    inputs = torch.cat([batch["input_ids"].flatten() for batch in batches])
    originals = torch.cat([_original(batch).flatten() for batch in batches])
    predicted = labels >= 0
    assert (originals[predicted] >= 4).all()
    # one a row at the least lifts the share of short rows a little
    assert abs(predicted.sum() / (originals >= 4).sum() - 0.155) < 0.01
    masked = (inputs[predicted] == MASK).float().mean()
    kept = (inputs[predicted] == labels[predicted]).float().mean()
    assert abs(masked - 0.8) < 0.01 and abs(kept - 0.1) < 0.015
    assert inputs[predicted].min() >= 4


def test_every_row_predicts_something(texts):
    for batch in _take(_stream(texts, translation_fraction=0.0), 30):
        assert (batch["labels"] >= 0).any(dim=1).all()


def test_no_batch_is_larger_than_asked(texts):
    sizes = [batch["input_ids"].numel() for batch in _take(_stream(texts), 100)]
    assert max(sizes) <= 400 and np.mean(sizes) > 250


@pytest.mark.parametrize("position", [0, 3, 70])
def test_a_resumed_stream_continues_with_exactly_the_same_batches(texts, position):
    stream = _stream(texts)
    _take(stream, position)
    state = json.loads(json.dumps(stream.state_dict()))
    resumed = _stream(texts)
    resumed.load_state_dict(state)
    assert _same(_take(resumed, 60), _take(stream, 60))


def test_two_processes_share_the_batches_of_one(texts):
    one, ranks = _stream(texts), [_stream(texts, processes=2, rank=rank) for rank in range(2)]
    for _ in range(60):
        assert _same([next(ranks[0]), next(ranks[1])], [next(one), next(one)])


def test_another_seed_gives_other_batches(texts):
    assert not torch.equal(next(_stream(texts))["input_ids"], next(_stream(texts, seed=1))["input_ids"])


def test_only_the_lines_asked_for_are_used(texts):
    allowed = {tuple(text[i].tolist()) for text in texts.values() for i in range(10, 20)}
    for batch in _take(_stream(texts, translation_fraction=0.0, lines=(10, 20)), 20):
        for row, used in zip(_original(batch), batch["attention_mask"], strict=True):
            assert tuple(row[1 : int(used.sum()) - 1].tolist()) in allowed


def test_empty_and_too_long_lines_are_left_out(tmp_path):
    texts = {
        "de": encoded_text(tmp_path / "de", [[], [5, 5], [6] * 600, [7]]),
        "en": encoded_text(tmp_path / "en", [[8], [], [9], [10, 11]]),
    }
    rows = {
        tuple(row.tolist())
        for batch in _take(_stream(texts, translation_fraction=1.0, max_tokens=2000), 10)
        for row in _original(batch)
    }
    assert rows == {(BOS, 7, EOS, EOS, 10, 11, EOS), (BOS, 10, 11, EOS, EOS, 7, EOS)}


def test_one_language_alone_gives_monolingual_batches(texts):
    assert (_original(next(_stream({"de": texts["de"]}))) == EOS).sum(dim=1).tolist().count(1) > 0


def test_texts_of_unequal_length_or_without_a_usable_line_are_refused(tmp_path):
    two, one = encoded_text(tmp_path / "two", [[5], [6]]), encoded_text(tmp_path / "one", [[5]])
    with pytest.raises(UserError, match="sentences but"):
        _stream({"de": two, "en": one})
    with pytest.raises(UserError, match="no line of .*two fits a batch of 2 tokens"):
        _stream({"de": two}, max_tokens=2)


@pytest.mark.parametrize("translation_fraction", [0.0, 1.0])
def test_what_stands_in_a_batch_beside_a_row_does_not_change_its_loss(texts, translation_fraction):
    """Rows of a batch differ in length: their padding is hidden from attention."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = XLMRobertaForMaskedLM(config).eval()
    batches = _take(_stream(texts, translation_fraction=translation_fraction), 20)
    batch = next(batch for batch in batches if not batch["attention_mask"].all())
    expected = 0.0
    for row, length in enumerate(batch["attention_mask"].sum(1)):
        alone = {name: batch[name][row : row + 1, :length] for name in batch if name != "indices"}
        asked = int((alone["labels"] >= 0).sum())
        expected += asked * masked_lm_loss(model, alone, 0.0, None)[0] if asked else 0.0
    together, _ = masked_lm_loss(model, batch, 0.0, None)
    torch.testing.assert_close(together, expected / (batch["labels"] >= 0).sum())
