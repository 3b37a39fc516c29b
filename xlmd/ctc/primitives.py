"""The four inner steps of everything here, each by the native library or, where that has no part for it, by torch.

Native: float32 on the CPU, and on CUDA where nvcc was found at build time and the GPU is of compute capability 8.0 or
later. Arguments are those that `checks` let through. Since lengths and labels address memory, the native library checks
them once more: a sentence with a bad one gets a NaN, and nothing outside the table is read for it.
"""

import logging
from functools import cache

import torch
from torch import Tensor

from xlmd.ctc import reference

try:
    from xlmd._cuda import native
except ImportError:  # a checkout that was not installed
    built = False
else:
    built = True

logger = logging.getLogger(__name__)

OLDEST_GPU = (8, 0)  # compute capability: the kernels reduce over a warp in one instruction


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _is_native(tensor: Tensor) -> bool:
    if tensor.dtype != torch.float32:
        return False
    if tensor.is_cuda:
        if not (built and native.cuda_built):
            _warn_once(
                "xlmd was built without CUDA: CTC on CUDA tensors runs in plain torch (build with nvcc on the PATH)"
            )
            return False
        capability = torch.cuda.get_device_capability(tensor.device)
        if capability < OLDEST_GPU:
            needed, found = (".".join(map(str, version)) for version in (OLDEST_GPU, capability))
            _warn_once(f"CTC on {tensor.device} runs in plain torch: compute capability {found}, {needed} is needed")
        return capability >= OLDEST_GPU
    if not built:
        _warn_once("xlmd's native library is not built: CTC runs in plain torch, slowly (run `pip install -e .`)")
    return built and tensor.device.type == "cpu"


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _stream(tensor: Tensor) -> int:
    return torch.cuda.current_stream(tensor.device).cuda_stream


class _NativeBatch:
    """The native view of a batch. Holds the tensors whose addresses it passes on."""

    def __init__(
        self,
        table: Tensor,
        first_rows: Tensor | None,
        labels: Tensor,
        input_lengths: Tensor,
        target_lengths: Tensor,
        blank: int,
        observed: Tensor | None,
        by_state: bool,
        score_observed: bool,
    ) -> None:
        self.size = len(labels)
        self.length = table.shape[1] if first_rows is None else table.shape[0]
        if observed is not None:
            self.length = observed.shape[1]
        if first_rows is None:
            rows, stride, columns = self.size * self.length, table.shape[2], table.shape[2]
            first_rows = torch.arange(self.size, device=table.device) * self.length
        else:
            rows, stride, columns = table.shape[0], table.shape[1], table.shape[1]
        tensors = (table, first_rows, labels, input_lengths, target_lengths)
        self.tensors = [tensor.contiguous() for tensor in tensors]
        self.observed = None if observed is None else observed.contiguous()
        self.max_labels = labels.shape[1]
        at_table, at_first_rows, at_labels, at_inputs, at_targets = (tensor.data_ptr() for tensor in self.tensors)
        self.view = native.Batch(
            at_table,
            at_first_rows,
            stride,
            rows,
            columns,
            at_labels,
            at_inputs,
            at_targets,
            _address(self.observed),
            self.size,
            self.length,
            self.max_labels,
            blank,
            by_state,
            score_observed,
        )


