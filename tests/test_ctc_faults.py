"""Faults that were found in the kernels, each with the problem that showed it and the right answer.

The CUDA kernels run on emulated threads; the CPU's functions come from the same build.
"""

import importlib.util
import math

import pytest
import torch
from cuda_emulation.build import build

GUARD = 12345.0


@pytest.fixture(scope="module")
def native():
    spec = importlib.util.spec_from_file_location("xlmd._cuda.native", build(target="native"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sentences:
    """A batch of sentences as the native functions take it, and what they answer."""

    def __init__(
        self, native, table, labels, input_lengths, target_lengths, *, blank=0, first_rows=None, observed=None
    ):
        self.native, self.size, self.length = native, len(labels), table.shape[0] // len(labels)
        if first_rows is None:
            first_rows = [b * self.length for b in range(self.size)]
        self.columns, self.max_labels, self.rows = table.shape[1], len(labels[0]), table.shape[0]
        integers = first_rows, labels, input_lengths, target_lengths
        self.tensors = [table, *(torch.tensor(values) for values in integers)]
        self.tensors += [] if observed is None else [torch.tensor(observed)]
        table, first, *lattice = (tensor.data_ptr() for tensor in self.tensors)
        lattice += [0] if observed is None else []
        self.view = native.Batch(
            table, first, self.columns, self.rows, self.columns, *lattice, self.size, self.length, self.max_labels,
            blank, observed is not None, True,
        )  # fmt: skip

    def losses(self, device):
        """Losses (B,) and a gradient (rows + 2, columns) whose first and last row are nobody's and hold `GUARD`."""
        losses, gradient = torch.zeros(self.size), torch.full((self.rows + 2, self.columns), GUARD)
        gradient[1:-1] = 0
        shape = self.size, self.length, self.max_labels
        workspace = torch.zeros(self.native.forward_backward_cuda_workspace(*shape, True), dtype=torch.uint8)
        more = (1,) if device == "cpu" else (workspace.data_ptr(), 0)
        solve = getattr(self.native, f"forward_backward_{device}")
        solve(self.view, losses.data_ptr(), gradient[1].data_ptr(), *more)
        return losses, gradient

    def paths(self, device):
        """States (B, T) and scores (B,) of the best paths."""
        states, scores = torch.zeros(self.size, self.length, dtype=torch.int64), torch.zeros(self.size)
        size = self.native.best_path_cuda_workspace(self.size, self.length, self.max_labels)
        workspace = torch.zeros(max(1, size), dtype=torch.uint8)
        more = (1,) if device == "cpu" else (workspace.data_ptr(), 0)
        getattr(self.native, f"best_path_{device}")(self.view, states.data_ptr(), scores.data_ptr(), *more)
        return states, scores


def logsumexp(native, logits):
    result = torch.zeros(len(logits))
    native.row_logsumexp_cuda(logits.data_ptr(), *logits.shape, result.data_ptr(), 0)
    return result


# A: the row kernel kept its maximum as a rounded x · log2 e.


def test_the_log_sum_exp_of_a_row_reaches_to_the_ends_of_float32(native):
    found = logsumexp(native, torch.tensor([[3e38, 1.0], [-3e38, -3e38]]))
    assert found.tolist() == torch.tensor([3e38, -3e38]).tolist()


def test_the_log_sum_exp_of_confident_rows_is_rounded_about_once(native):
    logits = torch.randn(200, 40, generator=torch.Generator().manual_seed(1))
    logits[:, 0] += torch.linspace(20, 80, 200)
    exact = logits.double().logsumexp(1)
    last_place = torch.nextafter(exact.float(), torch.tensor(math.inf)).double() - exact.float().double()
    errors = (logsumexp(native, logits).double() - exact).abs() / last_place
    assert errors.max() < 0.75 and errors.mean() < 0.3


# B: blocks, which take over above 255 labels, did not look at the labels of a sentence without positions.


@pytest.mark.parametrize("max_labels", [255, 256])
def test_a_bad_label_shows_though_its_sentence_has_no_position(native, max_labels):
    labels = [[7] + [1] * (max_labels - 1)]
    batch = Sentences(native, torch.zeros(1, 3), labels, [0], [1])
    for device in ("cuda", "cpu"):
        assert batch.losses(device)[0].isnan().all() and batch.paths(device)[1].isnan().all()


# C: the CPU filled the gradient of a sentence whose rows lie outside the table, outside it.


def test_rows_outside_the_table_are_not_written(native):
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)).log_softmax(1)
    lattice = [[1], [2]], [2, 2], [1, 1]
    good_losses, good_gradient = Sentences(native, table, *lattice).losses("cpu")
    for device in ("cpu", "cuda"):
        losses, gradient = Sentences(native, table, *lattice, first_rows=[0, 7]).losses(device)
        assert losses.isnan().tolist() == [False, True]
        torch.testing.assert_close(losses[0], good_losses[0])
        torch.testing.assert_close(gradient[1:3], good_gradient[1:3])
        assert gradient[[0, -1]].eq(GUARD).all()


# D: the CPU's best path took an observed state for an observed token.


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_best_path_passes_through_an_observed_state(native, device):
    table = torch.tensor([[-1.0, 5.0, 0.0]] * 4)
    batch = Sentences(native, table, [[1, 2]], [4], [2], observed=[[-1, 2, -1, -1]])
    states, score = batch.paths(device)
    assert states.tolist() == [[1, 2, 3, 3]] and score.item() == 4.0


# E: with a blank among the labels two lanes wrote one cell of the gradient.


@pytest.mark.parametrize("labels", [3, 300])
def test_a_blank_among_the_labels_spoils_its_sentence_alone(native, labels):
    targets = [[1, 0, 2] + [1, 2] * (labels // 2), [1, 2, 1] + [2, 1] * (labels // 2)]
    targets = [row[:labels] for row in targets]
    length = labels + 4
    table = torch.randn(2 * length, 3, generator=torch.Generator().manual_seed(3)).log_softmax(1)
    batch = Sentences(native, table, targets, [length] * 2, [labels] * 2)
    for device in ("cuda", "cpu"):
        losses, gradient = batch.losses(device)
        assert losses.isnan().tolist() == [True, False]
        assert gradient[1 : length + 1].isnan().all() and gradient[length + 1 : -1].isfinite().all()
