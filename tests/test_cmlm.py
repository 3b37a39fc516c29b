"""CMLM and mask-predict: what is masked, what is scored, what each iteration predicts, and that padding never tells."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from nat_models import BOS, END, MASK, PAD, SPECIALS, batch, pad, seeded, sentences, small, train

from xlmd.errors import UserError
from xlmd.nat.lengths import LengthBeam
from xlmd.nat.mask_predict import least_probable, masked_count, uniform_mask
from xlmd.systems import cmlm as system_file
from xlmd.systems.cmlm import CMLM, CMLMDecoding
from xlmd.tensors import inside


def cmlm(**settings):
    return small(CMLM, **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learned to reverse sentences a little, saved as training saves it."""
    torch.manual_seed(1)
    system = cmlm()
    sources = [sentences(32, seed=step) for step in range(150)]
    model = train(system, system.build(), [batch(rows, [row[::-1] for row in rows]) for rows in sources])
    folder = tmp_path_factory.mktemp("cmlm")
    model.save_pretrained(folder)
    return SimpleNamespace(system=system, model=model, folder=folder)


@pytest.fixture
def random_model():
    torch.manual_seed(4)
    system = cmlm(init_std=0.3)  # large, so that predictions differ from position to position
    return SimpleNamespace(system=system, model=system.build().eval())


# Training


def test_the_number_of_masked_tokens_is_uniform_over_the_sentence():
    length, count = 6, 12_000
    masked = uniform_mask(torch.full((count,), length), seeded())
    drawn = Counter(masked.sum(dim=1).tolist())
    assert sorted(drawn) == [1, 2, 3, 4, 5, 6]
    expected = count / length
    assert sum((drawn[k] - expected) ** 2 / expected for k in drawn) < 20.5  # χ², 5 degrees of freedom: p = 0.001
    share = masked.double().mean(dim=0)  # of no position more often than of another: (1 + 6) / 2 of 6
    assert (share - 3.5 / 6).abs().max() < 0.02


def test_the_mask_stays_within_each_sentence_and_masks_at_least_one_token():
    lengths = torch.tensor([1, 2, 5, 9] * 100)
    masked = uniform_mask(lengths, seeded())
    assert not masked[~inside(lengths)].any()
    assert (masked.sum(dim=1) >= 1).all()
    assert masked[lengths == 1][:, 0].all()
    assert {len(set(masked[lengths == n].sum(dim=1).tolist())) for n in (5, 9)} == {5, 9}


def test_the_loss_counts_masked_tokens_and_lengths_and_nothing_else(random_model):
    system, model = random_model.system, random_model.model
    sources, targets = sentences(5), sentences(5, seed=1)
    pairs = batch(sources, targets)
    masked = uniform_mask(pairs.target_lengths, seeded(3))
    loss, figures = system.loss(model, pairs, 0.0, seeded(3))

    plain, smoothed, lengths = [], [], []
    for source, target, row in zip(sources, targets, masked, strict=True):
        hidden = row[: len(target)]
        shown = torch.tensor(target).masked_fill(hidden, MASK)
        seen = torch.ones(1, len(source) + 2, dtype=torch.bool)
        encoded = model.encode(torch.tensor([[BOS, *source, END]]), seen)
        everything = torch.ones_like(shown[None], dtype=torch.bool)
        states = model.decode(model.embed(shown[None]), everything, encoded, seen)
        length_logits = model.length_head(encoded, seen)
        log_probs = model.logits(states[0]).log_softmax(-1)
        for position in hidden.nonzero().flatten().tolist():
            plain.append(-log_probs[position, target[position]])
            smoothed.append(0.9 * plain[-1] - 0.1 * log_probs[position].mean())
        lengths.append(-length_logits[0].log_softmax(-1)[len(target) - 1])
    expected = (sum(smoothed) + sum(lengths)) / int(masked.sum())
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert figures["nll"] == pytest.approx(torch.stack(plain).mean().item(), abs=1e-5)
    assert figures["length_nll"] == pytest.approx(torch.stack(lengths).mean().item(), abs=1e-5)


