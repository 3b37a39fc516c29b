"""The native CTC library behind raw addresses. Its only caller is `xlmd.ctc.primitives`; ctc.h says who checks what."""

from libc.stdint cimport int64_t, uintptr_t

from xlmd._cuda cimport ctc

cdef extern from *:
    """
    #ifdef XLMD_WITH_CUDA
    static const bool xlmd_cuda_built = true;
    #else
    static const bool xlmd_cuda_built = false;
    #endif
    """
    const bint xlmd_cuda_built

cuda_built = bool(xlmd_cuda_built)


cdef int check(ctc.Status status) except -1:
    if status == ctc.OUT_OF_MEMORY:
        raise MemoryError("no memory is left for the CTC recursion")
    if status == ctc.CUDA_ERROR:
        raise RuntimeError("CUDA: " + ctc.cuda_error_text().decode())
    if status == ctc.UNSUPPORTED:
        raise NotImplementedError("xlmd was built without CUDA")
    return 0


cdef class Batch:
    cdef ctc.Batch fields

    def __init__(
        self, uintptr_t table, uintptr_t first_rows, int64_t row_stride, int64_t rows, int64_t columns,
        uintptr_t labels, uintptr_t input_lengths, uintptr_t target_lengths, uintptr_t observed, int64_t batch,
        int64_t length, int64_t max_labels, int64_t blank, bint by_state, bint score_observed,
    ):
        self.fields.table = <const float*> table
        self.fields.first_rows = <const int64_t*> first_rows
        self.fields.row_stride = row_stride
        self.fields.rows = rows
        self.fields.columns = columns
        self.fields.labels = <const int64_t*> labels
        self.fields.input_lengths = <const int64_t*> input_lengths
        self.fields.target_lengths = <const int64_t*> target_lengths
        self.fields.observed = <const int64_t*> observed
        self.fields.batch = batch
        self.fields.length = length
        self.fields.max_labels = max_labels
        self.fields.blank = blank
        self.fields.by_state = by_state
        self.fields.score_observed = score_observed


cdef class Compact:
    cdef ctc.Compact fields

    def __init__(
        self, uintptr_t table, uintptr_t gradient, uintptr_t columns, uintptr_t sentence, int64_t width, int64_t offset
    ):
        self.fields.table = <const float*> table
        self.fields.gradient = <const float*> gradient
        self.fields.columns = <const int64_t*> columns
        self.fields.sentence = <const int64_t*> sentence
        self.fields.width = width
        self.fields.offset = offset


def forward_backward_cpu(Batch batch, uintptr_t losses, uintptr_t gradient, int threads):
    cdef ctc.Status status
    with nogil:
        status = ctc.forward_backward_cpu(batch.fields, <float*> losses, <float*> gradient, threads)
    check(status)


def best_path_cpu(Batch batch, uintptr_t states, uintptr_t scores, int threads):
    cdef ctc.Status status
    with nogil:
        status = ctc.best_path_cpu(batch.fields, <int64_t*> states, <float*> scores, threads)
    check(status)


def row_logsumexp_cpu(uintptr_t logits, int64_t rows, int64_t columns, uintptr_t result, int threads):
    cdef ctc.Status status
    with nogil:
        status = ctc.row_logsumexp_cpu(<const float*> logits, rows, columns, <float*> result, threads)
    check(status)


def softmax_gradient_cpu(
    uintptr_t logits, uintptr_t normaliser, uintptr_t scale, int64_t rows, int64_t columns, Compact compact, int threads
):
    cdef ctc.Status status
    with nogil:
        status = ctc.softmax_gradient_cpu(
            <float*> logits, <const float*> normaliser, <const float*> scale, rows, columns, compact.fields, threads
        )
    check(status)


def forward_backward_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels, bint with_gradient):
    return ctc.forward_backward_cuda_workspace(batch, length, max_labels, with_gradient)


def forward_backward_cuda(Batch batch, uintptr_t losses, uintptr_t gradient, uintptr_t workspace, uintptr_t stream):
    cdef ctc.Status status
    with nogil:
        status = ctc.forward_backward_cuda(
            batch.fields, <float*> losses, <float*> gradient, <void*> workspace, <void*> stream
        )
    check(status)


def best_path_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels):
    return ctc.best_path_cuda_workspace(batch, length, max_labels)


def best_path_cuda(Batch batch, uintptr_t states, uintptr_t scores, uintptr_t workspace, uintptr_t stream):
    cdef ctc.Status status
    with nogil:
        status = ctc.best_path_cuda(batch.fields, <int64_t*> states, <float*> scores, <void*> workspace, <void*> stream)
    check(status)


def row_logsumexp_cuda(uintptr_t logits, int64_t rows, int64_t columns, uintptr_t result, uintptr_t stream):
    cdef ctc.Status status
    with nogil:
        status = ctc.row_logsumexp_cuda(<const float*> logits, rows, columns, <float*> result, <void*> stream)
    check(status)


def softmax_gradient_cuda(
    uintptr_t logits, uintptr_t normaliser, uintptr_t scale, int64_t rows, int64_t columns, Compact compact,
    uintptr_t result, int precision, uintptr_t stream,
):
    cdef ctc.Status status
    with nogil:
        status = ctc.softmax_gradient_cuda(
            <const float*> logits, <const float*> normaliser, <const float*> scale, rows, columns, compact.fields,
            <void*> result, precision, <void*> stream,
        )
    check(status)
