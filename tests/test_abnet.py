"""AB-Net and AB-Net-Enc: what is frozen, what is corrupted, what hidden tokens reach, batches as sentences."""

from collections import Counter

import pytest
import torch
from nat_models import (
    BOS,
    END,
    MASK,
    PAD,
    SPECIALS,
    Tokenizer,
    batch,
    learned_by_heart,
    pad,
    pairs_to_learn,
    seeded,
    sentences,
    train,
)
from small_models import LAYERS, save_mlm

from xlmd.errors import UserError
from xlmd.nat import adapted as system_file
from xlmd.nat.adapted import AdaptedDecoding
from xlmd.nat.corruption import corrupted, random_span
from xlmd.nat.lengths import LengthBeam
from xlmd.systems.abnet import ABNet
from xlmd.systems.abnet_enc import ABNetEnc
from xlmd.tensors import inside

SYSTEMS = [ABNet, ABNetEnc]


@pytest.fixture(scope="module")
def mlm(tmp_path_factory):
    return save_mlm(tmp_path_factory.mktemp("mlm"), hidden_size=32, intermediate_size=64, hidden_dropout_prob=0.0)


def made(system, mlm, **settings):
    tokenizer = Tokenizer(bos_token_id=BOS, pad_token_id=PAD, eos_token_id=END, unk_token_id=3, mask_token_id=MASK)
    if system is ABNetEnc:
        settings = {"decoder_layers": 2} | settings
    return system(
        system.Settings(**({"mlm": str(mlm), "adapter": 32, "ffn": 64, "dropout": 0.0} | settings)), tokenizer
    )


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.name)
def untrained(request, mlm):
    torch.manual_seed(4)
    system = made(request.param, mlm)
    return system, system.build().eval()


# Corruption


def test_a_span_lies_within_its_sentence_often_at_an_end():
    lengths = torch.tensor([20, 7, 1, 0] * 1000)
    span = random_span(lengths, 0.1, seeded())
    assert not (span & ~inside(lengths)).any()
    assert [set(span[row::4].sum(1).tolist()) for row in range(4)] == [{2}, {1}, {1}, {0}]
    starts = Counter(span[::4].int().argmax(1).tolist())
    assert (span[::4].int().diff(dim=1).abs().sum(1) <= 2).all()  # one span
    assert starts[0] / 1000 == pytest.approx(0.2 + 0.6 / 19, abs=0.05)
    assert starts[18] / 1000 == pytest.approx(0.2 + 0.6 / 19, abs=0.05)
    assert sorted(starts) == list(range(19))


def test_what_is_chosen_becomes_a_mask_a_random_token_or_stays():
    tokens = torch.full((100, 100), 7)
    chosen = torch.rand(100, 100, generator=seeded()) < 0.5
    result = corrupted(tokens, chosen, seeded(1), mask=MASK, pieces=range(4, MASK))
    assert (result[~chosen] == 7).all()
    share = Counter(result[chosen].tolist())
    total = int(chosen.sum())
    assert share[MASK] / total == pytest.approx(0.8, abs=0.02)
    assert share[7] / total == pytest.approx(0.1 + 0.1 / (MASK - 4), abs=0.02)
    assert set(share) == set(range(4, MASK + 1))


# Training


def test_training_changes_what_is_new_and_nothing_that_was_pretrained(untrained, mlm):
    system, _ = untrained
    model = system.build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(system, model, [batch(sentences(4), sentences(4, seed=1))] * 2)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if not name.startswith(("roberta.", "lm_head."))}


def test_a_model_starts_from_the_pretrained_weights_with_adapters_that_do_almost_nothing(untrained, mlm):
    system, model = untrained
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    source, lengths = system.batch(model, sentences(3))
    with torch.inference_mode():
        adapted = model.encode(source, inside(lengths))
        plain = model.roberta(input_ids=source, attention_mask=inside(lengths).long()).last_hidden_state
    assert torch.nn.functional.cosine_similarity(adapted, plain, dim=2)[inside(lengths)].min() > 0.7


def test_hidden_target_tokens_do_not_reach_the_states(untrained, monkeypatch):
    """Of two targets that differ in chosen tokens alone, all of them masked, every state is bit-equal."""
    system, model = untrained
    sources, targets = sentences(5), sentences(5, seed=1)
    _, lengths = pad(targets)
    chosen = inside(lengths) & (torch.rand(5, int(lengths.max()), generator=seeded()) < 0.6)
    chosen[:, 0] = True
    monkeypatch.setattr(system_file, "uniform_mask", lambda *_: chosen)
    monkeypatch.setattr(system_file, "corrupted", lambda tokens, where, *_, mask, **__: tokens.masked_fill(where, mask))
    states, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda *rest: states.append(decode(*rest)) or states[-1])
    others = [
        [7 + (token == 7) if hidden else token for token, hidden in zip(row, places, strict=False)]
        for row, places in zip(targets, chosen.tolist(), strict=True)
    ]
    for rows in (targets, others):
        system.loss(model, batch(sources, rows), 0.0, seeded())
    assert torch.equal(states[0][inside(lengths)], states[1][inside(lengths)])


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained, monkeypatch):
    system, model = untrained
    system = made(type(system), system.settings.mlm, source_span=0.0)
    monkeypatch.setattr(system_file, "uniform_mask", lambda lengths, *_: inside(lengths))
    monkeypatch.setattr(system_file, "corrupted", lambda tokens, where, *_, mask, **__: tokens.masked_fill(where, mask))
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-4)
    alone = [system.loss(model, batch([x], [y]), 0.0, seeded())[1] for x, y in zip(sources, targets, strict=True)]
    counts = [len(target) for target in targets]
    nll = sum(figures["nll"] * count for figures, count in zip(alone, counts, strict=True)) / sum(counts)
    assert whole["nll"] == pytest.approx(float(nll), abs=1e-4)
    assert whole["length_nll"] == pytest.approx(float(sum(figures["length_nll"] for figures in alone)) / 6, abs=1e-4)


