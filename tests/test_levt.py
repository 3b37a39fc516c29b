"""LevT: edits against a slow edit distance, what each of the three passes of training sees, and what ends decoding."""

import random

import pytest
import torch
from nat_models import (
    BOS,
    END,
    MASK,
    PAD,
    SPECIALS,
    batch,
    learned_by_heart,
    pad,
    pairs_to_learn,
    seeded,
    sentences,
    small,
)

from xlmd.nat.edits import align, insertions, kept_tokens, with_placeholders
from xlmd.systems import levt as system_file
from xlmd.systems.levt import LevT, LevTDecoding, random_kept
from xlmd.tensors import inside


def levt(**settings):
    return small(LevT, **({"placeholders": 12} | settings))


@pytest.fixture
def untrained():
    torch.manual_seed(4)
    system = levt(init_std=0.3)  # large, so that predictions differ from position to position
    return system, system.build().eval()


# Edits


def distance(given, wanted):
    """The fewest deletions and insertions that turn one list into the other."""
    if not given or not wanted:
        return len(given) + len(wanted)
    if given[-1] == wanted[-1]:
        return distance(given[:-1], wanted[:-1])
    return 1 + min(distance(given[:-1], wanted), distance(given, wanted[:-1]))


def pairs_of_few_words(count, longest=6):
    drawn = random.Random(5)
    return [
        tuple([drawn.randint(5, 7) for _ in range(drawn.randint(1, longest))] for _ in range(2)) for _ in range(count)
    ]


@pytest.mark.parametrize("padding", [0, 6])
def test_an_alignment_takes_as_few_edits_as_the_edit_distance(padding):
    pairs = pairs_of_few_words(150)
    (given, given_lengths), (wanted, wanted_lengths) = (pad(rows) for rows in zip(*pairs, strict=True))
    given = given.masked_fill(~inside(given_lengths), padding)  # also one that is a word
    wanted = wanted.masked_fill(~inside(wanted_lengths), padding)
    kept, found = align(given, given_lengths, wanted, wanted_lengths)
    assert not (kept & ~inside(given_lengths)).any() and not (found & ~inside(wanted_lengths)).any()
    for row, (first, second) in enumerate(pairs):
        left = [token for token, keep in zip(first, kept[row].tolist(), strict=False) if keep]
        assert left == [token for token, is_found in zip(second, found[row].tolist(), strict=False) if is_found]
        assert len(first) + len(second) - 2 * len(left) == distance(first, second)


def test_of_equal_alignments_the_earliest_is_taken():
    kept, found = align(*pad([[5, 5, 6]]), *pad([[7, 5, 6, 5]]))
    assert kept.tolist() == [[True, True, False]]
    assert found.tolist() == [[False, True, False, True]]


def test_deletions_then_insertions_make_the_wanted_sentence():
    pairs = [([BOS, *first, END], [BOS, *second, END]) for first, second in pairs_of_few_words(60)]
    (given, given_lengths), (wanted, wanted_lengths) = (pad(rows) for rows in zip(*pairs, strict=True))
    kept, found = align(given, given_lengths, wanted, wanted_lengths)
    left, lengths = kept_tokens(given, kept, PAD)
    result, lengths = with_placeholders(left, lengths, insertions(found, wanted_lengths), MASK, PAD)
    assert torch.equal(lengths, wanted_lengths)
    assert torch.equal(result, wanted.masked_fill(inside(wanted_lengths) & ~found, MASK))


def test_the_roll_in_keeps_a_uniform_number_of_tokens_from_none_to_all():
    kept = random_kept(torch.tensor([4, 2] * 3000), seeded())
    for length, rows in ((4, kept[::2]), (2, kept[1::2])):
        assert not rows[:, length:].any()
        counts = rows.sum(1).bincount(minlength=length + 1)
        assert len(counts) == length + 1
        assert (counts / counts.sum() - 1 / (length + 1)).abs().max() < 0.03


# Training


def recorded(model, monkeypatch):
    """The tokens that the decoder reads, pass by pass."""
    read, states = [], model.states
    monkeypatch.setattr(model, "states", lambda tokens, *rest: read.append(tokens) or states(tokens, *rest))
    return read


def keep(monkeypatch, kept):
    monkeypatch.setattr(system_file, "random_kept", lambda *_: torch.tensor(kept))


def test_the_three_passes_read_what_is_left_its_placeholders_and_what_is_written_there(untrained, monkeypatch):
    system, model = untrained
    keep(monkeypatch, [[False, True, False, True]])
    read = recorded(model, monkeypatch)
    _, figures = system.loss(model, batch([[7, 8]], [[5, 6, 9, 10]]), 0.0, seeded())
    assert read[0].tolist() == [[BOS, 6, 10, END]]
    assert read[1].tolist() == [[BOS, MASK, 6, MASK, 10, END]]
    written = read[2][0].tolist()
    assert [written[place] for place in (0, 2, 4, 5)] == [BOS, 6, 10, END]
    assert not {written[1], written[3]} & set(SPECIALS)
    with torch.no_grad():  # one placeholder before 6 and before 10, none before </s>
        encoded = model.encode(*(pad([[BOS, 7, 8, END]])[0], torch.ones(1, 4).bool()))
        seen = (torch.tensor([4]), encoded, torch.ones(1, 4).bool())
        scores = model.insertion_logits(model.states(read[0], *seen)).log_softmax(-1)[0]
    assert figures["insertion_nll"] == pytest.approx(-(scores[0, 1] + scores[1, 1] + scores[2, 0]).item() / 3, abs=1e-5)


