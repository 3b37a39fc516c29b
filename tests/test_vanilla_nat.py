"""fairseq's Vanilla-NAT: what its decoder reads, and that it sees nothing of the target."""

import pytest
import torch
from nat_models import batch, different_translations, learned_by_heart, pairs_to_learn, seeded, sentences, small

from xlmd.nat.rescoring import RescoredDecoding
from xlmd.systems.nat import VanillaNAT
from xlmd.tensors import inside


def vanilla(**settings):
    return small(VanillaNAT, **({"length_range": 12} | settings))


@pytest.fixture(params=["mask", "copy"])
def untrained(request):
    torch.manual_seed(4)
    system = vanilla(init_std=0.3, inputs=request.param)  # large, so that predictions differ from position to position
    return system, system.build().eval()


def test_the_decoder_reads_masks_or_the_source_in_its_order():
    source, lengths = torch.tensor([[5, 6, 7], [8, 9, 1]]), torch.tensor([3, 2])
    masks, copies = (vanilla(inputs=inputs) for inputs in ("mask", "copy"))
    model = masks.build()
    mask = model.embed(torch.tensor(model.config.mask_token_id))
    assert torch.equal(masks.inputs(model, source, lengths, inside(torch.tensor([4, 2]))), mask.expand(2, 4, -1))
    copied = copies.inputs(model, source, lengths, inside(torch.tensor([5, 2])))
    assert torch.equal(copied[0], model.embed(torch.tensor([5, 6, 6, 7, 7])))
    assert torch.equal(copied[1, :2], model.embed(torch.tensor([8, 9])))


def test_of_the_target_only_its_length_reaches_the_decoder(untrained, monkeypatch):
    system, model = untrained
    given, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda inputs, *rest: given.append(inputs) or decode(inputs, *rest))
    targets = sentences(5, seed=1)
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        system.loss(model, batch(sentences(5), rows), 0.0, seeded())
    assert torch.equal(*given)


def test_the_loss_is_that_of_the_sentences_one_by_one(untrained):
    """Whatever their padding and order: −log p of every token and length, summed in a loop."""
    system, model = untrained
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, figures = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-4)
    words = lengths = smoothed = 0.0
    for source, target in zip(sources, targets, strict=True):
        pair = batch([source], [target])
        read, read_lengths = system.with_specials(pair.source, pair.source_lengths)
        seen = inside(read_lengths)
        encoded = model.encode(read, seen)
        inputs = system.inputs(model, read, read_lengths, inside(pair.target_lengths))
        log_p = model.logits(model.decode(inputs, inside(pair.target_lengths), encoded, seen))[0].log_softmax(-1)
        words -= sum(log_p[place, token].item() for place, token in enumerate(target))
        smoothed -= log_p.mean(-1).sum().item()
        offset = len(target) - len(source) + 12
        lengths -= model.length_head(encoded, seen)[0].log_softmax(-1)[offset].item()
    count = sum(len(target) for target in targets)
    assert figures["nll"].item() == pytest.approx(words / count, abs=1e-4)
    assert figures["length_nll"].item() == pytest.approx(lengths / 6, abs=1e-4)
    assert together.item() == pytest.approx((0.9 * words + 0.1 * smoothed) / count + 0.1 * lengths / 6, abs=1e-4)


@pytest.mark.parametrize("beam", [1, 5])
def test_a_batch_translates_as_its_sentences_alone(untrained, beam):
    system, model = untrained
    decoding = RescoredDecoding(length_beam=beam, length_candidates="neighbours")
    assert different_translations(system, model, decoding, count=25) > 10


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    system = vanilla(label_smoothing=0.0, length_weight=1.0)
    assert learned_by_heart(system, *pairs_to_learn(), [RescoredDecoding()], tmp_path) > 95


def test_tables_tell_it_from_the_vanilla_nat_with_fertilities():
    system = vanilla()
    described = system.describe(system.build())
    assert described["label"] == "Vanilla-NAT (softmax length)" and described["size"] == "2+2 layers"
    assert system.iterations_label(RescoredDecoding()) == "1"
