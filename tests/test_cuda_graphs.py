"""What one sentence takes on a GPU is recorded once per shape, and again only when it must be."""

from types import SimpleNamespace

import pytest
import torch
from small_models import decorated, save_mlm, sources

from xlmd import cuda_graphs
from xlmd.cuda_graphs import replayed
from xlmd.method.decoding import XLMDDecoding, iterative_refinement


@pytest.fixture
def recorded(monkeypatch):
    """The keys' works in the order in which they are recorded, on the CPU: to replay is to work again."""
    made = []

    def record(work, inputs, pool):
        own = tuple(part.clone() for part in inputs)
        outputs = tuple(part.clone() for part in work(*own))
        made.append(own[0].shape)

        def replay():
            for kept, new in zip(outputs, work(*own), strict=True):
                kept.copy_(new)

        return cuda_graphs._Recording(SimpleNamespace(replay=replay), own, outputs)

    monkeypatch.setattr(cuda_graphs, "_record", record)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    return made


def _double(x):
    return (2 * x,)


def test_a_shape_is_recorded_once_and_takes_new_values(recorded):
    model = torch.nn.Linear(2, 2)
    for value in (1.0, 5.0):
        (result,) = replayed(model, "double", _double, torch.full((3,), value))
        assert result.tolist() == [2 * value] * 3
    assert len(recorded) == 1
    replayed(model, "double", _double, torch.ones(4))
    replayed(model, "another key", _double, torch.ones(4))
    assert len(recorded) == 3


def test_what_was_returned_is_not_written_over(recorded):
    model = torch.nn.Linear(2, 2)
    (first,) = replayed(model, "double", _double, torch.ones(1))
    replayed(model, "double", _double, torch.zeros(1))
    assert first.item() == 2


def test_weights_that_change_in_place_need_no_new_recording_and_weights_that_move_need_one(recorded):
    model = torch.nn.Linear(2, 2)
    scaled = lambda x: (model.weight.sum().to(x.dtype) * x,)  # noqa: E731
    torch.nn.init.ones_(model.weight)
    assert replayed(model, "scaled", scaled, torch.ones(1))[0].item() == 4
    torch.nn.init.zeros_(model.weight)
    assert replayed(model, "scaled", scaled, torch.ones(1))[0].item() == 0
    assert len(recorded) == 1
    model.to(torch.float64)
    replayed(model, "scaled", scaled, torch.ones(1))
    assert len(recorded) == 2


def test_the_recording_that_was_not_used_for_longest_makes_way(recorded, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST", 2)
    model = torch.nn.Linear(2, 2)
    for length in (1, 2, 1, 3, 1, 2):
        replayed(model, "double", _double, torch.ones(length))
    assert [shape[0] for shape in recorded] == [1, 2, 3, 2]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("committed", ["keep", "repredict", "remask"])
@pytest.mark.parametrize("iterations", [1, 3])
def test_on_a_gpu_a_recorded_sentence_is_translated_as_the_others_are(tmp_path, committed, iterations):
    model = decorated(save_mlm(tmp_path), insertion_layer=1).cuda().eval()
    source, lengths = (tensor.cuda() for tensor in sources())
    decoding = XLMDDecoding(iterations=iterations, committed=committed)
    together, out = iterative_refinement(model, source, lengths, decoding)
    for _ in range(2):  # recorded, and replayed
        for row, (length, width) in enumerate(zip(lengths.tolist(), out.tolist(), strict=True)):
            alone, alone_length = iterative_refinement(
                model, source[row : row + 1, :length], lengths[row : row + 1], decoding
            )
            assert alone_length.tolist() == [width]
            assert torch.equal(alone[0, :width], together[row, :width])


@needs_gpu
def test_on_a_gpu_a_recording_follows_the_weights(tmp_path):
    model = decorated(save_mlm(tmp_path), insertion_layer=1).cuda().eval()
    source, lengths = (tensor.cuda()[:1] for tensor in sources())
    source = source[:, : int(lengths)]
    decoding = XLMDDecoding(iterations=2)
    iterative_refinement(model, source, lengths, decoding)
    with torch.no_grad():
        model.lm_head.decoder.bias.copy_(torch.randn_like(model.lm_head.decoder.bias) * 100)
    again, out = iterative_refinement(model, source, lengths, decoding)
    expected, _ = iterative_refinement(model, source.repeat(2, 1), lengths.repeat(2), decoding)
    assert torch.equal(again[0, : int(out)], expected[0, : int(out)])
    model.double()
    iterative_refinement(model, source, lengths, decoding)
