"""DisCO: what a token sees in training and in decoding, and that a batch translates as its sentences alone."""

import pytest
import torch
from nat_models import (
    BOS,
    END,
    SPECIALS,
    batch,
    different_translations,
    learned_by_heart,
    pad,
    pairs_to_learn,
    seeded,
    sentences,
    small,
)

from xlmd.nat.lengths import LengthBeam
from xlmd.systems import disco as system_file
from xlmd.systems.disco import DisCO, DisCODecoding, easy_first, random_subsets
from xlmd.tensors import inside


def disco(**settings):
    return small(DisCO, **settings)


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = disco(init_std=0.3)  # large, so that predictions differ from position to position
    return system, system.build().eval()


def states(model, rows, visible, source=(BOS, 7, 8, END)):
    """What predicts each token of the rows, which share a source."""
    tokens, lengths = pad(rows)
    ids, source_lengths = pad([list(source)] * len(rows))
    seen = inside(source_lengths)
    return model.attend(tokens, lengths, visible, model.encode(ids, seen), seen)


# Training


def test_a_token_sees_a_uniform_number_of_the_others_and_never_itself():
    lengths = torch.tensor([5, 3, 1] * 400)
    seen = random_subsets(lengths, seeded())
    assert seen.shape == (1200, 5, 5)
    assert not seen.diagonal(dim1=1, dim2=2).any()
    assert not (seen & ~inside(lengths).unsqueeze(1)).any()
    for length, rows in ((5, seen[::3]), (3, seen[1::3]), (1, seen[2::3])):
        counts = rows[:, :length].sum(2).flatten().bincount(minlength=length)
        assert len(counts) == length  # 0..J−1
        assert torch.allclose(counts / counts.sum(), torch.full((length,), 1 / length), atol=0.06)
    others = seen[::3, 0].float().mean(0)
    assert torch.allclose(others[1:], torch.full((4,), 0.5), atol=0.06)


def test_what_a_position_does_not_see_does_not_reach_it_through_any_layer(untrained):
    """Of two targets that differ in hidden tokens alone, every state is bit-equal: contexts are not contextualised."""
    _, model = untrained
    target = [5, 6, 7, 8, 9, 10]
    visible = random_subsets(torch.tensor([6]), seeded(3))
    whole = states(model, [target], visible)
    for changed in range(6):
        other = [*target]
        other[changed] = 20
        differs = (states(model, [other], visible) != whole).any(2)[0]
        assert torch.equal(differs, visible[0, :, changed])


def test_every_token_is_scored_and_with_nothing_in_sight_the_target_does_not_matter(untrained, monkeypatch):
    system, model = untrained
    sources, targets = sentences(4), sentences(4, seed=1)
    monkeypatch.setattr(
        system_file, "random_subsets", lambda lengths, *_: torch.zeros(4, *[int(lengths.max())] * 2, dtype=torch.bool)
    )
    scored, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: scored.append(hidden) or logits(hidden))
    for rows in (targets, [[7 if token != 7 else 8 for token in row] for row in targets]):
        system.loss(model, batch(sources, rows), 0.0, seeded())
    assert len(scored[0]) == sum(map(len, targets))
    assert torch.equal(scored[0], scored[1])


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained, monkeypatch):
    system, model = untrained
    before_it = lambda lengths, *_: torch.ones(len(lengths), *[int(lengths.max())] * 2).tril(-1).bool()  # noqa: E731
    monkeypatch.setattr(system_file, "random_subsets", before_it)
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-5)
    alone = [system.loss(model, batch([x], [y]), 0.0, seeded())[1] for x, y in zip(sources, targets, strict=True)]
    counts = [len(target) for target in targets]
    nll = sum(figures["nll"] * count for figures, count in zip(alone, counts, strict=True)) / sum(counts)
    assert whole["nll"] == pytest.approx(float(nll), abs=1e-5)
    assert whole["length_nll"] == pytest.approx(float(sum(figures["length_nll"] for figures in alone)) / 6, abs=1e-5)


# Decoding


def reference(model, source, length, iterations, forbidden):
    """Easy-first of one sentence, as the paper says it."""
    ids, source_lengths = pad([[BOS, *source, END]])
    seen = inside(source_lengths)
    encoded, tokens, order, count = model.encode(ids, seen), [0] * length, None, 0
    while count < iterations:
        count += 1
        visible = torch.zeros(1, length, length, dtype=torch.bool)
        for place, position in enumerate(order or []):
            visible[0, position, order[:place]] = True
        logits = model.logits(model.attend(torch.tensor([tokens]), torch.tensor([length]), visible, encoded, seen))[0]
        logits[:, forbidden] = float("-inf")
        best = logits.log_softmax(1).max(1)
        before, tokens = tokens, best.indices.tolist()
        if order is None:
            order = sorted(range(length), key=lambda position: -best.values[position].item())
        elif tokens == before:
            break
    return tokens, count


def test_easy_first_is_that_of_the_paper_and_counts_its_iterations(untrained):
    system, model = untrained
    sources = sentences(30, seed=8)
    lengths = torch.randint(1, 10, (30,), generator=seeded())
    ids, source_lengths = system.batch(model, sources)
    seen = inside(source_lengths)
    tokens, _, count = easy_first(
        model, model.encode(ids, seen), seen, LengthBeam(lengths, 1), iterations=4, forbidden=SPECIALS
    )
    with torch.inference_mode():
        for row, source in enumerate(sources):
            expected = reference(model, source, int(lengths[row]), 4, SPECIALS)
            assert (tokens[row, : lengths[row]].tolist(), int(count[row])) == expected
    assert len(set(count.tolist())) > 1


@pytest.mark.parametrize("decoding", [DisCODecoding(), DisCODecoding(length_beam=1, iterations=2)])
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    assert different_translations(system, model, decoding) > 15


def test_what_a_decoding_took_is_told_once(untrained):
    system, model = untrained
    sources = sentences(10, seed=8)
    system.translate(model, sources, DisCODecoding(iterations=1))
    assert system.effort() == {"mean_iterations": 1.0, "mean_passes": 1.0}
    assert system.effort() == {}
    system.translate(model, sources, DisCODecoding(iterations=3))
    assert 2 <= system.effort()["mean_iterations"] <= 3


def test_no_candidate_is_as_long_as_there_are_positions(untrained):
    """`</s>` takes one, in training as in decoding."""
    system, model = untrained
    longest = system.settings.max_positions
    left_out = system.usable(torch.tensor([3, 3]), torch.tensor([longest - 1, longest]), torch.tensor([0, 0]))
    assert left_out["target too long"].tolist() == [False, True]
    with torch.no_grad():
        model.length_head.weight.zero_()
        model.length_head.weight[longest - 1] = (
            100 * model.encode(torch.ones(1, 3).long(), torch.ones(1, 3).bool())[0, 0]
        )
    assert all(len(row) < longest for row in system.translate(model, sentences(4), DisCODecoding(iterations=2)))


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    """Few sentences take more iterations than the one that finds that the first has left nothing to do."""
    system, (sources, targets) = disco(label_smoothing=0.0), pairs_to_learn()
    assert learned_by_heart(system, sources, targets, [DisCODecoding(length_beam=1)], tmp_path, updates=250) > 95
    assert 2 <= system.examine(system.load(tmp_path), sources)["mean_iterations"] < 4


def test_tables_print_it_as_disco_with_adaptive_iterations():
    system = disco()
    described = system.describe(system.build())
    assert (described["system"], described["label"], described["size"]) == ("disco", "DisCO", "2+2 layers")
    assert system.iterations_label(DisCODecoding()) == "Adv."