def test_the_vocabulary_is_scored_at_masked_tokens_only(random_model, monkeypatch):
    scored = []
    logits = random_model.model.logits
    monkeypatch.setattr(random_model.model, "logits", lambda hidden: scored.append(len(hidden)) or logits(hidden))
    pairs = batch(sentences(4), [[5], [6], [7], [8, 9, 10, 11, 12, 13]])
    random_model.system.loss(random_model.model, pairs, 0.0, seeded(5))
    assert scored == [int(uniform_mask(pairs.target_lengths, seeded(5)).sum())]


def test_the_length_loss_is_weighted(random_model):
    pairs = batch(sentences(5), sentences(5, seed=1))
    losses = []
    for weight in (0.0, 1.0, 3.0):
        loss, _ = cmlm(length_weight=weight).loss(random_model.model, pairs, 0.0, seeded())
        losses.append(loss.item())
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


def test_only_the_length_loss_trains_the_length_predictor(random_model):
    pairs = batch(sentences(5), sentences(5, seed=1))
    for weight, trains in ((0.0, False), (1.0, True)):
        random_model.model.zero_grad()
        cmlm(length_weight=weight).loss(random_model.model, pairs, 0.0, seeded())[0].backward()
        gradient = random_model.model.length_head.weight.grad
        assert bool(gradient is not None and gradient.abs().sum() > 0) == trains


def test_padding_does_not_change_the_loss(random_model, monkeypatch):
    system, model = random_model.system, random_model.model
    # everything masked: the draws of a batch are others than those of its sentences alone
    monkeypatch.setattr(system_file, "uniform_mask", lambda lengths, *_: inside(lengths))
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, _ = system.loss(model, batch(sources, targets), 0.0, None)
    alone = [
        system.loss(model, batch([source], [target]), 0.0, None)[0] * len(target)
        for source, target in zip(sources, targets, strict=True)
    ]
    expected = sum(alone) / sum(len(target) for target in targets)
    assert together.item() == pytest.approx(expected.item(), abs=1e-5)


# The model


def test_the_decoder_looks_both_ways_and_not_at_padding(random_model):
    """Without padding there is no attention mask at all, and with padding there is: two paths through transformers."""
    model = random_model.model
    source, lengths = torch.tensor([[BOS, 7, 8, END]]), torch.tensor([4])
    encoded = model.encode(source, inside(lengths))
    target = torch.tensor([[5, MASK, 6, 7]])
    changed = target.clone()
    changed[0, 3] = 20
    for length, seen in ((4, True), (3, False)):
        mask = torch.arange(4).unsqueeze(0) < length
        states = [model.decode(model.embed(ids), mask, encoded, inside(lengths)) for ids in (target, changed)]
        assert torch.allclose(states[0][:, :3], states[1][:, :3]) != seen


def test_both_attention_implementations_agree(trained):
    eager = trained.system.load(trained.folder).eval()
    eager.set_attn_implementation("eager")
    source, lengths = pad([[BOS, 7, 8, 9, END], [BOS, 10, END]])
    for targets in ([[5, MASK, 6], [MASK]], [[5, MASK, 6], [MASK, 7, 8]]):
        target, target_lengths = pad(targets)
        mask, seen = inside(target_lengths), inside(lengths)
        outputs = [
            model.decode(model.embed(target), mask, model.encode(source, seen), seen)[mask]
            for model in (trained.model, eager)
        ]
        assert torch.allclose(*outputs, atol=1e-5)


def test_a_saved_model_loads_as_it_was(trained):
    loaded = trained.system.load(trained.folder).eval()
    weights = loaded.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trained.model.state_dict().items())
    assert loaded.model.encoder.embed_tokens.weight is loaded.model.decoder.embed_tokens.weight
    sources = sentences(20, seed=7)
    expected = trained.system.translate(trained.model, sources, CMLMDecoding())
    assert trained.system.translate(loaded, sources, CMLMDecoding()) == expected
    assert [path.suffix for path in trained.folder.glob("model*")] == [".safetensors"]


def test_a_model_of_another_shape_or_kind_is_refused(trained, tmp_path):
    with pytest.raises(UserError, match="d_model 32, the settings ask for 16"):
        cmlm(d_model=16).load(trained.folder)
    with pytest.raises(UserError, match="cannot read"):
        cmlm().load(trained.folder / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "marian"}')
    with pytest.raises(UserError, match="marian"):
        cmlm().load(tmp_path)


# Decoding


