import itertools
import json

import numpy as np
import pytest
import torch
from text_example import encoded_text, random_sentences

from xlmd.data import batching
from xlmd.data.batching import BatchStream, ParallelText, length_sorted_batches
from xlmd.errors import UserError

PAD = 1


@pytest.fixture(autouse=True)
def several_buckets_an_epoch(monkeypatch):
    monkeypatch.setattr(batching, "_BATCHES_IN_A_BUCKET", 5)


@pytest.fixture
def parallel(tmp_path):
    return _parallel(tmp_path)


def _parallel(folder, keep=None, count=400):
    source = encoded_text(folder / "source", random_sentences(count, seed=1))
    target = encoded_text(folder / "target", random_sentences(count, seed=2))
    return ParallelText(source, target, keep)


def _epoch(stream, pairs):
    """Batches until `pairs` pairs have been seen."""
    seen, batches = 0, []
    while seen < pairs:
        batches.append(next(stream))
        seen += len(batches[-1])
    assert seen == pairs, "an epoch ends with a batch"
    return batches


def _numbers(batches):
    return [batch.indices.tolist() for batch in batches]


def test_a_batch_holds_the_sentences_of_its_indices_padded_on_the_right(parallel):
    batch = next(BatchStream(parallel, 300, PAD, seed=0))
    for row, index in enumerate(batch.indices.tolist()):
        for ids, lengths, text in (
            (batch.source, batch.source_lengths, parallel.source),
            (batch.target, batch.target_lengths, parallel.target),
        ):
            length = int(lengths[row])
            assert ids[row, :length].tolist() == text[index].tolist()
            assert (ids[row, length:] == PAD).all()
    assert {tensor.dtype for tensor in vars(batch).values()} == {torch.int64}


def test_an_epoch_holds_every_usable_pair_once(tmp_path):
    keep = np.arange(0, 400, 3)
    stream = BatchStream(_parallel(tmp_path, keep), 300, PAD, seed=0)
    for _ in range(2):
        numbers = _numbers(_epoch(stream, len(keep)))
        assert sorted(itertools.chain(*numbers)) == keep.tolist()


def test_no_batch_is_larger_than_asked_and_most_are_nearly_full(parallel):
    batches = _epoch(BatchStream(parallel, 300, PAD, seed=0), 400)
    sizes = [len(batch) * max(batch.source.shape[1], batch.target.shape[1]) for batch in batches]
    assert max(sizes) <= 300 and np.mean(sizes) > 200


def test_sentences_of_a_batch_are_of_similar_length(parallel):
    batches = _epoch(BatchStream(parallel, 300, PAD, seed=0), 400)
    spreads = [
        float(np.ptp(np.maximum(batch.source_lengths.numpy(), batch.target_lengths.numpy()))) for batch in batches
    ]
    assert np.mean(spreads) < 8


def test_another_epoch_and_another_seed_have_other_batches(parallel):
    stream = BatchStream(parallel, 300, PAD, seed=0)
    first, second = (_numbers(_epoch(stream, 400)) for _ in range(2))
    other = _numbers(_epoch(BatchStream(parallel, 300, PAD, seed=1), 400))
    sets = [{frozenset(numbers) for numbers in epoch} for epoch in (first, second, other)]
    assert len(sets[0] & sets[1]) < 10 and len(sets[0] & sets[2]) < 10


def test_batches_do_not_come_in_order_of_length(parallel):
    lengths = [batch.source.shape[1] for batch in _epoch(BatchStream(parallel, 300, PAD, seed=0), 400)]
    assert lengths != sorted(lengths) and lengths != sorted(lengths, reverse=True)


@pytest.mark.parametrize("position", [0, 1, 4, 5, 17, 60])
def test_a_resumed_stream_continues_with_exactly_the_same_batches(parallel, position):
    def advance(stream, first, last):
        batches = []
        for step in range(first, last):
            stream.set_progress(step / 100)
            batches.append(next(stream))
        return batches

    stream = BatchStream(parallel, 300, PAD, seed=5, curriculum=0.5)
    advance(stream, 0, position)
    state = json.loads(json.dumps(stream.state_dict()))
    rest = advance(stream, position, position + 60)
    resumed = BatchStream(parallel, 300, PAD, seed=5, curriculum=0.5)
    resumed.load_state_dict(state)
    assert _numbers(advance(resumed, position, position + 60)) == _numbers(rest)


def test_the_curriculum_grows_from_the_shortest_quarter_to_all(parallel):
    longest = np.maximum(parallel.source.lengths, parallel.target.lengths)
    stream = BatchStream(parallel, 300, PAD, seed=0, curriculum=0.5)
    sizes = []
    for progress in (0.0, 0.25, 0.5, 0.9):
        stream.set_progress(progress)
        stream._batches._start_epoch(len(sizes))
        pool = stream._batches._order
        sizes.append(len(pool))
        assert longest[pool].max() <= np.setdiff1d(longest, longest[pool]).min(initial=99)
    assert sizes[0] < 0.32 * 400 < sizes[1] < sizes[2] == sizes[3] == 400


def test_without_a_curriculum_the_first_epoch_holds_all(parallel):
    assert len(BatchStream(parallel, 300, PAD, seed=0)._batches._order) == 400


def test_two_processes_share_the_batches_of_one(parallel):
    one = BatchStream(parallel, 300, PAD, seed=0)
    ranks = [BatchStream(parallel, 300, PAD, seed=0, processes=2, rank=rank) for rank in range(2)]
    for _ in range(60):
        assert _numbers([next(ranks[0]), next(ranks[1])]) == _numbers([next(one), next(one)])
    assert ranks[0].state_dict() == ranks[1].state_dict() == one.state_dict()


def test_a_pair_longer_than_a_batch_is_left_out_and_counted(tmp_path):
    source = encoded_text(tmp_path / "source", [[5] * 3, [5] * 50, [5] * 4])
    target = encoded_text(tmp_path / "target", [[5] * 3, [5] * 5, [5] * 51])
    stream = BatchStream(ParallelText(source, target), 20, PAD, seed=0)
    assert stream.left_out == 2 and next(stream).indices.tolist() == [0]
    with pytest.raises(UserError, match="no pair of .*source and .*target is left"):
        BatchStream(ParallelText(source, target), 2, PAD, seed=0)


def test_texts_of_unequal_length_are_refused_by_name(tmp_path):
    source = encoded_text(tmp_path / "source", [[5], [6]])
    target = encoded_text(tmp_path / "target", [[5]])
    with pytest.raises(UserError, match="source has 2 sentences but .*target has 1"):
        ParallelText(source, target)


@pytest.mark.parametrize("keep", [np.ones(400, bool), np.array([400]), np.array([-1]), np.array([0.5])])
def test_keep_must_be_numbers_of_pairs(tmp_path, keep):
    with pytest.raises(ValueError, match="keep"):
        _parallel(tmp_path, keep)


def test_decoding_batches_hold_each_sentence_once_longest_first():
    lengths = np.array([3, 9, 0, 100, 9, 1, 4])
    batches = length_sorted_batches(lengths, 20)
    assert sorted(itertools.chain(*batches)) == list(range(7))
    assert batches[0].tolist() == [3], "a sentence longer than a batch stands alone"
    assert [lengths[i] for batch in batches for i in batch] == sorted(lengths, reverse=True)
    assert all(len(batch) * lengths[batch].max() <= 20 for batch in batches[1:])
    assert length_sorted_batches([], 20) == []
