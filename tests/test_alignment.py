"""Word alignment: against a slow expectation maximisation, and on text whose alignment is known."""

import math
import random
from collections import defaultdict

import numpy as np
import pytest
import torch
from nat_models import parallel

from xlmd.nat import alignment
from xlmd.nat.alignment import fertility_counts, word_alignment

NULL, TENSION, CONCENTRATION = 0.08, 4.0, 0.01


def few_words(count, seed=1):
    drawn = random.Random(seed)
    return [[drawn.randint(0, 6) for _ in range(drawn.randint(1, 5))] for _ in range(count)]


def slow(sources, targets, iterations):
    """The links and the cross entropy, one target token at a time."""

    def prior(place, target_place, source, target):
        def near(i):
            return math.exp(-TENSION * abs((i + 0.5) / len(source) - (target_place + 0.5) / len(target)))

        return (1 - NULL) * near(place) / sum(near(i) for i in range(len(source)))

    def joint(lexicon, source, target, j):
        """Of no source token, and of each."""
        own = [prior(i, j, source, target) * lexicon[word][target[j]] for i, word in enumerate(source)]
        return [NULL * lexicon[None][target[j]], *own]

    lexicon = defaultdict(lambda: defaultdict(lambda: 1.0))
    for _ in range(iterations):
        counts = defaultdict(lambda: defaultdict(float))
        for source, target in zip(sources, targets, strict=True):
            for j, token in enumerate(target):
                values = joint(lexicon, source, target, j)
                for word, value in zip([None, *source], values, strict=True):
                    counts[word][token] += value / sum(values)
        lexicon = {
            word: {
                token: math.exp(digamma(count + CONCENTRATION) - digamma(total(row))) for token, count in row.items()
            }
            for word, row in counts.items()
        }
    links, loss = [], 0.0
    for source, target in zip(sources, targets, strict=True):
        for j in range(len(target)):
            none, *values = joint(lexicon, source, target, j)
            links.append(values.index(max(values)))
            loss -= math.log(none + sum(values))
    return links, loss / len(links)


def digamma(value):
    return torch.digamma(torch.tensor(value, dtype=torch.float64)).item()


def total(row):
    return sum(row.values()) + CONCENTRATION * len(row)


@pytest.mark.parametrize("links", [alignment._LINKS, 20])
def test_it_is_a_slow_expectation_maximisations(tmp_path, monkeypatch, links):
    """Whatever number of links is in memory at a time."""
    monkeypatch.setattr(alignment, "_LINKS", links)
    sources, targets = few_words(30), few_words(30, seed=2)
    found = word_alignment(parallel(tmp_path, sources, targets), 7, iterations=3)
    expected, loss = slow(sources, targets, 3)
    assert found.sources.tolist() == expected
    assert found.cross_entropy == pytest.approx(loss)


def test_translations_word_by_word_are_found_through_reordering_and_extra_words(tmp_path):
    """Target words are source words + 50; neighbours change places, and a word of no source follows some."""
    drawn, sources, targets, truth = random.Random(0), [], [], []
    for _ in range(400):
        source = drawn.sample(range(40), drawn.randint(3, 8))
        order = list(range(len(source)))
        for place in range(0, len(order) - 1, 2):
            if drawn.random() < 0.5:
                order[place : place + 2] = order[place + 1], order[place]
        target = [(source[place] + 50, place) for place in order]
        target.insert(drawn.randint(0, len(target)), (99, None))
        sources.append(source)
        targets.append([word for word, _ in target])
        truth += [place for _, place in target]
    found = word_alignment(parallel(tmp_path, sources, targets), 100)
    right = [link == true for link, true in zip(found.sources, truth, strict=True) if true is not None]
    assert np.mean(right) > 0.99


def test_fertilities_count_links_and_leave_out_what_may_not_be_used(tmp_path):
    sources, targets = [[1, 2], [3, 4, 5], [1, 2, 3]], [[11, 12], [13, 14, 15], [11, 12, 13, 13]]
    pairs = parallel(tmp_path, sources * 5, targets * 5, keep=np.array([0, 2, 3, 5, 6, 8]))
    counts = fertility_counts(pairs, word_alignment(pairs, 20))
    rows = np.split(counts, np.cumsum([len(row) for row in sources * 5])[:-1])
    assert rows[1].tolist() == [0, 0, 0] and not any(row.any() for row in rows[9:])
    assert rows[0].tolist() == [1, 1] and rows[2].tolist() == [1, 1, 2]
    assert counts.sum() == 3 * 2 + 3 * 4