@pytest.mark.parametrize(
    ("length", "iterations", "counts"),
    [
        (12, 4, [12, 9, 6, 3]),
        (10, 10, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (7, 4, [7, 5, 3, 1]),
        (3, 10, [3, 2, 2, 2, 1, 1, 1, 1, 1, 1]),
        (1, 4, [1, 1, 1, 1]),
        (5, 1, [5]),
    ],
)
def test_the_number_of_masked_tokens_decays_linearly(length, iterations, counts):
    lengths = torch.tensor([length])
    assert [int(masked_count(lengths, t, iterations)) for t in range(iterations)] == counts


def test_the_least_probable_tokens_are_chosen_and_never_padding():
    log_probability = torch.tensor([[-0.1, -3.0, -0.5, -2.0], [-0.2, -0.2, 0.0, 0.0]])
    chosen = least_probable(log_probability, torch.tensor([4, 2]), torch.tensor([2, 1]))
    assert chosen.tolist() == [[False, True, False, True], [True, False, False, False]]


def recorded_tokens(model, monkeypatch):
    """The tokens that the decoder is shown, iteration by iteration."""
    shown = []
    embed = model.embed
    monkeypatch.setattr(model, "embed", lambda tokens: shown.append(tokens.clone()) or embed(tokens))
    return shown


@pytest.mark.parametrize("iterations", [1, 4, 10])
def test_each_iteration_masks_as_many_as_the_schedule_says_in_one_pass(random_model, monkeypatch, iterations):
    shown = recorded_tokens(random_model.model, monkeypatch)
    random_model.system.translate(random_model.model, sentences(6), CMLMDecoding(iterations=iterations, length_beam=3))
    assert len(shown) == iterations
    lengths = (shown[0] != PAD).sum(dim=1)
    assert len(set(lengths.tolist())) > 3
    for t, target in enumerate(shown):
        assert (target == MASK).sum(dim=1).tolist() == masked_count(lengths, t, iterations).tolist()


def test_iterations_follow_the_paper_step_by_step(random_model):
    """Mask-predict written out for one sentence and one length at a time, in plain loops."""
    system, model = random_model.system, random_model.model
    for source in sentences(12, seed=2):
        ids = torch.tensor([[BOS, *source, END]])
        seen = torch.ones_like(ids, dtype=torch.bool)
        with torch.inference_mode():
            encoded = model.encode(ids, seen)
            lengths = model.length_head(encoded, seen)[0].topk(3).indices.tolist()
            candidates = []
            for n in (index + 1 for index in lengths):
                tokens, scores = [MASK] * n, [0.0] * n
                for t in range(4):
                    count = n if t == 0 else max(1, n * (4 - t) // 4)
                    masked = range(n) if t == 0 else sorted(range(n), key=lambda i: scores[i])[:count]
                    for i in masked:
                        tokens[i] = MASK
                    everything = torch.ones(1, n, dtype=torch.bool)
                    shown = model.embed(torch.tensor([tokens]))
                    logits = model.logits(model.decode(shown, everything, encoded, seen))[0]
                    logits[:, SPECIALS] = -torch.inf
                    log_probs = logits.log_softmax(-1)
                    for i in masked:
                        scores[i], tokens[i] = log_probs[i].max().item(), int(log_probs[i].argmax())
                candidates.append((sum(scores) / n, tokens))
        best = max(candidates, key=lambda candidate: candidate[0])[1]
        assert system.translate(model, [source], CMLMDecoding(iterations=4, length_beam=3)) == [best]


def test_the_candidate_of_the_highest_mean_probability_is_taken():
    """The sums would choose length 3, the means choose length 6."""
    lengths = torch.tensor([3, 5, 6])
    beam = LengthBeam(lengths, size=3)
    log_probability = torch.tensor([[-1.0], [-0.9], [-0.8]]) * beam.visible
    tokens = lengths.unsqueeze(1).expand(3, 6)
    assert beam.best(tokens, log_probability) == [[6] * 6]
    assert LengthBeam(lengths, size=1).best(tokens, log_probability) == [[3] * 3, [5] * 5, [6] * 6]


def test_a_beam_wider_than_there_are_lengths_tries_them_all():
    torch.manual_seed(0)
    system = cmlm(max_positions=6)
    assert len(system.translate(system.build(), [[5, 6]], CMLMDecoding(length_beam=50))) == 1


@pytest.mark.parametrize(
    "decoding",
    [
        CMLMDecoding(iterations=1, length_beam=1),
        CMLMDecoding(iterations=4, length_beam=1),
        CMLMDecoding(iterations=10, length_beam=5),
    ],
)
def test_a_batch_translates_as_its_sentences_alone(trained, decoding):
    sources = sentences(40, seed=8)
    together = trained.system.translate(trained.model, sources, decoding)
    assert together == [trained.system.translate(trained.model, [source], decoding)[0] for source in sources]
    assert together == trained.system.translate(trained.model, sources, decoding)
    assert len({tuple(row) for row in together}) > 8


def test_large_batches_are_scored_in_parts_with_the_same_result(trained, monkeypatch):
    sources = sentences(20, seed=9)
    expected = trained.system.translate(trained.model, sources, CMLMDecoding())
    monkeypatch.setattr("xlmd.output_layer.ROWS", 7)
    assert trained.system.translate(trained.model, sources, CMLMDecoding()) == expected


def test_translations_are_bare_and_within_the_positions(random_model):
    translations = random_model.system.translate(random_model.model, sentences(30), CMLMDecoding())
    assert not set(SPECIALS) & {token for row in translations for token in row}
    assert all(1 <= len(row) <= 32 for row in translations)
    assert random_model.system.translate(random_model.model, [], CMLMDecoding()) == []
    assert len(random_model.system.translate(random_model.model, [[], [5]], CMLMDecoding())) == 2


def test_a_source_beyond_the_positions_is_cut_and_told(trained, caplog):
    translate = trained.system.translate
    assert translate(trained.model, [[5] * 100], CMLMDecoding()) == translate(trained.model, [[5] * 30], CMLMDecoding())
    assert "1 sources have more than 30 subwords" in caplog.text


def test_a_few_sentences_are_learned_by_heart():
    torch.manual_seed(0)
    system = cmlm(label_smoothing=0.0)
    sources = [[5, 6, 7], [8, 9, 10, 11], [12, 13], [14, 15, 16, 17, 18]]
    targets = [[20, 21, 22, 23], [24, 25], [26, 27, 26, 26, 28], [20, 30, 31]]
    model = train(system, system.build(), [batch(sources, targets)] * 200, lr=5e-3)
    for iterations in (1, 4, 10):
        assert system.translate(model, sources, CMLMDecoding(iterations=iterations, length_beam=1)) == targets


def test_training_lowers_the_loss(trained):
    sources = sentences(32, seed=1000)
    reverse = batch(sources, [row[::-1] for row in sources])
    torch.manual_seed(0)
    fresh = trained.system.build().eval()
    before, after = (trained.system.loss(model, reverse, 0.0, seeded())[1] for model in (fresh, trained.model))
    assert after["nll"] < before["nll"] - 0.2
    assert after["length_nll"] < before["length_nll"] - 1


# Settings


def test_pairs_longer_than_the_positions_are_left_out():
    left_out = cmlm().usable(torch.tensor([30, 31, 5]), torch.tensor([33, 5, 32]), torch.zeros(3))
    assert left_out["source too long"].tolist() == [False, True, False]
    assert left_out["target too long"].tolist() == [True, False, False]
    torch.manual_seed(0)
    system = cmlm()
    loss, _ = system.loss(system.build(), batch([[5] * 30], [[6] * 32]), 0.0, seeded())
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    "settings",
    [
        {"heads": 3},
        {"d_model": 33, "heads": 1},
        {"dropout": 1.0},
        {"attention_dropout": -0.1},
        {"ffn": 0},
        {"label_smoothing": 1.5},
        {"length_weight": -1.0},
        {"init_std": 0.0},
        {"activation": "tanh"},
        {"max_positions": 2},
    ],
)
def test_settings_that_make_no_model_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        cmlm(**settings)


@pytest.mark.parametrize("option", ["iterations", "length_beam"])
def test_decodings_out_of_range_are_refused(option):
    with pytest.raises(UserError, match=option):
        CMLMDecoding(**{option: 0})


def test_the_description_holds_all_settings():
    system = cmlm(length_weight=0.5)
    described = system.describe(system.build())
    assert described["settings"]["length_weight"] == 0.5
    assert (described["system"], described["label"], described["size"]) == ("cmlm", "CMLM", "2+2 layers")
    assert [system.iterations_label(CMLMDecoding(iterations=count)) for count in (1, 10)] == ["1", "10"]