def forward_backward(
    table: Tensor,
    first_rows: Tensor | None,
    labels: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    observed: Tensor | None,
    by_state: bool,
    score_observed: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Loss (B,) and -gamma in the shape of `table` (empty without a gradient); see `reference.forward_backward`.

    table: (B, T, V), or with first_rows (B,) int64 all sentences' rows (N, V), those of b from first_rows[b].
    """
    lattice = labels, input_lengths, target_lengths, blank, observed, by_state, score_observed
    if not _is_native(table):
        if first_rows is None:
            return reference.forward_backward(table, *lattice, with_gradient)
        return _packed_reference(table, first_rows, *lattice, with_gradient)
    batch = _NativeBatch(table, first_rows, *lattice)
    loss = table.new_empty(batch.size)
    gradient = table.new_empty(table.shape if with_gradient else 0)
    out = gradient.data_ptr() if with_gradient else 0
    if table.is_cuda:
        size = native.forward_backward_cuda_workspace(batch.size, batch.length, batch.max_labels, with_gradient)
        workspace = table.new_empty(size, dtype=torch.uint8)
        gradient.zero_()
        with torch.cuda.device(table.device):
            native.forward_backward_cuda(batch.view, loss.data_ptr(), out, workspace.data_ptr(), _stream(table))
    else:
        native.forward_backward_cpu(batch.view, loss.data_ptr(), out, torch.get_num_threads())
    return loss, gradient


def _packed_reference(table, first_rows, labels, input_lengths, target_lengths, *options) -> tuple[Tensor, Tensor]:
    *_, with_gradient = options
    observed = options[1]
    length = int(input_lengths.max()) if observed is None else observed.shape[1]
    positions = torch.arange(length, device=table.device)
    inside = positions < input_lengths[:, None]
    places = (first_rows[:, None] + positions)[inside]
    dense = table.new_zeros(len(labels), length, table.shape[1])
    dense[inside] = table[places]
    loss, gradient = reference.forward_backward(dense, labels, input_lengths, target_lengths, *options)
    if not with_gradient:
        return loss, gradient
    packed = torch.zeros_like(table)
    packed[places] = gradient[inside]
    return loss, packed


def best_path(
    scores: Tensor,
    labels: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    observed: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """States (B, T) int64 and score (B,) of scores (B, T, V): see `reference.best_path`."""
    if not _is_native(scores):
        return reference.best_path(scores, labels, input_lengths, target_lengths, blank, observed)
    batch = _NativeBatch(scores, None, labels, input_lengths, target_lengths, blank, observed, False, True)
    states, score = labels.new_empty(scores.shape[:2]), scores.new_empty(batch.size)
    if scores.is_cuda:
        size = native.best_path_cuda_workspace(batch.size, batch.length, batch.max_labels)
        workspace = scores.new_empty(size, dtype=torch.uint8)
        with torch.cuda.device(scores.device):
            native.best_path_cuda(
                batch.view, states.data_ptr(), score.data_ptr(), workspace.data_ptr(), _stream(scores)
            )
    else:
        native.best_path_cpu(batch.view, states.data_ptr(), score.data_ptr(), torch.get_num_threads())
    return states, score


def row_logsumexp(logits: Tensor) -> Tensor:
    """log sum exp of each row: (N, V) -> (N,). NaN for a row with a NaN or +inf."""
    if not _is_native(logits):
        result = logits.logsumexp(1)
        return result.masked_fill(result == float("inf"), float("nan"))
    logits = logits.contiguous()
    rows, columns = logits.shape
    result = logits.new_empty(rows)
    if logits.is_cuda:
        with torch.cuda.device(logits.device):
            native.row_logsumexp_cuda(logits.data_ptr(), rows, columns, result.data_ptr(), _stream(logits))
    else:
        native.row_logsumexp_cpu(logits.data_ptr(), rows, columns, result.data_ptr(), torch.get_num_threads())
    return result


_PRECISIONS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


def softmax_gradient_(
    logits: Tensor,
    normaliser: Tensor,
    scale: Tensor,
    table: Tensor,
    gradient: Tensor,
    columns: Tensor,
    sentence: Tensor,
    offset: int,
    dtype: torch.dtype,
) -> Tensor:
    """dZ = scale p + gradient, where `gradient` lives on the compact table. May overwrite logits and return them.

    logits (N, V') are columns offset.. of the full rows; normaliser, scale (N,); table (N, L+1) log-probabilities of
    the compact columns; gradient (N, L+1); columns (B, L+1) int64: their full column, -1 to skip; sentence (N,) int64.
    dtype is that of the matrices that the result will meet: on CUDA a half type narrows it. Where scale is 0,
    scale p is 0, whatever the logits.
    """
    if _is_native(logits):
        table, gradient, columns, sentence = (part.contiguous() for part in (table, gradient, columns, sentence))
        normaliser, scale = normaliser.contiguous(), scale.contiguous()
        compact = native.Compact(
            table.data_ptr(), gradient.data_ptr(), columns.data_ptr(), sentence.data_ptr(), columns.shape[1], offset
        )
        at_logits, at_normaliser, at_scale = logits.data_ptr(), normaliser.data_ptr(), scale.data_ptr()
        height, width = logits.shape
        if not logits.is_cuda:
            native.softmax_gradient_cpu(
                at_logits, at_normaliser, at_scale, height, width, compact, torch.get_num_threads()
            )
            return logits
        result = logits if dtype == torch.float32 else torch.empty_like(logits, dtype=dtype)
        with torch.cuda.device(logits.device):
            native.softmax_gradient_cuda(
                at_logits,
                at_normaliser,
                at_scale,
                height,
                width,
                compact,
                result.data_ptr(),
                _PRECISIONS[dtype],
                _stream(logits),
            )
        return result
    result = logits.sub_(normaliser[:, None]).exp_().mul_(scale[:, None]).masked_fill_((scale == 0)[:, None], 0.0)
    columns = columns[sentence] - offset
    here = (columns >= 0) & (columns < logits.shape[1])
    values = torch.where(here, gradient, 0.0)
    result.scatter_add_(1, columns.clamp(0, max(0, logits.shape[1] - 1)), values)
    return result.to(dtype) if result.is_cuda else result
