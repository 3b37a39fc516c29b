"""The bag of n-grams that a model expects to write, against counting."""

from collections import Counter
from itertools import product

import pytest
import torch
from nat_models import pad, seeded, sentences

from xlmd.nat.ngrams import ngram_difference
from xlmd.tensors import inside, where_true


def ngrams(tokens, n):
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def expected_bag(probabilities, n):
    """The mean over all translations of how often each n-gram is in them, by their probabilities."""
    length, vocabulary = probabilities.shape
    bag = Counter()
    for tokens in product(range(vocabulary), repeat=length):
        chance = 1.0
        for place, token in enumerate(tokens):
            chance *= float(probabilities[place, token])
        for ngram, count in ngrams(tokens, n).items():
            bag[ngram] += chance * count
    return bag


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_is_half_the_distance_of_the_bags_over_all_translations_there_are(n):
    """Of a vocabulary of three, so that n-grams repeat; padded in the batch; a sentence may be too short for any."""
    target, lengths = pad([[0, 1, 0, 1, 0], [2, 2, 2, 2], [1, 2], [0]])
    logits = torch.randn(int(lengths.sum()), 3, generator=seeded(n)) * 2
    probabilities = logits.softmax(-1).split(lengths.tolist())
    differences = []
    for row, length in enumerate(lengths.tolist()):
        mine, theirs = expected_bag(probabilities[row], n), ngrams(target[row, :length].tolist(), n)
        distance = sum(abs(mine[ngram] - theirs[ngram]) for ngram in {*mine, *theirs})
        differences.append(distance / 2 / (length - n + 1) if length >= n else 0.0)
    found = ngram_difference(logits, where_true(inside(lengths)), target, lengths, n)
    assert found.item() == pytest.approx(sum(differences) / 4, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_of_a_translation_that_is_certain_it_is_the_share_of_ngrams_that_are_wrong(n):
    rows = sentences(20, seed=2, longest=9)
    target, lengths = pad(rows)
    written = [
        [token if (place + number) % 3 else 7 for place, token in enumerate(row)] for number, row in enumerate(rows)
    ]
    logits = torch.nn.functional.one_hot(torch.tensor([token for row in written for token in row]), 40) * 1e3
    shares = []
    for row, other in zip(rows, written, strict=True):
        matched = (ngrams(row, n) & ngrams(other, n)).total()
        shares.append(1 - matched / (len(row) - n + 1) if len(row) >= n else 0.0)
    assert 0 < sum(shares) < 20
    assert ngram_difference(logits.float(), where_true(inside(lengths)), target, lengths, n).item() == pytest.approx(
        sum(shares) / 20, abs=1e-5
    )


def test_ngrams_in_another_place_are_as_good():
    """Where cross entropy finds every token wrong."""
    target = torch.tensor([[5, 6, 7, 8, 9]])
    logits = torch.nn.functional.one_hot(torch.tensor([3, 5, 6, 7, 8]), 10) * 1e3
    assert ngram_difference(logits.float(), torch.arange(5), target, torch.tensor([5]), 2).item() == pytest.approx(
        1 / 4
    )


def test_what_is_written_often_enough_has_no_gradient_and_what_lacks_has_one():
    target, length = torch.tensor([[1, 2, 1]]), torch.tensor([3])
    logits = torch.tensor([[0.0, 0, 0], [0, 0, 9], [0, 0, 9]], requires_grad=True)  # 2 is expected more than once
    ngram_difference(logits, torch.arange(3), target, length, 1).backward()
    assert (logits.grad[:, 1] < 0).all() and torch.isfinite(logits.grad).all()
    short = torch.zeros(1, 3, requires_grad=True)
    ngram_difference(short, torch.arange(1), torch.tensor([[1]]), torch.tensor([1]), 2).backward()
    assert (short.grad == 0).all()