# Decoding


def test_ab_nets_decoder_reads_the_target_between_the_specials_of_pretraining(mlm):
    """Without the adapters, it is the masked language model on `<s> y </s>`."""
    model = made(ABNet, mlm).build().eval()
    model.decoder_adapters = torch.nn.ModuleList([Through() for _ in range(LAYERS)])
    tokens, lengths = pad([[5, 6, 7, 8], [9, 10]])
    whole, _ = pad([[BOS, 5, 6, 7, 8, END], [BOS, 9, 10, END]])
    states = model.decode(model.embed(tokens), inside(lengths), None, None)
    plain = model.roberta(input_ids=whole, attention_mask=inside(lengths + 2).long()).last_hidden_state[:, 1:-1]
    torch.testing.assert_close(states[inside(lengths)], plain[inside(lengths)], rtol=1e-4, atol=1e-4)


class Through(torch.nn.Module):
    def forward(self, hidden, *_):
        return hidden


def test_a_longer_candidate_gains_from_the_length_penalty():
    beam = LengthBeam(torch.tensor([2, 4]), 2)
    tokens, log_probability = (
        torch.tensor([[5, 6, 1, 1], [5, 6, 7, 8]]),
        torch.tensor([[-1.0, 0, 0, 0], [-1.2, 0, 0, 0]]),
    )
    for penalty, best in ((0.0, [5, 6]), (1.1, [5, 6, 7, 8])):
        assert beam.best(tokens, log_probability, ((5 + beam.lengths) / 6) ** penalty) == [best]


@pytest.mark.parametrize("decoding", [AdaptedDecoding(), AdaptedDecoding(iterations=1, length_beam=1)])
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    sources = [*sentences(20, seed=8, longest=12), []]
    together = system.translate(model, sources, decoding)
    assert together == [system.translate(model, [source], decoding)[0] for source in sources]
    assert not set(SPECIALS) & {token for row in together for token in row}
    assert len({tuple(row) for row in together}) > 5


def test_a_few_dozen_pairs_are_learned_by_heart(untrained, tmp_path):
    torch.manual_seed(0)
    # Layers that say little of their own: what is frozen cannot learn, and only pre-training makes more of it useful.
    base = save_mlm(tmp_path / "mlm", hidden_size=32, intermediate_size=64, initializer_range=0.05)
    system = made(type(untrained[0]), base, label_smoothing=0.0, source_span=0.0)
    decodings = [AdaptedDecoding(length_beam=1)]
    assert learned_by_heart(system, *pairs_to_learn(), decodings, tmp_path / "model", updates=250) > 95


# Settings


def test_a_pair_fits_the_positions_of_the_pretrained_model(untrained):
    system, model = untrained
    longest = model.config.longest
    assert longest == 62  # 66 rows, of which <pad> and what is before it, <s> and </s> take two each
    left_out = system.usable(torch.tensor([62, 63, 5]), torch.tensor([5, 5, 63]), torch.tensor([0, 0, 0]))
    assert left_out["source too long"].tolist() == [False, True, False]
    assert left_out["target too long"].tolist() == [False, False, True]
    assert model.length_head.weight.shape[0] == longest
    assert len(system.translate(model, [[7] * 62], AdaptedDecoding(iterations=1))) == 1


def test_a_model_of_another_shape_is_refused(untrained, tmp_path):
    system, model = untrained
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="the settings ask for"):
        made(type(system), system.settings.mlm, adapter=8).load(tmp_path)
    other = next(kind for kind in SYSTEMS if kind is not type(system))
    with pytest.raises(UserError, match="not a"):
        made(other, system.settings.mlm).load(tmp_path)


def test_tables_print_them_by_their_names(mlm):
    described = [made(kind, mlm).describe(made(kind, mlm).build()) for kind in SYSTEMS]
    assert [(one["label"], one["size"]) for one in described] == [
        ("AB-Net", "3+3 layers"),
        ("AB-Net-Enc", "3+2 layers"),
    ]
    assert made(ABNet, mlm).iterations_label(AdaptedDecoding()) == "10"