def test_deleted_target_tokens_reach_neither_of_the_passes_that_predict_them(untrained, monkeypatch):
    system, model = untrained
    keep(monkeypatch, [[False, True, False], [True, False, False]])
    read = recorded(model, monkeypatch)
    for targets in ([[5, 6, 7], [8, 9, 10]], [[15, 6, 17], [8, 19, 20]]):
        system.loss(model, batch(sentences(2), targets), 0.0, seeded())
    assert torch.equal(read[0], read[3]) and torch.equal(read[1], read[4])


def test_what_is_written_wrongly_is_to_be_deleted(untrained, monkeypatch):
    """With a model that writes 5 everywhere and finds every token right, the loss is that of the wrong ones."""
    system, model = untrained
    keep(monkeypatch, [[False, False, False, False]])
    logits = torch.nn.functional.one_hot(torch.tensor([5]), 40).float() * 100
    monkeypatch.setattr(model, "logits", lambda hidden: logits.repeat(len(hidden), 1))
    monkeypatch.setattr(
        model, "deletion_logits", lambda hidden: torch.tensor([10.0, 0.0]).expand(*hidden.shape[:-1], 2)
    )
    _, figures = system.loss(model, batch([[7]], [[5, 6, 5, 8]]), 0.0, seeded())
    assert figures["deletion_nll"] == pytest.approx(0.5 * 10, abs=1e-3)  # two of four


def test_neither_padding_nor_the_order_of_a_batch_changes_the_loss(untrained, monkeypatch):
    system, model = untrained
    monkeypatch.setattr(
        system_file, "random_kept", lambda lengths, *_: inside(lengths) & (torch.arange(int(lengths.max())) % 2 == 1)
    )
    sources, targets = sentences(6, longest=12), sentences(6, seed=1, longest=12)
    together, whole = system.loss(model, batch(sources, targets), 0.0, seeded())
    reversed_, _ = system.loss(model, batch(sources[::-1], targets[::-1]), 0.0, seeded())
    assert reversed_.item() == pytest.approx(together.item(), abs=1e-4)
    alone = [system.loss(model, batch([x], [y]), 0.0, seeded())[1] for x, y in zip(sources, targets, strict=True)]
    lengths = [len(target) for target in targets]
    weights = {
        "nll": [(length + 1) // 2 for length in lengths],
        "insertion_nll": [length // 2 + 1 for length in lengths],
        "deletion_nll": lengths,
    }
    for name, weight in weights.items():
        mean = sum(figures[name] * share for figures, share in zip(alone, weight, strict=True)) / sum(weight)
        assert whole[name] == pytest.approx(float(mean), abs=1e-4)


# Decoding


@pytest.mark.parametrize("decoding", [LevTDecoding(), LevTDecoding(iterations=2, empty_penalty=1.0)])
def test_a_batch_translates_as_its_sentences_alone(untrained, decoding):
    system, model = untrained
    sources = [*sentences(25, seed=8, longest=12), []]
    together = system.translate(model, sources, decoding)
    effort = system.effort()
    assert together == [system.translate(model, [source], decoding)[0] for source in sources]
    assert system.effort() == pytest.approx(effort)
    assert not set(SPECIALS) & {token for row in together for token in row}
    assert len({tuple(row) for row in together}) > 10


def test_a_translation_stays_within_its_limit_and_within_the_positions(untrained, monkeypatch):
    system, model = untrained
    everywhere = torch.nn.functional.one_hot(torch.tensor(12), 13).float()  # as many as there can be
    monkeypatch.setattr(
        model, "insertion_logits", lambda hidden: everywhere.repeat(len(hidden), hidden.shape[1] - 1, 1)
    )
    monkeypatch.setattr(model, "deletion_logits", lambda hidden: torch.tensor([1.0, 0.0]).expand(*hidden.shape[:-1], 2))
    translations = system.translate(model, [[7], [7] * 8, [7] * 20], LevTDecoding())
    assert [len(row) for row in translations] == [10, 16, 30]


def test_a_sentence_ends_when_nothing_changes_and_its_passes_are_counted(untrained, monkeypatch):
    """One insertion and one writing; then a deletion and an insertion that change nothing."""
    system, model = untrained

    def two_at_first(hidden):
        counts = torch.zeros(len(hidden), hidden.shape[1] - 1, 13)
        counts[..., 2 if hidden.shape[1] == 2 else 0] = 1
        return counts

    monkeypatch.setattr(model, "insertion_logits", two_at_first)
    monkeypatch.setattr(model, "deletion_logits", lambda hidden: torch.tensor([1.0, 0.0]).expand(*hidden.shape[:-1], 2))
    assert [len(row) for row in system.translate(model, sentences(3), LevTDecoding())] == [2, 2, 2]
    assert system.effort() == {"mean_iterations": 2.0, "mean_passes": 4.0}
    assert system.effort() == {}


def test_a_few_dozen_pairs_are_learned_by_heart(tmp_path):
    system, (sources, targets) = levt(label_smoothing=0.0, insertion_smoothing=0.0), pairs_to_learn()
    assert learned_by_heart(system, sources, targets, [LevTDecoding()], tmp_path) > 95
    figures = system.examine(system.load(tmp_path), sources)
    assert 2 <= figures["mean_iterations"] < 5 and figures["mean_passes"] > figures["mean_iterations"]


def test_tables_print_it_as_levt_with_adaptive_iterations_and_it_predicts_no_length():
    system = levt()
    model = system.build()
    described = system.describe(model)
    assert (described["system"], described["label"], described["size"]) == ("levt", "LevT", "2+2 layers")
    assert system.iterations_label(LevTDecoding()) == "Adv."
    assert not [name for name, _ in model.named_parameters() if "length" in name]
