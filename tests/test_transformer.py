"""The autoregressive Transformer: its loss, its search in both engines, and the traps between them."""

from types import SimpleNamespace

import pytest
import torch
from transformers import MarianMTModel

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.systems.transformer import Transformer, TransformerDecoding, TransformerSettings
from xlmd.translate.ctranslate import Translator, convert

VOCABULARY = 40
BOS, PAD, END, MASK = 0, 1, 2, VOCABULARY - 1
SMALL = {"encoder_layers": 2, "decoder_layers": 2, "d_model": 32, "ffn": 64, "heads": 2, "max_positions": 64}


class Tokenizer(SimpleNamespace):
    def __len__(self):
        return VOCABULARY


def transformer(**settings):
    tokenizer = Tokenizer(bos_token_id=BOS, pad_token_id=PAD, eos_token_id=END, unk_token_id=3, mask_token_id=MASK)
    return Transformer(TransformerSettings(**(SMALL | settings)), tokenizer)


def sentences(count, seed=0, longest=8):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(4, MASK, (length,), generator=generator).tolist() for length in lengths]


def batch(sources, targets):
    def pad(rows):
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, PAD), torch.tensor(
            [len(row) for row in rows]
        )

    return ParallelBatch(*pad(sources), *pad(targets), torch.arange(len(sources)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learned to reverse sentences a little, saved as training saves it."""
    torch.manual_seed(1)
    system = transformer()
    model = system.build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
    for step in range(100):
        sources = sentences(32, seed=step)
        loss, _ = system.loss(model, batch(sources, [row[::-1] for row in sources]), 0.0, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("transformer")
    model.save_pretrained(folder)
    return SimpleNamespace(system=system, model=model.eval(), folder=folder)


def test_the_loss_is_label_smoothed_cross_entropy_over_the_tokens_that_can_be_targets():
    torch.manual_seed(0)
    system = transformer(dropout=0.0, label_smoothing=0.1)
    model = system.build()
    sources, targets = sentences(5), sentences(5, seed=1)
    loss, figures = system.loss(model, batch(sources, targets), 0.0, torch.Generator())

    possible = [token for token in range(VOCABULARY) if token not in (BOS, PAD, MASK)]
    smoothed, plain = [], []
    for source, target in zip(sources, targets, strict=True):
        logits = model(torch.tensor([[*source, END]]), decoder_input_ids=torch.tensor([[PAD, *target]])).logits[0]
        log_probs = logits[:, possible].log_softmax(-1)
        for row, token in zip(log_probs, [*target, END], strict=True):
            plain.append(-row[possible.index(token)])
            smoothed.append(0.9 * plain[-1] - 0.1 * row.mean())
    assert loss.item() == pytest.approx(torch.stack(smoothed).mean().item(), abs=1e-5)
    assert figures["nll"] == pytest.approx(torch.stack(plain).mean().item(), abs=1e-5)


def test_padding_does_not_change_the_loss():
    system = transformer(dropout=0.0)
    model = system.build()
    sources, targets = sentences(4), sentences(4, seed=1)
    together, _ = system.loss(model, batch(sources, targets), 0.0, torch.Generator())
    tokens = [len(target) + 1 for target in targets]
    alone = [
        system.loss(model, batch([source], [target]), 0.0, torch.Generator())[0]
        for source, target in zip(sources, targets, strict=True)
    ]
    weighted = sum(loss * count for loss, count in zip(alone, tokens, strict=True)) / sum(tokens)
    assert together.item() == pytest.approx(weighted.item(), abs=1e-5)


def test_training_lowers_the_loss(trained):
    fresh = trained.system.build().eval()
    sources = sentences(32, seed=1000)
    reverse = batch(sources, [row[::-1] for row in sources])
    before, after = (trained.system.loss(model, reverse, 0.0, None)[1]["nll"] for model in (fresh, trained.model))
    assert after < before - 0.8


def test_the_pad_row_stays_zero_under_weight_decay_and_label_smoothing(trained):
    assert torch.count_nonzero(trained.model.lm_head.weight[PAD]) == 0
    assert torch.count_nonzero(trained.model.lm_head.weight[4:MASK]) > 0


def test_a_saved_model_loads_as_it_was(trained):
    for loaded in (trained.system.load(trained.folder), MarianMTModel.from_pretrained(trained.folder)):
        ids, start = torch.tensor([[7, 8, END]]), torch.tensor([[PAD, 9]])
        with torch.no_grad():
            expected = trained.model(ids, decoder_input_ids=start).logits
            assert torch.equal(loaded.eval()(ids, decoder_input_ids=start).logits, expected)


@pytest.mark.parametrize("beam", [1, 4])
def test_both_engines_translate_alike(trained, beam):
    decoding = TransformerDecoding(beam=beam, max_length_extra=4)
    sources = sentences(60, seed=7)
    ours = trained.system.translate(trained.model, sources, decoding)
    theirs = Translator(trained.folder, decoding).translate(sources)
    agree = sum(a == b for a, b in zip(ours, theirs, strict=True))
    # beam searches may differ in when they stop
    assert agree == len(sources) if beam == 1 else agree >= 0.9 * len(sources)
    assert len({tuple(row) for row in ours}) > 20


def test_weights_of_eight_bits_translate_nearly_alike(trained):
    decoding, sources = TransformerDecoding(beam=1, max_length_extra=4), sentences(60, seed=7)
    exact, near = Translator(trained.folder, decoding), Translator(trained.folder, decoding, compute_type="int8")
    assert exact.engine.compute_type == "float32" and near.engine.compute_type.startswith("int8")
    agree = sum(a == b for a, b in zip(exact.translate(sources), near.translate(sources), strict=True))
    assert agree > 0.5 * len(sources)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_translates_as_its_sentences_alone(trained, beam):
    decoding = TransformerDecoding(beam=beam)
    sources = sentences(20, seed=8)
    engine = Translator(trained.folder, decoding)
    together = trained.system.translate(trained.model, sources, decoding)
    assert together == [trained.system.translate(trained.model, [source], decoding)[0] for source in sources]
    assert engine.translate(sources) == [engine.translate([source])[0] for source in sources]


def test_translations_are_bare_not_empty_and_within_the_limit():
    torch.manual_seed(3)
    system = transformer()
    decoding = TransformerDecoding(beam=1, max_length_ratio=1.0, max_length_extra=1)
    sources = sentences(30)
    translations = system.translate(system.build(), sources, decoding)
    assert not {BOS, PAD, END, MASK} & {token for row in translations for token in row}
    for source, row in zip(sources, translations, strict=True):
        assert 1 <= len(row) <= decoding.length_limit(len(source), 64)
    assert system.translate(system.build(), [], decoding) == []


def test_a_source_beyond_the_positions_is_cut_and_told(trained, caplog):
    long = [[5] * 100]
    decoding = TransformerDecoding(beam=1)
    assert trained.system.translate(trained.model, long, decoding) == Translator(trained.folder, decoding).translate(
        [[5] * 63]
    )
    assert "are cut" in caplog.text


def test_pairs_longer_than_the_positions_are_left_out():
    left_out = transformer().usable(torch.tensor([63, 64]), torch.tensor([64, 63]), torch.zeros(2))
    assert left_out["source too long"].tolist() == [False, True]
    assert left_out["target too long"].tolist() == [True, False]


def test_a_model_of_another_shape_is_refused(trained):
    with pytest.raises(UserError, match="d_model 32, the settings ask for 16"):
        transformer(d_model=16).load(trained.folder)
    with pytest.raises(UserError, match="cannot read"):
        transformer().load(trained.folder / "nowhere")


@pytest.mark.parametrize("settings", [{"heads": 3}, {"dropout": 1.0}, {"ffn": 0}, {"label_smoothing": -0.1}])
def test_settings_that_make_no_model_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        transformer(**settings)


def test_conversion_refuses_a_start_token_that_is_not_zero(trained, tmp_path):
    model = MarianMTModel.from_pretrained(trained.folder)
    with torch.no_grad():
        model.model.shared.weight[PAD] = 0.1
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="start token"):
        convert(tmp_path / "model", tmp_path / "engine")
