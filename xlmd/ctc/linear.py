"""Cut CTC: the loss and its gradients straight from hidden states, without the T x V table (docs/ctc.md).

With z = h W^T + b, p = softmax(z) and Gamma_tv = sum of gamma_t(s) over the states s labelled v, the gradients are
dZ = g (p - Gamma), dh = dZ W, dW = dZ^T h, db = sum dZ. The recursion sees only the L + 1 columns of a row that the
target names (the "compact" table), and p - Gamma is written once there, from that table, rather than patched.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xlmd.ctc import checks, derivatives, primitives

CHUNK_ROWS = 4096
BIAS_PIECES = 3  # bfloat16 numbers that hold the 24 bits of a float32
CHUNK_BYTES = 2 << 30  # of logits on CUDA; twice as many gain a few per cent
WEIGHT_SLICE = 8192  # vocabulary entries of a half-precision weight widened at once on the CPU


def accumulation_dtype(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


class Lattice(NamedTuple):
    """The targets of a batch, over the columns of the compact table: 0 is the blank, k + 1 the label at position k."""

    columns: Tensor  # (B, L+1) int64: which vocabulary entry each column is
    own_columns: Tensor  # the same, -1 where an earlier column is that entry already: where a gradient is written
    labels: Tensor  # (B, L) int64: the targets as columns, equal labels sharing the first one's
    input_lengths: Tensor
    target_lengths: Tensor
    observed: Tensor | None
    by_state: bool
    score_observed: bool
    bad: Tensor | None  # (B,) bool: sentences with a length or label out of range, where that was not raised

    def sentences(self, part: slice) -> "Lattice":
        return self._replace(
            columns=self.columns[part],
            own_columns=self.own_columns[part],
            labels=self.labels[part],
            input_lengths=self.input_lengths[part],
            target_lengths=self.target_lengths[part],
            observed=None if self.observed is None else self.observed[part],
            bad=None if self.bad is None else self.bad[part],
        )


def _lattice(
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    by_state: bool,
    score_observed: bool,
    length: int,
    vocabulary: int,
    validate: bool,
) -> Lattice:
    targets, input_lengths, target_lengths, bad = checks.safe_target(
        targets, input_lengths, target_lengths, observed, length, vocabulary, blank, by_state, validate
    )
    columns = torch.nn.functional.pad(targets, (1, 0), value=blank)
    first = (columns[:, :, None] == columns[:, None, :]).to(torch.uint8).argmax(2)
    own = first == torch.arange(columns.shape[1], device=targets.device)
    if observed is not None and not by_state:
        same = observed[:, :, None] == columns[:, None, :]
        # A token that the target lacks becomes a column that does not exist: no path passes there.
        column = torch.where(same.any(2), same.to(torch.uint8).argmax(2), columns.shape[1])
        observed = torch.where(observed >= 0, column, -1)
    return Lattice(
        columns,
        columns.masked_fill(~own, -1),
        first[:, 1:].contiguous(),
        input_lengths,
        target_lengths,
        observed,
        by_state,
        score_observed,
        bad,
    )


class Rows(NamedTuple):
    """The rows of a range of sentences that enter the projection: all on CUDA, where lengths stay on the device, and
    those within the sentences' lengths elsewhere."""

    hidden: Tensor  # (N, d)
    sentence: Tensor  # (N,) int64
    inside: Tensor  # (B, T) bool
    first: Tensor | None  # (B,) int64: where each sentence starts; None where its rows are all there, N = B T

    def pack(self, values: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return values.flatten(0, 1) if self.first is None else values[self.inside]

    def unpack(self, rows: Tensor, out: Tensor) -> None:
        """Write rows (N, ...) into out (B, T, ...), which is 0 elsewhere."""
        if self.first is None:
            out.copy_(rows.view(out.shape))
        else:
            out[self.inside] = rows


def _rows(hidden: Tensor, input_lengths: Tensor) -> Rows:
    inside = torch.arange(hidden.shape[1], device=hidden.device) < input_lengths[:, None]
    if hidden.is_cuda or bool(inside.all()):
        return _all_rows(hidden, inside)
    sentence = torch.arange(len(hidden)).repeat_interleave(input_lengths)
    return Rows(hidden[inside], sentence, inside, torch.nn.functional.pad(input_lengths.cumsum(0), (1, 0))[:-1])


def _all_rows(hidden: Tensor, inside: Tensor) -> Rows:
    # Whatever padding holds, NaN even, it must not enter dZ^T h, where 0 times it counts.
    clean = hidden.masked_fill(~inside[:, :, None], 0.0)
    sentence = torch.arange(len(hidden), device=hidden.device).repeat_interleave(hidden.shape[1])
    return Rows(clean.flatten(0, 1), sentence, inside, None)


class Layer(NamedTuple):
    """The factors of the projection, `hidden weight^T + bias`, as its products want them."""

    hidden: Tensor  # (B, T, d')
    weight: Tensor  # (V', d'); what is beyond V has no probability
    bias: Tensor | None  # (V,), or None where there is none or it stands in `weight`
    bias_column: int | None  # which column of `weight` meets ones in `hidden` and has the gradient of the bias


def _wants_padding(weight: Tensor) -> bool:
    """Whether products with it want rows that begin at multiples of 16 bytes, and take three times as long otherwise:
    a GPU's for half types."""
    return weight.is_cuda and weight.dtype in (torch.float16, torch.bfloat16)


def _layer(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Layer:
    """The layer with d and V rounded up to multiples of 8 where the products want that, and the bias as a part of them.

    To add a bias to float32 logits is to read and write them all once more. As columns of `weight`, in pieces that add
    up to a float32, it costs a hundredth of a product.
    """
    if not _wants_padding(weight):
        return Layer(hidden, weight, bias, None)
    (vocabulary, size), pieces = weight.shape, 0 if bias is None else BIAS_PIECES
    width = size + pieces
    wide = weight.new_zeros(vocabulary + -vocabulary % 8, width + -width % 8)
    wide[:vocabulary, :size] = weight
    hidden = torch.nn.functional.pad(hidden, (0, wide.shape[1] - size))
    if bias is None:
        return Layer(hidden, wide, None, None)
    hidden[:, :, size:width] = 1.0
    for column in range(size, width):
        piece = bias.to(weight.dtype)
        wide[:vocabulary, column] = piece
        bias = torch.where(piece.isfinite(), bias - piece, 0.0)
    return Layer(hidden, wide, None, size)


def _project(hidden: Tensor, weight: Tensor, bias: Tensor | None, vocabulary: int) -> Tensor:
    """hidden (N, d) @ weight (V', d)^T + bias in the dtype of accumulation; -inf from column `vocabulary` on."""
    logits = _products(hidden, weight, bias)
    if logits.shape[1] > vocabulary:
        logits[:, vocabulary:] = float("-inf")
    return logits


def _products(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if weight.dtype in (torch.float32, torch.float64):
        return torch.mm(hidden, weight.t()) if bias is None else torch.addmm(bias, hidden, weight.t())
    if hidden.is_cuda:
        logits = torch.mm(hidden, weight.t(), out_dtype=torch.float32)
    else:
        logits = hidden.new_empty(hidden.shape[0], weight.shape[0], dtype=torch.float32)
        wide = hidden.float()
        for part, out in zip(weight.split(WEIGHT_SLICE), logits.split(WEIGHT_SLICE, 1), strict=True):
            out.copy_(wide @ part.float().t())
    return logits if bias is None else logits.add_(bias)


def _project_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """gradient (N, V) @ weight (V, d) in the dtype of accumulation."""
    if weight.dtype in (torch.float32, torch.float64):
        return gradient @ weight
    if gradient.is_cuda:
        return torch.mm(gradient, weight, out_dtype=torch.float32)
    total = gradient.new_zeros(gradient.shape[0], weight.shape[1])
    for part, columns in zip(weight.split(WEIGHT_SLICE), gradient.split(WEIGHT_SLICE, 1), strict=True):
        total.addmm_(columns, part.float())
    return total


def _accumulate(total: Tensor, gradient: Tensor, hidden: Tensor, first: bool) -> None:
    """total (V, d) += gradient (N, V)^T @ hidden (N, d), or = for the first chunk."""
    if gradient.dtype == total.dtype:
        torch.addmm(total, gradient.t(), hidden.to(total.dtype), beta=0 if first else 1, out=total)
    elif first:
        torch.mm(gradient.t(), hidden, out_dtype=total.dtype, out=total)
    else:
        torch.addmm(total, gradient.t(), hidden, out_dtype=total.dtype, out=total)


def _budget_rows(weight: Tensor) -> int:
    """Rows of logits a chunk may hold: at most 4096, and no more memory than serves speed.

    On the CPU a chunk of about the weight's own size, or 64 MiB, is as fast as any; on CUDA 2 GiB, or a sixteenth of
    the device's memory. Not of what is free there: the order of sums, and with it their last bits, must not depend on
    the moment.
    """
    row_bytes = weight.shape[0] * accumulation_dtype(weight).itemsize
    budget = max(64 << 20, weight.numel() * 4)
    if weight.is_cuda:
        budget = min(CHUNK_BYTES, torch.cuda.get_device_properties(weight.device).total_memory // 16)
    return max(1, min(CHUNK_ROWS, budget // row_bytes))


def _chunks(input_lengths: Tensor, length: int, chunk_rows: int) -> list[slice]:
    """Consecutive sentences, at least one, with at most chunk_rows rows together."""
    batch = input_lengths.shape[0]
    if input_lengths.is_cuda:
        step = max(1, chunk_rows // max(1, length))
        return [slice(start, start + step) for start in range(0, batch, step)]
    chunks, start, rows = [], 0, 0
    for sentence, count in enumerate(input_lengths.tolist()):
        if rows + count > chunk_rows and sentence > start:
            chunks.append(slice(start, sentence))
            start, rows = sentence, 0
        rows += count
    return [*chunks, slice(start, batch)] if batch else []


def _row_scale(loss: Tensor, scale: Tensor, lattice: Lattice, rows: Rows) -> Tensor:
    """What p is multiplied by in each row (N,): 0 wherever the loss does not depend on the row's normaliser."""
    scale = torch.where(loss == float("inf"), 0.0, scale.to(loss.dtype))
    scale = torch.where(loss.isnan(), float("nan"), scale)[rows.sentence]
    without = ~rows.inside
    if lattice.observed is not None and not lattice.score_observed:
        without = without | (lattice.observed >= 0)
    return scale.masked_fill(rows.pack(without), 0.0)


def _enlarged(scale: Tensor, weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """The sentences' scales as large as float16 bears, where dZ is narrowed to it, and what undoes that."""
    if weight.dtype != torch.float16 or not weight.is_cuda or not scale.numel():
        return scale, None
    shrink = (scale.abs().amax() / 1024).clamp(min=torch.finfo(scale.dtype).tiny)
    return scale / shrink, shrink


def _align(table: Tensor, rows: Rows, lattice: Lattice, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Loss (B,) and -Gamma (N, L+1) of the compact table (N, L+1)."""
    if rows.first is None:
        table = table.view(*rows.inside.shape, table.shape[1])
    loss, gradient = primitives.forward_backward(
        table,
        rows.first,
        lattice.labels,
        lattice.input_lengths,
        lattice.target_lengths,
        0,
        lattice.observed,
        lattice.by_state,
        lattice.score_observed,
        with_gradient,
    )
    if lattice.bad is not None:
        loss = loss.masked_fill(lattice.bad, float("nan"))
    return loss, gradient.flatten(0, 1) if with_gradient and rows.first is None else gradient


def _without_autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, enabled=False)


@torch.library.custom_op("xlmd::linear_ctc_by_rows", mutates_args=())
def linear_ctc_by_rows(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    anchor: Tensor,
    scale: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    by_state: bool,
    score_observed: bool,
    zero_infinity: bool,
    chunk_rows: int,
    needed: Sequence[bool],
    validate: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sum of scale (B,) times each sentence's loss, and its gradients for hidden, weight and bias.

    A gradient is empty where not `needed` (a bool for each of the three). anchor: of those three, see `derivatives`.
    """
    batch, length, size = hidden.shape
    vocabulary = weight.shape[0]
    total = accumulation_dtype(hidden)
    everything = _lattice(
        targets, input_lengths, target_lengths, observed, blank, by_state, score_observed, length, vocabulary, validate
    )
    losses = hidden.new_zeros(batch, dtype=total)
    hidden, weight, bias, bias_column = _layer(hidden, weight, bias)
    for_hidden, for_weight, for_bias = needed
    for_weight |= for_bias and bias_column is not None
    d_hidden = hidden.new_zeros(hidden.shape if for_hidden else 0, dtype=total)
    d_weight = hidden.new_empty(weight.shape if for_weight else 0, dtype=total)
    d_bias = hidden.new_zeros(vocabulary if for_bias and bias is not None else 0, dtype=total)
    enlarged, shrink = _enlarged(scale.to(total), weight)
    first = True
    with _without_autocast(hidden.device):
        for part in _chunks(everything.input_lengths, length, chunk_rows or _budget_rows(weight)):
            lattice = everything.sentences(part)
            rows = _rows(hidden[part], lattice.input_lengths)
            logits = _project(rows.hidden, weight, bias, vocabulary)
            normaliser = primitives.row_logsumexp(logits)
            table = logits.gather(1, lattice.columns[rows.sentence]).sub_(normaliser[:, None])
            losses[part], gradient = _align(table, rows, lattice, any(needed))
            if not any(needed):
                continue
            row_scale = _row_scale(losses[part], enlarged[part], lattice, rows)
            gradient *= enlarged[part][rows.sentence, None]
            d_logits = primitives.softmax_gradient_(
                logits, normaliser, row_scale, table, gradient, lattice.own_columns, rows.sentence, 0, weight.dtype
            )
            if for_hidden:
                rows.unpack(_project_back(d_logits, weight), d_hidden[part])
            if for_weight:
                _accumulate(d_weight, d_logits, rows.hidden, first)
            if for_bias and bias is not None:
                d_bias += d_logits.sum(0, dtype=total)
            first = False
    if first:
        d_weight.zero_()
    if shrink is not None:
        for gradient in (d_hidden, d_weight, d_bias):
            gradient *= shrink
    if zero_infinity:
        losses = torch.where(losses == float("inf"), 0.0, losses)
    if for_bias and bias_column is not None:
        d_bias = d_weight[:vocabulary, bias_column].contiguous()
    d_hidden = d_hidden[..., :size].contiguous()
    d_weight = d_weight[:vocabulary, :size].contiguous() if needed[1] else d_weight.new_empty(0)
    return (losses * scale).sum(), d_hidden, d_weight, d_bias


@linear_ctc_by_rows.register_fake
def _(
    hidden,
    weight,
    bias,
    anchor,
    scale,
    targets,
    input_lengths,
    target_lengths,
    observed,
    blank,
    by_state,
    score_observed,
    zero_infinity,
    chunk_rows,
    needed,
    validate,
):
    out = hidden.new_empty((), dtype=accumulation_dtype(hidden))
    return (
        out,
        out.new_empty(hidden.shape if needed[0] else 0),
        out.new_empty(weight.shape if needed[1] else 0),
        out.new_empty(weight.shape[0] if needed[2] else 0),
    )


def _save_gradients(ctx, inputs, output) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])
    ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in inputs[:3]]
    ctx.computed = inputs[-2]
    ctx.save_for_backward(*output[1:], inputs[3])


def _scale_gradients(ctx, grad_total, *_):
    derivatives.refuse_forward_mode(grad_total)
    *computed, anchor = ctx.saved_tensors
    gradients = [
        scaled(gradient, grad_total, anchor, dtype) if known and needed and grad_total is not None else None
        for gradient, dtype, known, needed in zip(
            computed, ctx.dtypes, ctx.computed, ctx.needs_input_grad[:3], strict=True
        )
    ]
    return (*gradients, *[None] * 13)


linear_ctc_by_rows.register_autograd(_scale_gradients, setup_context=_save_gradients)


@torch.library.custom_op("xlmd::scaled", mutates_args=())
def scaled(gradient: Tensor, scale: Tensor, anchor: Tensor, dtype: torch.dtype) -> Tensor:
    """gradient times a scalar; an operator of its own so that a second derivative fails, not lies."""
    return (gradient * scale).to(dtype)


@scaled.register_fake
def _(gradient, scale, anchor, dtype):
    return torch.empty_like(gradient, dtype=dtype)


scaled.register_autograd(derivatives.refuse_second, setup_context=derivatives.nothing_to_save)


def _vocabulary_slices(weight: Tensor, rows: int, chunk_rows: int) -> list[slice]:
    """Slices with about as many logits as chunk_rows whole rows hold, multiples of 8 as matrix products like them."""
    vocabulary = weight.shape[0]
    step = chunk_rows * vocabulary // max(1, rows)
    step = max(1, min(vocabulary, step // 8 * 8 or step))
    return [slice(start, min(start + step, vocabulary)) for start in range(0, vocabulary, step)]


def _label_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, columns: Tensor) -> Tensor:
    """The logits (B, T, L+1) of hidden (B, T, d) for vocabulary entries (B, L+1), by direct products."""
    picked = weight[columns].transpose(1, 2)
    if hidden.is_cuda and hidden.dtype in (torch.float16, torch.bfloat16) and picked.dtype == hidden.dtype:
        logits = torch.bmm(hidden, picked, out_dtype=torch.float32)
    else:
        dtype = torch.promote_types(accumulation_dtype(hidden), accumulation_dtype(weight))
        logits = torch.bmm(hidden.to(dtype), picked.to(dtype))
    return logits if bias is None else logits + bias[columns][:, None, :].to(logits.dtype)


@torch.library.custom_op("xlmd::linear_ctc_by_vocabulary", mutates_args=())
def linear_ctc_by_vocabulary(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    by_state: bool,
    score_observed: bool,
    chunk_rows: int,
    with_gradient: bool,
    validate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (B,), and for the backward pass the compact table and -Gamma (2, B, T, L+1), and normalisers (B, T)."""
    length, vocabulary = hidden.shape[1], weight.shape[0]
    lattice = _lattice(
        targets, input_lengths, target_lengths, observed, blank, by_state, score_observed, length, vocabulary, validate
    )
    with _without_autocast(hidden.device):
        hidden, weight, bias, _ = _layer(hidden, weight, bias)
        rows = _rows(hidden, lattice.input_lengths)
        normaliser: Tensor | None = None
        for part in _vocabulary_slices(weight, len(rows.hidden), chunk_rows or _budget_rows(weight)):
            width = max(0, vocabulary - part.start)
            logits = _project(rows.hidden, weight[part], None if bias is None else bias[part], width)
            partial = primitives.row_logsumexp(logits)
            normaliser = partial if normaliser is None else torch.logaddexp(normaliser, partial)
        assert normaliser is not None, "the vocabulary is empty"
        table = _label_logits(hidden, weight, bias, lattice.columns)
        table = rows.pack(table) - normaliser[:, None]
        loss, gradient = _align(table, rows, lattice, with_gradient)
    if not with_gradient:
        return loss, table.new_empty(0), table.new_empty(0)
    saved = table.new_zeros(2, *hidden.shape[:2], table.shape[1])
    normalisers = table.new_zeros(hidden.shape[:2])
    rows.unpack(table, saved[0])
    rows.unpack(gradient, saved[1])
    rows.unpack(normaliser, normalisers)
    return loss, saved, normalisers


@linear_ctc_by_vocabulary.register_fake
def _(
    hidden,
    weight,
    bias,
    targets,
    input_lengths,
    target_lengths,
    observed,
    blank,
    by_state,
    score_observed,
    chunk_rows,
    with_gradient,
    validate,
):
    batch, length, _ = hidden.shape
    out = hidden.new_empty(0, dtype=accumulation_dtype(hidden))
    if not with_gradient:
        return out.new_empty(batch), out, out.new_empty(0)
    return out.new_empty(batch), out.new_empty(2, batch, length, targets.shape[1] + 1), out.new_empty(batch, length)


def _save_tables(ctx, inputs, output) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])
    hidden, weight, bias, targets, input_lengths, target_lengths, observed, *options, _, _ = inputs
    ctx.options = options
    ctx.save_for_backward(hidden, weight, bias, targets, input_lengths, target_lengths, observed, *output)


def _project_again(ctx, grad_loss, *_):
    if grad_loss is None:
        return (None,) * 13
    derivatives.refuse_forward_mode(grad_loss)
    needed = list(ctx.needs_input_grad[:3])
    gradients = linear_ctc_by_vocabulary_backward(grad_loss, *ctx.saved_tensors, *ctx.options, needed)
    return *[gradient if need else None for gradient, need in zip(gradients, needed, strict=True)], *[None] * 10


linear_ctc_by_vocabulary.register_autograd(_project_again, setup_context=_save_tables)


@torch.library.custom_op("xlmd::linear_ctc_by_vocabulary_backward", mutates_args=())
def linear_ctc_by_vocabulary_backward(
    grad_loss: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    loss: Tensor,
    tables: Tensor,
    normalisers: Tensor,
    blank: int,
    by_state: bool,
    score_observed: bool,
    chunk_rows: int,
    needed: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients for hidden, weight and bias (empty where not `needed`), projecting once more."""
    _, length, size = hidden.shape
    vocabulary = weight.shape[0]
    lattice = _lattice(
        targets, input_lengths, target_lengths, observed, blank, by_state, score_observed, length, vocabulary, False
    )
    total, dtype_of_bias = loss.dtype, None if bias is None else bias.dtype
    hidden, weight, bias, bias_column = _layer(hidden, weight, bias)
    for_hidden, for_weight, for_bias = needed
    for_weight |= for_bias and bias_column is not None
    with _without_autocast(hidden.device):
        rows = _rows(hidden, lattice.input_lengths)
        table, gradient, normaliser = (rows.pack(values) for values in (*tables, normalisers))
        scale, shrink = _enlarged(grad_loss.to(total), weight)
        row_scale = _row_scale(loss, scale, lattice, rows)
        gradient = gradient * scale[rows.sentence, None]
        d_rows = hidden.new_zeros(rows.hidden.shape if for_hidden else 0, dtype=total)
        d_weight = weight.new_empty(weight.shape if for_weight else 0)
        d_bias = hidden.new_empty(vocabulary if for_bias else 0, dtype=total)
        for part in _vocabulary_slices(weight, len(rows.hidden), chunk_rows or _budget_rows(weight)):
            width = max(0, vocabulary - part.start)
            logits = _project(rows.hidden, weight[part], None if bias is None else bias[part], width)
            d_logits = primitives.softmax_gradient_(
                logits,
                normaliser,
                row_scale,
                table,
                gradient,
                lattice.own_columns,
                rows.sentence,
                part.start,
                weight.dtype,
            )
            if for_hidden:
                d_rows += _project_back(d_logits, weight[part])
            if for_weight:
                d_slice = d_weight[part]
                wide = d_slice if d_slice.dtype == total else torch.empty_like(d_slice, dtype=total)
                _accumulate(wide, d_logits, rows.hidden, True)
                if shrink is not None:
                    wide *= shrink
                if wide is not d_slice:
                    d_slice.copy_(wide)
                if for_bias and bias_column is not None:
                    d_bias[part] = wide[:width, bias_column]
            if for_bias and bias is not None:
                d_bias[part] = d_logits.sum(0, dtype=total)
        if shrink is not None:
            d_rows *= shrink
            if bias is not None:
                d_bias *= shrink
        d_hidden = hidden.new_zeros(hidden.shape if for_hidden else 0)
        if for_hidden:
            rows.unpack(d_rows.to(hidden.dtype), d_hidden)
    d_hidden = d_hidden[..., :size].contiguous()
    d_weight = d_weight[:vocabulary, :size].contiguous() if needed[1] else d_weight.new_empty(0)
    return d_hidden, d_weight, d_bias.to(dtype_of_bias or total)


@linear_ctc_by_vocabulary_backward.register_fake
def _(
    grad_loss,
    hidden,
    weight,
    bias,
    targets,
    input_lengths,
    target_lengths,
    observed,
    loss,
    tables,
    normalisers,
    blank,
    by_state,
    score_observed,
    chunk_rows,
    needed,
):
    return (
        hidden.new_empty(hidden.shape if needed[0] else 0),
        weight.new_empty(weight.shape if needed[1] else 0),
        bias.new_empty(bias.shape) if needed[2] else loss.new_empty(0),
    )


linear_ctc_by_vocabulary_backward.register_autograd(
    derivatives.refuse_second, setup_context=derivatives.nothing_to_save
)


@torch.library.custom_op("xlmd::linear_ctc_best_states", mutates_args=())
def linear_ctc_best_states(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    validate: bool,
) -> tuple[Tensor, Tensor]:
    """States (B, T) int64 of the best path over the label logits alone, and its score (B,)."""
    lattice = _lattice(
        targets, input_lengths, target_lengths, observed, blank, False, True, hidden.shape[1], weight.shape[0], validate
    )
    with _without_autocast(hidden.device):
        table = _label_logits(hidden, weight, bias, lattice.columns)
    states, score = primitives.best_path(
        table, lattice.labels, lattice.input_lengths, lattice.target_lengths, 0, lattice.observed
    )
    return checks.spoilt_path(states, score, lattice.bad)


@linear_ctc_best_states.register_fake
def _(hidden, weight, bias, targets, input_lengths, target_lengths, observed, blank, validate):
    total = torch.promote_types(accumulation_dtype(hidden), accumulation_dtype(weight))
    return targets.new_empty(hidden.shape[:2]), hidden.new_empty(hidden.shape[0], dtype=total)
